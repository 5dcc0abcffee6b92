/* Templates as Lua: one line of a template is one line of the Lua text made from it. */
#ifndef HATLAS_RENDER_COMPILE_H
#define HATLAS_RENDER_COMPILE_H

#include "base/buffer.h"
#include "base/error.h"
#include "render/quote.h"

/* One {{ expression }} and the literal text behind it. Strings point into the program's
 * text. Of "host.name" Lua passes the host if nothing in the line can change it in
 * between: then `member` is "name", read where it is printed.
 */
struct program_value {
    const char *expression;
    const char *member;
    int host_key; /* the member's number among the keys of hosts, set by emit_push */
    enum quote quote;
    const char *text;
    size_t len;
};

/* One line of text. A line of Lua has no text and is not `printed`. */
struct program_line {
    bool printed;
    bool haproxy; /* bound by HAProxy's limits */
    const char *text;
    size_t len;
    size_t first_value, value_count;
};

struct program {
    char *text;
    struct program_line *lines; /* lines[n - 1] is line n */
    size_t line_count;
    struct program_value *values;
    size_t value_count;
};

enum { PROGRAM_WORDS_MAX = 64, PROGRAM_LINE_MAX = 16384 };

/* Turns the template into a program and appends the Lua text, a function of two
 * arguments: what is called as (line, value…) for each line of text, and the globals. The
 * ending of the name says what is written: "*.cfg" HAProxy's config, "*.map" a map, else
 * plain text. On error the program is empty. */
bool program_compile(struct program *program, const char *name, const char *text,
                     size_t len, struct buffer *lua, struct error *error);
void program_free(struct program *program);

#endif
