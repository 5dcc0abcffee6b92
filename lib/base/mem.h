/* Allocation that does not fail: a process without memory ends at once with a message,
 * and whoever supervises it starts it again from the last good files. */
#ifndef HATLAS_BASE_MEM_H
#define HATLAS_BASE_MEM_H

#include <stddef.h>

/* Returns `size` zeroed bytes; the caller owns them and releases them with free(). */
void *mem_zalloc(size_t size);

/* Returns room for `count` items of `size` bytes, checked for overflow. Takes over `old`.
 */
void *mem_resize(void *old, size_t count, size_t size);

/* Returns a copy of the string, or NULL for NULL; the caller owns it. */
char *mem_strdup(const char *text);

/* Returns a NUL-terminated copy of `len` bytes; the caller owns it. */
char *mem_strndup(const char *text, size_t len);

/* Returns a formatted string; the caller owns it. */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for one more item in the array `items` of `count` items. Grows by doubling
 * whenever `count` is a power of two, so no capacity needs to be kept. */
void *mem_grow(void *items, size_t count, size_t size);

/* Has the system provide the pages of fresh memory that is about to be written, all at once
 * (madvise(2), MADV_POPULATE_WRITE): one by one they cost more than the writing. Where the
 * system can't, nothing happens. */
void mem_populate(void *memory, size_t size);

#endif
