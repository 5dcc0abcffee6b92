/* The text of one include_each, kept for the next rendering: of most services it is the same
 * as the last time, and stands there in one piece. */
#ifndef HATLAS_RENDER_LISTING_H
#define HATLAS_RENDER_LISTING_H

#include "base/buffer.h"
#include "catalog/catalog.h"

/* What one service printed. */
struct slice {
    const struct service *service; /* borrowed; NULL: not to be used again */
    size_t len;
};

struct slices {
    struct slice *items;
    size_t count, room;
};

/* Starts zeroed. The services of the last rendering must live on until the next has ended:
 * one is known by its address. */
struct listing {
    char *name; /* of the template */
    struct buffer text;
    struct slices last, now;
    size_t at, offset;    /* the next slice of `last`, and where it stands in `text` */
    size_t from, pending; /* in `text`, to be printed */
    struct listing *next;
};

/* Begins a rendering of the template for each service of a list. */
void listing_begin(struct listing *listing, const char *name);

/* Prints what the service printed the last time; returns false if that is not known. Prints
 * it late, so that texts that stood together are copied together. */
bool listing_print(struct listing *listing, const struct service *service,
                   struct buffer *out);

/* Prints what is still to be printed; to be called before anything else is. */
void listing_flush(struct listing *listing, struct buffer *out);

/* Notes how much a service printed now; NULL: it is not to be used again. */
void listing_add(struct listing *listing, const struct service *service, size_t len);

/* Ends it; `text` is what all services printed. */
void listing_end(struct listing *listing, const char *text, size_t len);

/* Frees it and those behind it. */
void listing_free(struct listing *listing);

#endif
