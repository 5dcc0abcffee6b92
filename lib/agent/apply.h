/* Applying: brings the disk and HAProxy to the outputs that are wanted, by whatever the
 * plan says is enough, and keeps the promise that a config which was not checked is never
 * in place. */
#ifndef HATLAS_AGENT_APPLY_H
#define HATLAS_AGENT_APPLY_H

#include "agent/outputs.h"
#include "haproxy/haproxy.h"

struct apply;

enum apply_result {
    APPLY_DONE,        /* HAProxy uses it */
    APPLY_REFUSED,     /* HAProxy did not take it; what it used before serves on */
    APPLY_NOT_WRITTEN, /* a file could not be written: the old files are in place */
    APPLY_ROLLED_BACK, /* the reload failed: the old files are in place again */
    APPLY_NOT_LOADED,  /* HAProxy is out of reach, or does not load what was in place
                          before: the files stay, it is tried again */
};

/* How one change was applied, or why not. */
struct apply_report {
    enum apply_result result;
    const struct error *error;     /* NULL for APPLY_DONE */
    const struct plan *plan;       /* NULL where no HAProxy is concerned */
    const struct outputs *outputs; /* what was to be brought about */
    int64_t usec;                  /* from the moment it was wanted */
};

struct apply_options {
    struct event_base *base;
    const struct log *log;
    const struct settings *settings;
    bool
        leave; /* apply_close leaves a supervised HAProxy running instead of killing it */

    /* One change was applied or failed. Called from the loop. */
    void (*ended)(void *arg, const struct apply_report *report);

    /* Nothing is left to do for what is wanted, files included; or nothing more can be
     * done, then with the error. Called from the loop, after each apply_want at least
     * once. */
    void (*settled)(void *arg, const struct error *error);

    /* HAProxy was stopped; nothing is called after. */
    void (*stopped)(void *arg);
    void *arg;
};

/* Takes hold of the outputs, and of HAProxy: a supervised one starts with the files in
 * place. Options' pointers must outlive it. NULL with an error if another hatlas holds an
 * output, or if one can't be read. */
struct apply *apply_open(const struct apply_options *options, struct error *error);

/* Frees it; what was under way is abandoned where it stands, which is safe at any point.
 */
void apply_close(struct apply *apply);

/* Something is being rendered, and apply_want will follow: HAProxy is asked already what has
 * to be known before it gets commands, so that it answers meanwhile. */
void apply_expect(struct apply *apply);

/* Has the outputs applied, in place of what was wanted before. Wanting the same again
 * after a failure only makes it be tried again if `retry`. */
void apply_want(struct apply *apply, const struct outputs *outputs, bool retry);

/* Uses other timings from now on: settings of the same outputs and the same HAProxy. */
void apply_set_settings(struct apply *apply, const struct settings *settings);

/* Drops what is under way and stops a supervised HAProxy; calls `stopped`. */
void apply_stop(struct apply *apply);

/* Whether HAProxy is known to run, and its process id or 0. */
bool apply_haproxy_running(const struct apply *apply, pid_t *pid);

/* Whether HAProxy is known to use some config that was put in place. */
bool apply_in_place(const struct apply *apply);

/* The files as they are on disk, borrowed. */
const struct outputs *apply_outputs(const struct apply *apply);

/* How many servers wait for their first check, and for their last session. */
void apply_pending(const struct apply *apply, size_t *warming, size_t *leaving);

#endif
