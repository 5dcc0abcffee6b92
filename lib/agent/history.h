/* The last changes: what changed in the registry, how it was applied, how long that took,
 * and what differs in the files; and the sums over all of them. */
#ifndef HATLAS_AGENT_HISTORY_H
#define HATLAS_AGENT_HISTORY_H

#include "agent/apply.h"
#include "agent/feed.h"
#include "catalog/catalog.h"
#include "status/change.h"

struct history;

struct history *history_new(void);
void history_free(struct history *history); /* NULL is fine */

/* The registry changed (`old` NULL: the first catalog), as the feed gave it. What several
 * calls say belongs to the change that is added next. */
void history_registry(struct history *history, struct feed *feed,
                      const struct catalog *old, const struct catalog *new);

/* Something else did: settings or templates were read again, HAProxy was started anew. */
void history_note(struct history *history, const char *what);

/* One change came to its end. What of its outputs everybody on the machine may read is
 * compared with those of the last that was done. Returns the change, which lives until
 * some hundred others were added. */
const struct status_change *history_add(struct history *history,
                                        const struct apply_report *report);

/* What was to be changed next could not be rendered. */
void history_add_unrendered(struct history *history, const struct error *error);

/* The first of the differences that the last change was about: "host added: teams/…". */
const char *history_headline(const struct status_change *change, char *out, size_t size);

/* Oldest first; valid until the next call of history_add. */
const struct status_change *const *history_changes(const struct history *history,
                                                   size_t *count);

/* Sums, for the caller to add to where only it knows. */
struct status_totals *history_totals(struct history *history);

#endif
