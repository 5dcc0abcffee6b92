/* YAML text to and from jansson values, by libyaml. Parsed values remember their lines.
 */
#ifndef HATLAS_BASE_YAML_H
#define HATLAS_BASE_YAML_H

#include "base/buffer.h"
#include "base/error.h"

#include <jansson.h>

/* Where the values of a parsed text stand. */
struct places;

/* Parses one YAML document. Plain scalars follow the core schema of YAML 1.2: true,
 * false, null, whole and decimal numbers; everything else and all that is quoted is a
 * string. Duplicate keys, keys that are no strings, and documents of over a million nodes
 * (aliases expanded) are errors. An empty text is an empty object. `name` is the file's
 * name for places and problems. Returns a reference the caller owns, or NULL with
 * problems added. `places` receives the lines and columns, owned by the caller; NULL if
 * not wanted. */
json_t *yaml_parse(const char *text, size_t len, const char *name, struct places **places,
                   struct problems *problems);

void places_free(struct places *places);

/* Writes "file:line:column" of a member of an object or (key NULL) an item of a list, or
 * of the container itself where there is no such member. Returns `out`. */
const char *places_find(const struct places *places, const json_t *container,
                        const char *key, size_t index, char *out, size_t size);

/* Appends the value as a YAML document in block style, which yaml_parse reads back to an
 * equal value. */
void yaml_write(const json_t *value, struct buffer *out);

#endif
