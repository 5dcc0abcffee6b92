/* The registry as commands use it: reads of many znodes at once, and edits that are done
 * all or none. Blocks, in bounded time. */
#ifndef HATLAS_ATLAS_REGISTRY_H
#define HATLAS_ATLAS_REGISTRY_H

#include "atlas/edits.h"
#include "settings/settings.h"

struct registry;

/* One znode to be read, and what was read. */
struct registry_read {
    const char *path;
    char *data; /* NUL-terminated */
    size_t len;
    char **names; /* sorted */
    size_t count;
    int32_t version;
    bool list; /* set by the caller: the names of its children instead of its data */
    bool found;
    bool ephemeral;
};

/* Opens the registry of a ZooKeeper source; connecting begins with the first call. Every
 * wait for an answer ends after `timeout_ms`. Settings must outlive it. The caller owns
 * it. */
struct registry *registry_open(const struct source_settings *settings,
                               int64_t timeout_ms);
void registry_close(struct registry *registry);

/* Reads them all, many at a time. A znode that isn't there is not found, which is no
 * error. */
bool registry_read(struct registry *registry, struct registry_read *reads, size_t count,
                   struct error *error);

/* Frees what the reads hold. */
void registry_reads_free(struct registry_read *reads, size_t count);

/* Whether edits of so many znodes and bytes are one transaction; more are done one after
 * the other. */
enum { REGISTRY_MULTI_OPS = 2000, REGISTRY_MULTI_BYTES = 500000 };

/* Does the edits, in transactions of those sizes: each all or nothing, and none after one
 * that was refused. `done` (may be NULL) receives how many edits were done. An edit is
 * refused if its znode is not as it was read (somebody else was faster). */
bool registry_commit(struct registry *registry, const struct atlas_edits *edits,
                     size_t *done, struct error *error);

#endif
