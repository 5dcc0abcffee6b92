/* Errors as values with a place: what failed, and where. */
#ifndef HATLAS_BASE_ERROR_H
#define HATLAS_BASE_ERROR_H

#include "base/buffer.h"

#include <stdbool.h>

/* Why one call failed. `where` is a file, file:line:column or znode path, or empty. */
struct error {
    char where[512];
    char text[1536];
};

/* Sets the error; `error` may be NULL. Returns false, so that `return error_set(…)` reads
 * well in functions that return whether they succeeded. Control characters are escaped.
 */
bool error_set(struct error *error, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends "where: text" to the buffer, or just the text where there is no place. */
void error_format(const struct error *error, struct buffer *out);

/* One thing that is wrong with some input, which did not stop the rest from being used.
 */
struct problem {
    char *where;
    char *text;
};

/* All that is wrong with some input. Starts as {0}. */
struct problems {
    struct problem *items;
    size_t count;
};

void problems_add(struct problems *problems, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds copies of all of `from`. */
void problems_append(struct problems *problems, const struct problems *from);

/* Adds the error of a call that failed. */
void problems_add_error(struct problems *problems, const struct error *error);

/* Appends `note`, which says what was done about them, to all problems from `first` on.
 */
void problems_note(struct problems *problems, size_t first, const char *note);

void problems_free(struct problems *problems);

#endif
