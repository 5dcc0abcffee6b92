/* The registry for commands that show it. */
#include "lookup.h"
#include "base/mem.h"
#include "base/text.h"
#include "progress.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT = 10000 };

static void free_list(char **list) {
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* What this node does with the services is no business of who looks at the registry. */
struct settings *lookup_settings(const struct common_flags *flags, struct log *log) {
    struct settings *settings = cli_settings(flags, log);
    if (!settings)
        return NULL;
    if (!flags->log_level && log->level > LOG_ERROR)
        log->level = LOG_ERROR;
    free_list(settings->include);
    free_list(settings->exclude);
    settings->include = mem_zalloc(2 * sizeof *settings->include);
    settings->include[0] = mem_strdup("*");
    settings->exclude = mem_zalloc(sizeof *settings->exclude);
    free_list(settings->host_zones);
    settings->host_zones = NULL;
    settings->host_labels = NULL;
    (void)json_object_del(json_object_get(settings->tree, "services"), "overrides");
    return settings;
}

static bool matches_any(const char *name, const char *const *patterns, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!fnmatch(patterns[i], name, 0))
            return true;
    return !count;
}

static bool print_unmatched(const struct catalog *catalog, const char *pattern) {
    const char **names = mem_zalloc((catalog->service_count + 1) * sizeof *names);
    bool found = false;
    for (size_t i = 0; i < catalog->service_count; i++) {
        names[i] = catalog->services[i]->name;
        found = found || !fnmatch(pattern, names[i], 0);
    }
    const char *near = found ? NULL : text_nearest(pattern, names);
    if (!found)
        (void)fprintf(stderr, "hatlas: no service '%s'%s%s%s\n", pattern,
                      near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    free((void *)names);
    return found;
}

const struct catalog *lookup_filter(const struct catalog *catalog,
                                    const char *const *patterns, size_t count) {
    const struct service **services =
        mem_zalloc((catalog->service_count + 1) * sizeof *services);
    struct problems ignored = {0};
    size_t kept = 0;
    for (size_t i = 0; i < catalog->service_count; i++)
        if (matches_any(catalog->services[i]->name, patterns, count))
            services[kept++] = catalog->services[i];
    const struct catalog *filtered = catalog_new(services, kept, &ignored);
    problems_free(&ignored);
    free((void *)services);
    return filtered;
}

bool lookup_open(struct lookup *lookup, const struct common_flags *flags,
                 const char *timeout, const char *const *patterns, size_t count) {
    struct error error;
    int64_t limit;
    *lookup = (struct lookup){0};
    if (!cli_duration("timeout", timeout, TIMEOUT, &limit))
        return false;
    lookup->settings = lookup_settings(flags, &lookup->log);
    if (!lookup->settings)
        return false;
    const struct catalog *whole =
        progress_read(&lookup->log, lookup->settings, limit, &lookup->problems, &error);
    cli_print_problems(&lookup->problems);
    if (!whole) {
        cli_print_error(&error);
        return false;
    }
    bool found = true;
    for (size_t i = 0; i < count; i++)
        found = print_unmatched(whole, patterns[i]) && found;
    lookup->catalog = lookup_filter(whole, patterns, count);
    catalog_unref(whole);
    return found;
}

void lookup_close(struct lookup *lookup) {
    catalog_unref(lookup->catalog);
    problems_free(&lookup->problems);
    settings_free(lookup->settings);
}
