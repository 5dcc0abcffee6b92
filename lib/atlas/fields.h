/* Fields as people type them: "weight=5", "check.path=/health", "labels.team=red". */
#ifndef HATLAS_ATLAS_FIELDS_H
#define HATLAS_ATLAS_FIELDS_H

#include "base/schema.h"

/* Reads words "name=value" by the table, which says what type each value has. An empty
 * value takes the field away; lists are written with commas, or as JSON; objects as JSON,
 * or member by member. Returns a new patch: an object that holds the new values, null for
 * what goes. Never NULL; all that is wrong with the words is added to the problems.
 * Unknown names are faults unless `allow_unknown`. */
json_t *atlas_fields_parse(const struct schema *table, const char *const *words,
                           size_t count, bool allow_unknown, struct problems *problems);

/* Returns a new object: the record with the patch laid over it (RFC 7386). */
json_t *atlas_fields_patch(const json_t *record, const json_t *patch);

/* Whether the record is good by the table; fields it does not know are. Adds what is
 * wrong. */
bool atlas_fields_check(const struct schema *table, const json_t *record,
                        const char *where, struct problems *problems);

/* Appends the patch for people: "weight=5 zone=a", "zone removed". */
void atlas_fields_describe(const json_t *patch, struct buffer *out);

#endif
