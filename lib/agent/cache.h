/* The cache: the last catalog that was served, for a start while no source answers. */
#ifndef HATLAS_AGENT_CACHE_H
#define HATLAS_AGENT_CACHE_H

#include "base/log.h"
#include "catalog/catalog.h"

struct event_base;
struct cache;

/* Keeps the catalog in the file `path`; path, log and loop must outlive it. */
struct cache *cache_open(struct event_base *base, const struct log *log,
                         const char *path);

/* Writes what is not written yet, and frees the cache. */
void cache_close(struct cache *cache);

/* Reads the file. Returns a new reference; NULL if there is none, or none that can be
 * read, which is logged. */
const struct catalog *cache_read(const struct cache *cache);

/* Has the catalog written soon: at most every few seconds, atomically, and not at all if
 * the file holds the same. */
void cache_keep(struct cache *cache, const struct catalog *catalog);

#endif
