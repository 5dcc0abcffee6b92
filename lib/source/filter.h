/* What a node wants of a registry: services by name, hosts by zone and label. Private to
 * this folder. */
#ifndef HATLAS_SOURCE_FILTER_H
#define HATLAS_SOURCE_FILTER_H

#include "catalog/catalog.h"
#include "settings/settings.h"

/* `wants` may be NULL, for everything. A zone or label that a host lacks counts as "". */
bool filter_service(const struct settings *wants, const char *name);
bool filter_host(const struct settings *wants, const struct host *host);

/* Returns the catalog without what is not wanted, and adds how much that was to the
 * counts. Takes over the reference and returns one. */
struct catalog *filter_catalog(const struct settings *wants, struct catalog *catalog,
                               size_t *services_out, size_t *hosts_out);

#endif
