/* Edits: what a command wants changed in the Atlas, and on which versions of what it read.
 * A value, so that a dry run prints exactly what a real one commits. */
#ifndef HATLAS_ATLAS_EDITS_H
#define HATLAS_ATLAS_EDITS_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

/* The strings of an edit in a list are the list's own. */
struct atlas_edit {
    enum atlas_edit_kind {
        ATLAS_CREATE,
        ATLAS_SET,
        ATLAS_DELETE,
        ATLAS_NOTHING, /* is so already, or is left alone; only for the report */
    } kind;
    const char *path;
    json_t *value;       /* CREATE, SET: an object, NULL for a znode without data */
    int32_t version;     /* SET, DELETE: of what was read */
    bool silent;         /* goes without saying: the znodes around a record */
    const char *service; /* what it is about; NULL: neither */
    const char *host;
    const char *what; /* in words, past tense: "attached", "weight 1 → 5" */
};

/* In the order in which they are to be done. Starts as {0}. */
struct atlas_edits {
    struct atlas_edit *items;
    size_t count;
};

/* Adds an edit; copies strings, takes its own reference of the value. `service` and
 * `host` may be NULL. A `what` of NULL makes it a silent one. Returns it, valid until the
 * next is added. */
struct atlas_edit *atlas_edits_add(struct atlas_edits *edits,
                                   const struct atlas_edit *edit);

/* Puts the edits of `first`, which is empty after, before the others. */
void atlas_edits_prepend(struct atlas_edits *edits, struct atlas_edits *first);

/* How many of them change something. */
size_t atlas_edits_changes(const struct atlas_edits *edits);
void atlas_edits_free(struct atlas_edits *edits);

/* Appends one line an edit that isn't silent: "teams host-001:8080 drained". */
void atlas_edits_write(const struct atlas_edits *edits, struct buffer *out);

/* Returns a new list of the same as objects: service, host, action, what, record. */
json_t *atlas_edits_json(const struct atlas_edits *edits);

#endif
