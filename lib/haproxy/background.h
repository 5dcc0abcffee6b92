/* What follows a plan without anybody waiting: added servers get ready once their first
 * check has passed, removed ones are deleted once their last session has ended. */
#ifndef HATLAS_HAPROXY_BACKGROUND_H
#define HATLAS_HAPROXY_BACKGROUND_H

#include "haproxy/haproxy.h"

struct background;

struct background *background_new(struct event_base *base, const struct log *log,
                                  const struct haproxy_settings *settings);
void background_free(struct background *background);

/* Servers are "backend/server". Each is known as warming, as leaving, or not at all. */
void background_warm(struct background *background, const char *server);
void background_leave(struct background *background, const char *server,
                      const char *keywords);
void background_drop(struct background *background, const char *server);
bool background_is_warming(const struct background *background, const char *server);
bool background_is_leaving(const struct background *background, const char *server);

/* Visits every server that is warming. */
void background_each_warming(const struct background *background,
                             void (*visit)(void *arg, const char *backend,
                                           const char *server),
                             void *arg);

/* Others of the backend changed: whether the warming ones can wait is looked at anew as
 * soon as the background works again. */
void background_hurry(struct background *background, const char *backend);

/* Whether a leaving server is known to have these keywords. */
bool background_has_keywords(const struct background *background, const char *server,
                             const char *keywords);
void background_count(const struct background *background, size_t *warming,
                      size_t *leaving);

/* Works while nothing else does: on the process `pid` alone, from now on. */
void background_resume(struct background *background, pid_t pid);
void background_pause(struct background *background);

/* Forgets all servers and stops. */
void background_forget(struct background *background);

#endif
