/* The entries of a map file: as HAProxy reads them from the file, as it shows them, and
 * as it takes them. Pure functions. */
#ifndef HATLAS_HAPROXY_MAP_H
#define HATLAS_HAPROXY_MAP_H

#include "base/buffer.h"
#include "base/error.h"

/* Lines "key value", in the order of the file; all point into `text`. */
struct map {
    char **lines;
    size_t count;
    char *text;
};

/* Reads a map file: comments and empty lines are left out. An entry that can't be sent
 * safely (no value, a control character, too long) is an error with its line. */
bool map_read(struct map *map, const char *name, const char *text, struct error *error);

/* Reads the answer of `show map`. Returns false if it is none. */
bool map_read_answer(struct map *map, const char *answer);
void map_free(struct map *map);

/* Appends entries from index `from` on, one a line, as long as the buffer stays below
 * `max` bytes. Returns the index of the first that was left over. */
size_t map_take(const struct map *map, size_t from, size_t max, struct buffer *out);

/* Whether both have the same entries; sorts them. The error names the first difference. */
bool map_equal(struct map *wanted, struct map *got, const char *name,
               struct error *error);

#endif
