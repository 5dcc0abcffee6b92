/* The steps that all commands share that change the Atlas: read, make edits, commit,
 * report, wait. */
#ifndef HATLAS_EDIT_H
#define HATLAS_EDIT_H

#include "atlas/change.h"
#include "cli.h"

struct edit_flags {
    struct common_flags common;
    const char *host, *timeout;
    bool json, dry_run, wait, allow_unknown, recursive, prune;
};

#define EDIT_FLAG(field) offsetof(struct edit_flags, field)

/* Rows of the flags that all of them have. */
#define EDIT_FLAG_ROWS                                                                   \
    {"dry-run", 'n', NULL, EDIT_FLAG(dry_run), "print what would be done, do nothing"},  \
        {"wait", 0, NULL, EDIT_FLAG(wait),                                               \
         "return when this host's running sidecar has applied it"},                      \
        {"json", 0, NULL, EDIT_FLAG(json), "print JSON"}, {                              \
        "timeout", 0, "TIME", EDIT_FLAG(timeout),                                        \
            "how long to wait for the registry (10s), and for the sidecar"               \
    }

/* A command under way: what is there to make edits of. */
struct edit {
    const struct edit_flags *flags;
    struct settings *settings;
    const struct source_settings *source;
    struct registry *registry;
    struct atlas_tree tree;
    struct atlas_edits edits;
    struct problems problems;
    int64_t timeout;
    bool new_service; /* the pattern need not match: it is the name of a new one */
    bool plan_first;  /* print the edits before they are done */
    bool quiet;       /* print only what is wrong */
};

/* Makes edits, or adds problems; `arg` is the caller's. */
typedef void edit_make(struct edit *edit, const void *arg);

/* Walks all steps for the services that match the pattern and returns the exit code. */
int edit_run(const struct edit *how, const char *pattern, edit_make *make,
             const void *arg);

/* The ZooKeeper source of the Atlas to write to: the first of the settings. NULL, after
 * it printed why, if there is none. */
const struct source_settings *edit_source(const struct settings *settings);

/* Waits until what the sidecar of this host has applied is what the registry says now.
 * False after it printed what it waited for. */
bool edit_wait(const struct common_flags *flags, int64_t timeout_ms);

#endif
