/* Quoting: how a value is written so that HAProxy (or another reader) reads just the
 * value. Pure functions; HAProxy's rules are in its configuration manual, 2.2 "Quoting
 * and escaping". */
#ifndef HATLAS_RENDER_QUOTE_H
#define HATLAS_RENDER_QUOTE_H

#include "base/buffer.h"

#include <stdbool.h>

/* What stands around a value. */
enum quote {
    QUOTE_BARE,    /* HAProxy text outside of quotes */
    QUOTE_DOUBLE,  /* between "…" */
    QUOTE_SINGLE,  /* between '…' */
    QUOTE_COMMENT, /* behind # */
    QUOTE_MAP,     /* a map file, where blanks end the key */
    QUOTE_NONE,    /* any other text */
};

/* Where in a line of HAProxy text a reader stands. Starts as {0}. */
struct quote_scan {
    enum quote quote;
    bool escaped; /* the last character was a backslash that escapes the next one */
    bool in_word;
    unsigned words; /* begun so far */
};

/* Reads on over literal text of one line. */
void quote_scan_text(struct quote_scan *scan, const char *text, size_t len);

/* Reads on over a quoted value, which never is more than a part of one word. */
void quote_scan_value(struct quote_scan *scan);

/* Appends the value, quoted for its place. Returns NULL, or what makes it impossible:
 * "has a newline in it"; then nothing is appended. */
const char *quote_append(enum quote quote, const char *value, size_t len,
                         struct buffer *out);

/* The same for trusted text: nothing is quoted, but control characters are still refused.
 */
const char *quote_append_raw(const char *value, size_t len, struct buffer *out);

#endif
