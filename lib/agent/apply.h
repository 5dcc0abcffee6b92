/* Putting one set of rendered files in place: checked, written, taken up by HAProxy, or
 * all undone. */
#ifndef HATLAS_AGENT_APPLY_H
#define HATLAS_AGENT_APPLY_H

#include "agent/outputs.h"
#include "haproxy/haproxy.h"

struct apply;

enum apply_result {
    APPLY_DONE,        /* in place, and HAProxy uses it */
    APPLY_REFUSED,     /* HAProxy did not take it: nothing was touched */
    APPLY_NOT_WRITTEN, /* a file could not be written: the old files are in place */
    APPLY_ROLLED_BACK, /* the reload failed: the old files are in place again */
    APPLY_NOT_LOADED,  /* HAProxy is out of reach: the new files are in place for it */
};

/* `error` is NULL for APPLY_DONE. Called once, from the loop. */
typedef void apply_done(void *arg, enum apply_result result, const struct error *error);

/* Settings, log, loop and controller must outlive it. `haproxy` may be NULL where no
 * output is HAProxy's config. */
struct apply *apply_new(struct event_base *base, const struct log *log,
                        const struct settings *settings, struct haproxy *haproxy);

/* Frees it; what was under way is abandoned where it stands, which is safe at any point.
 */
void apply_free(struct apply *apply);

/* Puts `new` in place of `old`, which is what the disk holds; both are borrowed until
 * `done`. `reload` says that HAProxy has to load its config even if no file of its own
 * differs. One at a time. A refused config is kept beside the output as
 * "<path>.rejected". */
void apply_start(struct apply *apply, const struct outputs *new,
                 const struct outputs *old, bool reload, apply_done *done, void *arg);

/* Forgets the apply under way, leaving everything where it stands; `done` is not called.
 * The next process finishes what was begun (apply_was_interrupted). */
void apply_abandon(struct apply *apply);

/* No HAProxy runs any more: the next one begins with the files in place, so that no reload
 * is owed. */
void apply_settle(struct apply *apply);

/* Whether an earlier process was killed between writing HAProxy's config and the end of
 * the reload, so that nobody knows which config HAProxy uses. */
bool apply_was_interrupted(const struct settings *settings);

#endif
