/* The fields that services may have, with what holds where a service does not say. */
#ifndef HATLAS_RENDER_FIELD_H
#define HATLAS_RENDER_FIELD_H

#include "render/state.h"

/* Makes the fields of a table. What the defaults (may be NULL) say wins over the table's
 * own fallbacks. The caller owns them. */
struct field *fields_new(const struct schema *rows, const json_t *defaults,
                         size_t *count);
void fields_free(struct field *fields, size_t count);

/* Returns the field of that name, NULL if there is none. */
const struct field *fields_find(const struct field *fields, size_t count,
                                const char *name);

/* Returns the first layer's member that is there and not null, else NULL. */
const json_t *fields_value(const json_t *const *layers, size_t count, const char *name);

#endif
