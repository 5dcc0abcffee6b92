/* Catalogs as YAML and JSON text: cluster.yaml, the cache, exports. */
#ifndef HATLAS_CATALOG_TEXT_H
#define HATLAS_CATALOG_TEXT_H

#include "base/buffer.h"
#include "catalog/catalog.h"

enum catalog_format { CATALOG_YAML, CATALOG_JSON };

/* Reads a catalog:
 *     services:
 *       teams:
 *         balance: leastconn              any field of a service
 *         config: {DB_URL: "..."}         what templates read as service.vars
 *         hosts:
 *           - {host: host-001, port: 8080}    any field of a host; id defaults to
 * host:port JSON is read by the same rules. A text that can't be read as a whole gives
 * NULL. A bad record is named in the problems with file:line:column and replaced by its
 * last good value in `previous` (may be NULL), else left out. Returns a new reference. */
struct catalog *catalog_read(const char *text, size_t len, const char *name,
                             const struct catalog *previous, struct problems *problems);

/* Appends the catalog as text that catalog_read reads back to an equal catalog. The same
 * catalog always gives the same bytes. */
void catalog_write(const struct catalog *catalog, enum catalog_format format,
                   struct buffer *out);

#endif
