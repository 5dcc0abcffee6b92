/* Records: what one znode says of one host or service, in the format of its registry.
 * Pure functions from bytes to values; a bad record never costs more than itself. */
#ifndef HATLAS_RECORD_RECORD_H
#define HATLAS_RECORD_RECORD_H

#include "catalog/catalog.h"

/* One format of registry records. */
struct record_format {
    const char *name;

    /* Decodes the record of one host. `id` is the last part of the znode's path. Returns
     * a new host, or NULL with problems added that name `where` (the znode's path).
     * Returns NULL without a problem for a znode that is no host record at all. */
    struct host *(*host)(const char *id, const char *data, size_t len, const char *where,
                         struct problems *problems);

    /* Decodes the record of one service, or of its variables: a new object. Empty data is
     * an empty object. NULL, with problems added, if the whole record can't be read. */
    json_t *(*service)(const char *data, size_t len, const char *where,
                       struct problems *problems);
    json_t *(*vars)(const char *data, size_t len, const char *where,
                    struct problems *problems);
};

/* Returns the format of that name ("atlas"), or NULL. */
const struct record_format *record_format_find(const char *name);

#endif
