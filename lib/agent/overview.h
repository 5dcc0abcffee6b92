/* The overview: what the agent's parts say of themselves, as the status shows it. */
#ifndef HATLAS_AGENT_OVERVIEW_H
#define HATLAS_AGENT_OVERVIEW_H

#include "agent/apply.h"
#include "agent/feed.h"
#include "agent/history.h"
#include "status/status.h"

/* The parts; apply is NULL in a dry run. */
struct overview_parts {
    const struct settings *settings; /* of the start: outputs, HAProxy */
    struct feed *feed;
    const struct apply *apply;
    struct history *history;
    const struct catalog *catalog;
    const struct problems *problems;
    const struct error *failure; /* empty text: none */
    bool settled;                /* something was applied since the start */
    bool reread_failed;
};

struct overview;

struct overview *overview_new(void);
void overview_free(struct overview *overview); /* NULL is fine */

/* Takes note of when the state of a source changes; to be called whenever one might have.
 */
void overview_note(struct overview *overview, struct feed *feed);

/* Fills the view, which is good until the next call. */
void overview_fill(struct overview *overview, const struct overview_parts *parts,
                   struct status_view *view);

#endif
