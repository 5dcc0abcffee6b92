/* One question whether a service on this machine is well: by HTTP, by TCP, or by a
 * command. Never blocks the loop. */
#ifndef HATLAS_ATLAS_PROBE_H
#define HATLAS_ATLAS_PROBE_H

#include "base/error.h"

#include <stdint.h>

struct event_base;
struct probe;

struct probe_options {
    enum probe_kind { PROBE_HTTP, PROBE_TCP, PROBE_EXEC } kind;
    char *host; /* an address: a name could not be looked up without blocking */
    uint16_t port;
    char *path;    /* HTTP */
    char *command; /* EXEC: for sh -c */
    int64_t timeout_ms;
};

/* Reads "http:/path", "http://address:port/path", "tcp", "tcp:address:port" or
 * "exec:COMMAND"; what has no address asks 127.0.0.1 and `port`. To be freed with
 * probe_options_free if it returns true. */
bool probe_parse(const char *text, uint16_t port, struct probe_options *options,
                 struct error *error);
void probe_options_free(struct probe_options *options);

/* `why` is what was wrong, "" if it was good; gone after the call. */
typedef void probe_done(void *arg, bool good, const char *why);

/* Asks once; good are the status codes 200 to 399, a connection, the exit code 0. The
 * answer comes from the loop, not before this returned and at the latest after the
 * time-out; the probe is freed after it. */
struct probe *probe_start(struct event_base *base, const struct probe_options *options,
                          probe_done *done, void *arg);

/* Ends it without an answer. NULL is fine. */
void probe_cancel(struct probe *probe);

#endif
