/* Finding an HAProxy by its command line, for the moments in which its socket is silent. */
#ifndef HATLAS_HAPROXY_ORPHAN_H
#define HATLAS_HAPROXY_ORPHAN_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether the process was started with `-f config` and, unless `listen` is NULL,
 * `-S listen`. */
bool orphan_is(pid_t pid, const char *config, const char *listen);

/* Returns the master among the processes that were started so, 0 if there is none. */
pid_t orphan_find(const char *config, const char *listen);

#endif
