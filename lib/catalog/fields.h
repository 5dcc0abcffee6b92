/* What services and hosts may say of themselves: the tables, and the decoding that makes
 * hostile values harmless. One new field is one new row. */
#ifndef HATLAS_CATALOG_FIELDS_H
#define HATLAS_CATALOG_FIELDS_H

#include "base/schema.h"
#include "catalog/catalog.h"

/* The fields of a host and of a service; templates/README.md documents them. */
extern const struct schema host_schema[];
extern const struct schema service_schema[];

/* Makes a host from its fields. A bad field makes the whole record bad: NULL, with
 * problems added. Unknown fields are kept in `extra`. An `id` of NULL becomes
 * "host:port". */
struct host *host_decode(const char *id, const json_t *fields,
                         const struct schema_input *from);

/* Returns a new object with the good fields of a service, unknown ones included. A bad
 * field is named and left out, so that its default holds. Never NULL. */
json_t *service_fields_decode(const json_t *fields, const struct schema_input *from);

/* Returns a new object with the host's fields that differ from their defaults. */
json_t *host_encode(const struct host *host);

#endif
