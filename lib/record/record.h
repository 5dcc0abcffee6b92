/* Records: what one znode says of one host or service, in the format of its registry.
 * Pure functions from bytes to values; a bad record never costs more than itself. */
#ifndef HATLAS_RECORD_RECORD_H
#define HATLAS_RECORD_RECORD_H

#include "catalog/catalog.h"

/* What hatlas.yaml says of the records of one source. */
struct record_options {
    const char *endpoint; /* serverset: one of additionalEndpoints; NULL: the service's */
    bool ssl;             /* curator: sslPort instead of port */
    bool trust_options;   /* nerve: haproxy_server_options become host->options */
};

/* One format of registry records. */
struct record_format {
    const char *name;

    /* Where the original software keeps the hosts of a service, with {service}; NULL: in
     * the Atlas's own tree. */
    const char *path;

    /* What the names of znodes that hold hosts begin with, "" for any: others beside them
     * are no records. */
    const char *prefix;

    /* Decodes the record of one host. `id` is the last part of the znode's path. Returns
     * a new host, or NULL with problems added that name `where` (the znode's path). A host
     * may come with problems of labels that were left out. */
    struct host *(*host)(const char *id, const char *data, size_t len, const char *where,
                         const struct record_options *options, struct problems *problems);

    /* Decodes the record of one service, or of its variables: a new object. Empty data is
     * an empty object. NULL, with problems added, if the whole record can't be read. Only
     * of formats whose `path` is NULL. */
    json_t *(*service)(const char *data, size_t len, const char *where,
                       struct problems *problems);
    json_t *(*vars)(const char *data, size_t len, const char *where,
                    struct problems *problems);
};

/* Returns the format of that name ("atlas", "nerve", "serverset", "curator"), or NULL. */
const struct record_format *record_format_find(const char *name);

#endif
