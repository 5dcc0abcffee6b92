/* Errors as values with a place. */
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool error_set(struct error *error, const char *where, const char *format, ...) {
    if (!error)
        return false;
    char raw[sizeof error->text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    text_printable(raw, error->text, sizeof error->text);
    text_printable(where ? where : "", error->where, sizeof error->where);
    return false;
}

void error_format(const struct error *error, struct buffer *out) {
    if (error->where[0])
        buffer_printf(out, "%s: ", error->where);
    buffer_puts(out, error->text);
}

static void add(struct problems *problems, const char *where, const char *text) {
    char safe_where[512];
    char safe_text[1536];
    text_printable(where ? where : "", safe_where, sizeof safe_where);
    text_printable(text, safe_text, sizeof safe_text);
    problems->items = mem_grow(problems->items, problems->count, sizeof *problems->items);
    problems->items[problems->count++] =
        (struct problem){mem_strdup(safe_where), mem_strdup(safe_text)};
}

void problems_add(struct problems *problems, const char *where, const char *format, ...) {
    char text[1536];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add(problems, where, text);
}

void problems_append(struct problems *problems, const struct problems *from) {
    for (size_t i = 0; i < from->count; i++)
        add(problems, from->items[i].where, from->items[i].text);
}

void problems_add_error(struct problems *problems, const struct error *error) {
    add(problems, error->where, error->text);
}

void problems_note(struct problems *problems, size_t first, const char *note) {
    for (size_t i = first; i < problems->count; i++) {
        char *text = mem_printf("%s%s", problems->items[i].text, note);
        free(problems->items[i].text);
        problems->items[i].text = text;
    }
}

void problems_free(struct problems *problems) {
    for (size_t i = 0; i < problems->count; i++) {
        free(problems->items[i].where);
        free(problems->items[i].text);
    }
    free(problems->items);
    *problems = (struct problems){0};
}
