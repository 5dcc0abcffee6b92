/* What the steps of loading share. Private to this folder. */
#ifndef HATLAS_SETTINGS_LOADER_H
#define HATLAS_SETTINGS_LOADER_H

#include "settings/settings.h"

/* Settings on their way from text to struct: settings->tree is checked step by step. */
struct loader {
    struct settings *settings;
    const struct settings_flags *flags;
    json_t *origins; /* key → the variable or flag that set it, if not the file */
    struct problems *problems;
};

enum { LOADER_PLACE_MAX = 512 };

/* Returns the checked value of a key with dots ("apply.coalesce"), NULL if not set. */
json_t *loader_get(const struct loader *loader, const char *key);

/* The same as a new string, in milliseconds or percent; NULL or 0 if not set. */
char *loader_text(const struct loader *loader, const char *key);
int64_t loader_duration(const struct loader *loader, const char *key);
int loader_percent(const struct loader *loader, const char *key);

/* Adds a fault of a key ("outputs[1].path") with the place where it was set. */
void loader_fault(const struct loader *loader, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts a value that a flag or variable, `where`, says in place of the file's. */
void loader_override(struct loader *loader, const char *key, json_t *value,
                     const char *where);

/* Lets HATLAS_… variables, then flags, win over the file. */
void loader_environment(struct loader *loader);
void loader_flags(struct loader *loader);

/* Replaces the sources by those of --source or HATLAS_SOURCE. */
void loader_replace_sources(struct loader *loader, const char *const *sources,
                            const char *where);

/* Fills settings->sources, settings->outputs and settings->template_dirs from the tree.
 */
void loader_sources(struct loader *loader);
void loader_outputs(struct loader *loader);
void loader_template_dirs(struct loader *loader);

/* Frees what the first two filled. */
void loader_sources_free(struct settings *settings);
void loader_outputs_free(struct settings *settings);

/* Returns the list of strings as a NULL-terminated array of its own, NULL for no list. */
char **strings_new(const json_t *list);
void strings_free(char **strings);

#endif
