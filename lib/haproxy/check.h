/* `haproxy -c` without blocking. */
#ifndef HATLAS_HAPROXY_CHECK_H
#define HATLAS_HAPROXY_CHECK_H

#include "haproxy/haproxy.h"

struct check;

/* Starts a check. Returns NULL with an error, and without a call of `done`, if HAProxy
 * can't be run. The check is freed before `done` runs. */
struct check *check_start(struct event_base *base, const char *binary, const char *path,
                          haproxy_done *done, void *arg, struct error *error);

/* Kills the check; no callback. NULL is fine. */
void check_cancel(struct check *check);

#endif
