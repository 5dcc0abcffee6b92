/* Showing how hatlas stands, over HTTP: a page, JSON, metrics, health. Read-only. It knows
 * nothing of the agent: what it shows, it asks for. */
#ifndef HATLAS_STATUS_STATUS_H
#define HATLAS_STATUS_STATUS_H

#include "catalog/catalog.h"
#include "settings/settings.h"
#include "source/source.h"
#include "status/change.h"

struct event_base;
struct status;

/* One source. */
struct status_source {
    const char *name;
    struct source_status status;
    int64_t since; /* when its state became what it is: milliseconds since 1970 */
};

/* One output as HAProxy or others have it now. */
struct status_output {
    const struct output_settings *settings;
    const char *text; /* NULL: not there */
    size_t len;
};

/* All there is to show, as of now. Everything is borrowed, and looked at only within the
 * call that asked for it. */
struct status_view {
    const struct settings *settings;
    const struct catalog *catalog; /* what is served; NULL: none yet */
    bool stale;                    /* it is the cache's */
    const struct problems *problems;
    const struct status_source *sources;
    size_t source_count;
    const struct status_output *outputs;
    size_t output_count;
    const struct status_change *const *changes; /* oldest first */
    size_t change_count;
    const struct status_totals *totals;
    const char *failure; /* why what is wanted is not in place; NULL: it is */
    bool in_place;       /* some config is, and HAProxy was brought to use it */
    bool has_haproxy;    /* some output is HAProxy's config */
    bool haproxy_running;
    long haproxy_pid;        /* 0: not known */
    size_t warming, leaving; /* servers that wait for a check, or for a last session */
    bool reread_failed;      /* the last SIGHUP's settings or templates were wrong */
    int64_t started;         /* milliseconds since 1970 */
};

struct status_options {
    struct event_base *base;
    const struct log *log;
    const struct settings *settings; /* status.…, haproxy.socket */

    /* Fills the view, which is zeroed. Called from the loop. */
    void (*view)(void *arg, struct status_view *view);
    void *arg;
};

/* Begins to listen. An address that can't be had is logged once and tried again: it never
 * is a reason not to run. Options' pointers must outlive it. */
struct status *status_open(const struct status_options *options);
void status_close(struct status *status); /* NULL is fine */

/* Something in the view changed: those who watch learn of it soon. Cheap. NULL is fine. */
void status_changed(struct status *status);

#endif
