/* An HAProxy of our own: started, reloaded, brought back when it dies, stopped. */
#ifndef HATLAS_HAPROXY_SUPERVISE_H
#define HATLAS_HAPROXY_SUPERVISE_H

#include "haproxy/haproxy.h"

struct supervisor;

struct supervisor_options {
    struct event_base *base;
    const struct log *log;
    const struct haproxy_settings *settings;
    const char *config;
    struct haproxy_events events;
};

/* All pointers in the options must outlive the supervisor. */
struct supervisor *supervisor_new(const struct supervisor_options *options);

/* Frees it; an HAProxy that runs is killed. */
void supervisor_free(struct supervisor *supervisor);

/* Lets an HAProxy that serves outlive the supervisor. */
void supervisor_detach(struct supervisor *supervisor);

/* Reloads or starts HAProxy. Returns false with an error, without a call of `done`, if
 * one of these is under way. */
bool supervisor_reload(struct supervisor *supervisor, haproxy_done *done, void *arg,
                       struct error *error);

/* Stops HAProxy; what is under way ends with an error first. */
bool supervisor_stop(struct supervisor *supervisor, haproxy_done *done, void *arg,
                     struct error *error);

/* As haproxy_may_follow. */
bool supervisor_may_follow(const struct supervisor *supervisor);

bool supervisor_running(const struct supervisor *supervisor, pid_t *pid);

#endif
