/* The texts of included templates, kept for the next rendering: most services are the same
 * as the last time.
 *
 * A text is kept if nothing it was made of can differ while its key is the same. Templates
 * have no state, and the globals are those of the renderer, so what remains are the
 * parameters, which are the key, the files of the templates, which forget all texts when
 * one changes, and `services`, of which a rendering notes that it was read.
 *
 * In the key a service is its address, and the fields of a service are what they say: a
 * text that is made of fields is the same for all services that say the same. */
#ifndef HATLAS_RENDER_MEMO_H
#define HATLAS_RENDER_MEMO_H

#include "render/listing.h"
#include "render/view.h"

/* Texts by what they were made of. Starts zeroed. */
struct memo {
    struct memo_text *texts;
    size_t used;                   /* in this rendering */
    struct listing *listings;      /* one a call of include_each, in their order */
    struct listing **next_listing; /* of this rendering; NULL: of the first */
    const struct catalog *catalog; /* which the listings are of */
};

/* Includes the template with the parameters at the index (0: none) as its globals: from
 * the texts that are kept where that is right. Raises errors. */
void memo_include(lua_State *L, const char *name, int params);

/* Includes the template with each service of the list at the index, one after the other, as
 * its global `service`. */
void memo_include_each(lua_State *L, const char *name, int list);

/* To be called after a rendering of the catalog: drops texts that it used no more. */
void memo_end(struct memo *memo, uint64_t rendering, const struct catalog *catalog);

/* Drops all texts. */
void memo_clear(struct memo *memo);

#endif
