/* What differs between two texts, as a unified diff. */
#ifndef HATLAS_BASE_DIFF_H
#define HATLAS_BASE_DIFF_H

#include "base/buffer.h"

#include <stdbool.h>

struct diff_text {
    const char *text; /* need not end with a NUL */
    size_t len;
};

/* Appends the unified diff with three lines of context, headed by the name; nothing for
 * equal texts. What both have in common at their ends costs next to nothing. Where the
 * rest differs in too many places, or the diff would be longer than `max` bytes, a line
 * says so instead. Returns whether they differ. */
bool diff_unified(const char *name, const struct diff_text *old,
                  const struct diff_text *new, size_t max, struct buffer *out);

#endif
