/* Answers that are known at once but, by contract, come from the loop. */
#ifndef HATLAS_HAPROXY_LATER_H
#define HATLAS_HAPROXY_LATER_H

#include "haproxy/haproxy.h"

struct later;

/* Calls `done` from the loop, with a copy of the error (NULL: it went well). */
void later_call(struct later **list, struct event_base *base, haproxy_done *done,
                void *arg, const struct error *error);

/* Forgets what was not called yet. */
void later_free(struct later **list);

#endif
