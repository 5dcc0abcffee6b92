/* A growing run of bytes. */
#include "base/buffer.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer)BUFFER_INIT;
}

void buffer_clear(struct buffer *buffer) {
    buffer->len = 0;
    if (buffer->data)
        buffer->data[0] = '\0';
}

char *buffer_reserve(struct buffer *buffer, size_t extra) {
    if (extra >= SIZE_MAX / 2 - buffer->len)
        mem_resize(NULL, SIZE_MAX, 2);
    size_t need = buffer->len + extra + 1;
    if (need > buffer->cap) {
        buffer->cap = need < buffer->cap * 2 ? buffer->cap * 2 : need + 64;
        buffer->data = mem_resize(buffer->data, buffer->cap, 1);
    }
    return buffer->data + buffer->len;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t len) {
    char *end = buffer_reserve(buffer, len);
    if (len)
        memcpy(end, bytes, len);
    end[len] = '\0';
    buffer->len += len;
}

void buffer_puts(struct buffer *buffer, const char *text) {
    buffer_append(buffer, text, strlen(text));
}

void buffer_putc(struct buffer *buffer, char c) {
    buffer_append(buffer, &c, 1);
}

void buffer_vprintf(struct buffer *buffer, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    char small[256];
    int len = vsnprintf(small, sizeof small, format, args);
    if (len >= 0 && (size_t)len < sizeof small) {
        buffer_append(buffer, small, (size_t)len);
    } else if (len >= 0) {
        char *end = buffer_reserve(buffer, (size_t)len);
        buffer->len += (size_t)vsnprintf(end, (size_t)len + 1, format, again);
    }
    va_end(again);
}

void buffer_printf(struct buffer *buffer, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buffer_vprintf(buffer, format, args);
    va_end(args);
}

char *buffer_steal(struct buffer *buffer) {
    char *data = buffer->data ? buffer->data : mem_strdup("");
    *buffer = (struct buffer)BUFFER_INIT;
    return data;
}

const char *buffer_str(const struct buffer *buffer) {
    return buffer->data ? buffer->data : "";
}
