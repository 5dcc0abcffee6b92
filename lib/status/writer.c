/* Writes JSON straight into a buffer. */
#include "status/writer.h"

#include <stdio.h>
#include <string.h>

static void begin(struct writer *writer, const char *key) {
    if (writer->more)
        buffer_putc(writer->out, ',');
    writer->more = true;
    if (key) {
        buffer_putc(writer->out, '"');
        buffer_puts(writer->out, key);
        buffer_append(writer->out, "\":", 2);
    }
}

void writer_open(struct writer *writer, const char *key, char bracket) {
    begin(writer, key);
    buffer_putc(writer->out, bracket);
    writer->more = false;
}

void writer_close(struct writer *writer, char bracket) {
    buffer_putc(writer->out, bracket);
    writer->more = true;
}

/* How many bytes the character at `text` has; 0 if it is none of UTF-8 (RFC 3629). */
static size_t character(const unsigned char *text) {
    size_t len = *text < 0x80                    ? 1
                 : *text >= 0xc2 && *text < 0xe0 ? 2
                 : *text >= 0xe0 && *text < 0xf0 ? 3
                 : *text >= 0xf0 && *text < 0xf5 ? 4
                                                 : 0;
    for (size_t i = 1; i < len; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool overlong =
        (*text == 0xe0 && text[1] < 0xa0) || (*text == 0xf0 && text[1] < 0x90);
    bool surrogate = *text == 0xed && text[1] >= 0xa0;
    bool beyond = *text == 0xf4 && text[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : len;
}

static void put_character(struct buffer *out, const unsigned char *text, size_t len) {
    if (!len)
        buffer_puts(out, "\\ufffd");
    else if (*text == '"' || *text == '\\')
        buffer_printf(out, "\\%c", *text);
    else if (*text < 0x20 || *text == 0x7f || *text == '<')
        buffer_printf(out, "\\u%04x", *text);
    else
        buffer_append(out, text, len);
}

/* How many bytes from here on need no thought. */
static size_t plain(const unsigned char *text) {
    size_t len = 0;
    while (text[len] >= 0x20 && text[len] < 0x7f && text[len] != '"' &&
           text[len] != '\\' && text[len] != '<')
        len++;
    return len;
}

void writer_text(struct writer *writer, const char *key, const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    if (!text) {
        writer_null(writer, key);
        return;
    }
    begin(writer, key);
    buffer_putc(writer->out, '"');
    while (*at) {
        size_t len = plain(at);
        buffer_append(writer->out, at, len);
        at += len;
        if (*at) {
            len = character(at);
            put_character(writer->out, at, len);
            at += len ? len : 1;
        }
    }
    buffer_putc(writer->out, '"');
}

void writer_int(struct writer *writer, const char *key, int64_t number) {
    char text[32];
    int len = snprintf(text, sizeof text, "%lld", (long long)number);
    begin(writer, key);
    buffer_append(writer->out, text, (size_t)len);
}

void writer_bool(struct writer *writer, const char *key, bool value) {
    begin(writer, key);
    buffer_puts(writer->out, value ? "true" : "false");
}

void writer_null(struct writer *writer, const char *key) {
    begin(writer, key);
    buffer_puts(writer->out, "null");
}

void writer_milli(struct writer *writer, const char *key, int64_t thousandths) {
    begin(writer, key);
    buffer_printf(writer->out, "%.3f", (double)thousandths / 1000.0);
}
