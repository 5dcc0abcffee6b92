/* What the log says of the catalog: each change, each problem when it comes and goes. */
#ifndef HATLAS_AGENT_REPORTER_H
#define HATLAS_AGENT_REPORTER_H

#include "base/log.h"
#include "catalog/catalog.h"

struct reporter;

struct reporter *reporter_new(const struct log *log);
void reporter_free(struct reporter *reporter);

/* Logs every problem that was not there the last time, and every one that is gone. Takes
 * the problems over. */
void reporter_problems(struct reporter *reporter, struct problems *problems);

/* All problems that there were the last time, borrowed. */
const struct problems *reporter_known(const struct reporter *reporter);

/* Logs what differs between two catalogs (`old` NULL: the first one): each change on a
 * line of its own, and beyond some twenty how many more there are. */
void reporter_changes(struct reporter *reporter, const struct catalog *old,
                      const struct catalog *new);

#endif
