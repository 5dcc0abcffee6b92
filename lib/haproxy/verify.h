/* What HAProxy has to look like after a plan, and whether it does. Pure functions. */
#ifndef HATLAS_HAPROXY_VERIFY_H
#define HATLAS_HAPROXY_VERIFY_H

#include "haproxy/background.h"
#include "haproxy/resolve.h"
#include "plan/plan.h"

struct verify;

/* Notes the servers that the config has in each backend that the plan touches. */
struct verify *verify_new(const struct plan *plan, const char *config,
                          const struct background *background);
void verify_free(struct verify *verify);

/* Whether a server is to serve in that backend that the plan does not add, and that does
 * not wait for its first check either. */
bool verify_has_others(const struct verify *verify, const char *backend);

/* Whether this server of a backend that the plan touches is to serve, and has no such
 * others. `server` is "backend/server". */
bool verify_is_needed(const struct verify *verify, const char *backend,
                      const char *server);

/* Returns the name of the next backend to look at, NULL after the last. */
const char *verify_next(struct verify *verify);

/* Compares the answer of `show servers state` for that backend: the same servers, each
 * with the same address, weight and maintenance. Servers that `background` knows may be
 * drained or still there. An agent check sets weight and state itself; they are not
 * compared where there is one. The error names the first difference. */
bool verify_backend(struct verify *verify, const char *answer,
                    const struct resolver *resolver, const struct background *background,
                    struct error *error);

#endif
