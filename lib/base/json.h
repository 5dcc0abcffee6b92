/* JSON text, by jansson. */
#ifndef HATLAS_BASE_JSON_H
#define HATLAS_BASE_JSON_H

#include "base/buffer.h"
#include "base/error.h"

#include <jansson.h>

/* Parses one JSON value; duplicate keys and text behind the value are errors. `where`
 * names the text in the error. Returns a reference the caller owns, or NULL. */
json_t *json_parse(const char *text, size_t len, const char *where, struct error *error);

/* Appends the value, keys in their order, indented by `indent` spaces (0: compact), numbers
 * with as many digits as it needs to read them back as they are. */
void json_write(const json_t *value, size_t indent, struct buffer *out);

/* The type's name as people say it: "a string", "a list", "an object", … */
const char *json_type_name(const json_t *value);

#endif
