/* The one place where running out of memory is dealt with. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *checked(void *memory) {
    if (!memory) {
        (void)fputs("hatlas: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *mem_zalloc(size_t size) {
    return checked(calloc(1, size ? size : 1));
}

void *mem_resize(void *old, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size)
        checked(NULL);
    size_t bytes = count * size;
    return checked(realloc(old, bytes > 0 ? bytes : 1));
}

char *mem_strdup(const char *text) {
    return text ? checked(strdup(text)) : NULL;
}

char *mem_strndup(const char *text, size_t len) {
    char *copy = mem_resize(NULL, len + 1, 1);
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *mem_printf(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return checked(text);
}

void *mem_grow(void *items, size_t count, size_t size) {
    if (count & (count - 1))
        return items;
    return mem_resize(items, count ? count * 2 : 1, size);
}

void mem_populate(void *memory, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)memory + size) & ~(page - 1);
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_POPULATE_WRITE);
}
