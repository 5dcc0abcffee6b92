/* The board: what was shown last, by digests, so that those who watch are sent only what
 * changed. No texts are kept, and no queue: who is slow gets the newest state later. */
#ifndef HATLAS_STATUS_BOARD_H
#define HATLAS_STATUS_BOARD_H

#include "status/facts.h"

struct board;

/* How far one watcher is. Starts as {0}. */
struct board_mark {
    uint64_t version; /* of the board */
    uint64_t change;  /* the newest change that was sent */
};

struct board *board_new(void);
void board_free(struct board *board); /* NULL is fine */

/* Takes note of what is different now. */
void board_update(struct board *board, const struct status_view *view,
                  const struct facts_stats *stats);

/* Appends, as a JSON object, all that differs from what the mark stands for, and moves
 * the mark. Appends nothing if nothing does. The view and the statistics are those of the
 * last update. Members: "reset" (true: forget what you have), "head", "problems",
 * "changes", "services" (each whole), "removed" (names). */
void board_tell(const struct board *board, const struct status_view *view,
                const struct facts_stats *stats, struct board_mark *mark,
                struct buffer *out);

#endif
