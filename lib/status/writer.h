/* Writes JSON straight into a buffer: thousands of hosts without a tree in between. */
#ifndef HATLAS_STATUS_WRITER_H
#define HATLAS_STATUS_WRITER_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

struct writer {
    struct buffer *out;
    bool more; /* the next value stands behind another */
};

/* Every value takes the key it stands under, NULL inside a list. `close` is the bracket
 * that ends what `open` began. */
void writer_open(struct writer *writer, const char *key, char bracket);
void writer_close(struct writer *writer, char bracket);

/* Text of any bytes: what is not UTF-8 becomes U+FFFD, control characters are escaped,
 * and so is `<`, so that no text can end a script element. NULL is written as null. */
void writer_text(struct writer *writer, const char *key, const char *text);
void writer_int(struct writer *writer, const char *key, int64_t number);
void writer_bool(struct writer *writer, const char *key, bool value);
void writer_null(struct writer *writer, const char *key);

/* Thousandths with three decimals. */
void writer_milli(struct writer *writer, const char *key, int64_t thousandths);

#endif
