/* The guard: losses too large to be believed at once. Hosts that vanish together stay in
 * the catalog until a second full read, after a grace time, says that they are really
 * gone. */
#ifndef HATLAS_AGENT_GUARD_H
#define HATLAS_AGENT_GUARD_H

#include "catalog/catalog.h"
#include "settings/settings.h"

#include <stdint.h>

struct guard;

/* Settings must outlive it. */
struct guard *guard_new(const struct settings *settings);
void guard_free(struct guard *guard);

/* Takes the registry's catalog, as it was read with `reads` full reads done so far, and
 * returns the one to serve, as a new reference: the same, but for services that lost
 * their last host, or more than guard.max_loss of their hosts or of all services, since
 * the last call or, not counting those that others replaced, within about guard.grace.
 * What is kept is named in the problems. A registry without any service is
 * never believed, however often it is read. Times are microseconds
 * (clock_usec). */
const struct catalog *guard_pass(struct guard *guard, const struct catalog *catalog,
                                 uint64_t reads, int64_t now, struct problems *problems);

/* When a full read is needed to confirm what is held; 0 while nothing is held, or while
 * that read is under way. */
int64_t guard_confirm_at(const struct guard *guard);

/* Says that a full read was begun which will be done when `reads` reaches this number. */
void guard_confirming(struct guard *guard, uint64_t reads);

/* Says what is served already, by an earlier process or by other settings: the next
 * catalog is compared with it. */
void guard_seed(struct guard *guard, const struct catalog *served);

/* Forgets what was served before: the next catalog passes as it is. */
void guard_reset(struct guard *guard);

#endif
