/* HAProxy's master CLI socket (`haproxy -W -S`; management guide, "Master CLI"): one
 * question, its answer, and what `show proc` says. */
#ifndef HATLAS_HAPROXY_MASTER_H
#define HATLAS_HAPROXY_MASTER_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct master_ask;

/* What `show proc` tells: the master, the worker that serves, those that are leaving. */
struct master_state {
    pid_t master;
    long reloads; /* how many the master went through, failed ones included */
    long failed;  /* how many failed since the last good one; -1 where it isn't said */
    pid_t worker; /* the newest that isn't leaving; 0 if there is none */
    long old;     /* how many workers are leaving */
    pid_t oldest; /* the one that outlived the most reloads; 0 if there is none */
};

/* Reads the answer of `show proc`. Returns whether it names a master. */
bool master_parse_proc(const char *answer, struct master_state *state);

/* Reads the answer of `reload`, which HAProxy 2.7 and newer give. Returns whether it is
 * one; `log` is set to what HAProxy said, pointing into the answer, or "". */
bool master_parse_reload(const char *answer, bool *success, const char **log);

/* The answer, or NULL with an error. `errno_value` in the error case: ENOENT and
 * ECONNREFUSED mean that nobody listens. Called once, from the loop. */
typedef void master_answered(void *arg, const char *answer, int errno_value,
                             const struct error *error);

/* Sends one command and waits for the answer, at most `timeout_ms`. Returns the question,
 * which is freed before the callback runs. */
struct master_ask *master_ask(struct event_base *base, const char *socket,
                              const char *command, int64_t timeout_ms,
                              master_answered *answered, void *arg);

/* Forgets the question; no callback. NULL is fine. */
void master_forget(struct master_ask *ask);

#endif
