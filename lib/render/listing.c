/* Walks along the last text of a list, to copy what is the same in as few pieces as can be. */
#include "render/listing.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { AHEAD_MAX = 64 }; /* so many services in a row may have gone */

static void push(struct slices *slices, struct slice slice) {
    if (slices->count == slices->room) {
        slices->room = slices->room + slices->room / 2 + 16;
        slices->items = mem_resize(slices->items, slices->room, sizeof *slices->items);
    }
    slices->items[slices->count++] = slice;
}

void listing_begin(struct listing *listing, const char *name) {
    if (!listing->name || strcmp(listing->name, name) != 0) {
        free(listing->name);
        listing->name = mem_strdup(name);
        listing->last.count = 0;
    }
    listing->now.count = 0;
    listing->at = listing->offset = listing->pending = 0;
}

/* Makes the service's slice the next one, if it is not far. */
static bool seek(struct listing *listing, const struct service *service) {
    const struct slices *last = &listing->last;
    size_t end =
        last->count - listing->at > AHEAD_MAX ? listing->at + AHEAD_MAX : last->count;
    size_t offset = listing->offset;
    for (size_t i = listing->at; i < end; offset += last->items[i++].len) {
        if (last->items[i].service != service)
            continue;
        listing->at = i;
        listing->offset = offset;
        return true;
    }
    return false;
}

void listing_flush(struct listing *listing, struct buffer *out) {
    if (listing->pending)
        buffer_append(out, listing->text.data + listing->from, listing->pending);
    listing->pending = 0;
}

bool listing_print(struct listing *listing, const struct service *service,
                   struct buffer *out) {
    if (!seek(listing, service))
        return false;
    struct slice slice = listing->last.items[listing->at++];
    if (listing->offset != listing->from + listing->pending)
        listing_flush(listing, out);
    if (!listing->pending)
        listing->from = listing->offset;
    listing->pending += slice.len;
    listing->offset += slice.len;
    push(&listing->now, slice);
    return true;
}

void listing_add(struct listing *listing, const struct service *service, size_t len) {
    push(&listing->now, (struct slice){service, len});
}

void listing_end(struct listing *listing, const char *text, size_t len) {
    struct slices last = listing->last;
    listing->last = listing->now;
    listing->now = last;
    buffer_clear(&listing->text);
    buffer_append(&listing->text, text, len);
}

void listing_free(struct listing *listing) {
    while (listing) {
        struct listing *next = listing->next;
        free(listing->name);
        free(listing->last.items);
        free(listing->now.items);
        buffer_free(&listing->text);
        free(listing);
        listing = next;
    }
}
