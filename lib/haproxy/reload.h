/* One reload of an HAProxy that runs, and the proof that it took place. */
#ifndef HATLAS_HAPROXY_RELOAD_H
#define HATLAS_HAPROXY_RELOAD_H

#include "base/error.h"
#include "haproxy/master.h"

struct event_base;
struct reload;

struct reload_options {
    struct event_base *base;
    const char *socket; /* the master's; NULL with argv: the exit status is all we get */
    const char *const *argv; /* the command that reloads; NULL: `reload` on the socket */
    int64_t timeout_ms;
};

struct reload_end {
    enum reload_outcome {
        RELOAD_DONE,
        RELOAD_REFUSED,     /* HAProxy said no: the old worker serves */
        RELOAD_UNREACHABLE, /* the master did not answer */
        RELOAD_UNCLEAR,     /* nothing came of it in time */
    } outcome;
    bool explained;            /* the error has HAProxy's own words */
    struct master_state state; /* as last seen; master is 0 if it never was */
    const struct error *error; /* NULL for RELOAD_DONE */
};

typedef void reload_ended(void *arg, const struct reload_end *end);

/* Starts a reload; it is freed before the callback runs, which comes from the loop. The
 * options' pointers must outlive it. */
struct reload *reload_start(const struct reload_options *options, reload_ended *ended,
                            void *arg);

/* Forgets the reload, whatever comes of it; no callback. NULL is fine. */
void reload_cancel(struct reload *reload);

#endif
