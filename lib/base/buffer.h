/* A growing run of bytes: the one place where sizes grow, and where overflow is checked.
 */
#ifndef HATLAS_BASE_BUFFER_H
#define HATLAS_BASE_BUFFER_H

#include <stdarg.h>
#include <stddef.h>

struct buffer {
    char *data; /* NUL-terminated; NULL while nothing was appended */
    size_t len; /* without the NUL */
    size_t cap;
};

#define BUFFER_INIT                                                                      \
    { NULL, 0, 0 }

/* Frees the bytes and makes the buffer empty. */
void buffer_free(struct buffer *buffer);

/* Empties the buffer but keeps its memory. */
void buffer_clear(struct buffer *buffer);

void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
void buffer_puts(struct buffer *buffer, const char *text);
void buffer_putc(struct buffer *buffer, char c);
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *buffer, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Makes room for `extra` more bytes and returns where they go; add them to `len` after.
 */
char *buffer_reserve(struct buffer *buffer, size_t extra);

/* Returns the bytes, never NULL; the caller owns them. The buffer is empty after. */
char *buffer_steal(struct buffer *buffer);

/* Returns the bytes as a string, "" for an empty buffer. Valid until the next change. */
const char *buffer_str(const struct buffer *buffer);

#endif
