/* Quoting: how a value is written so that HAProxy reads just the value. */
#include "render/quote.h"
#include "base/text.h"

#include <string.h>

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static void scan_bare(struct quote_scan *scan, char c) {
    if (c == '#') {
        scan->quote = QUOTE_COMMENT;
        return;
    }
    if (is_blank(c)) {
        scan->in_word = false;
        return;
    }
    quote_scan_value(scan);
    if (c == '"')
        scan->quote = QUOTE_DOUBLE;
    else if (c == '\'')
        scan->quote = QUOTE_SINGLE;
    else if (c == '\\')
        scan->escaped = true;
}

void quote_scan_text(struct quote_scan *scan, const char *text, size_t len) {
    for (size_t i = 0; i < len && scan->quote != QUOTE_COMMENT; i++) {
        char c = text[i];
        if (scan->escaped) {
            scan->escaped = false;
            quote_scan_value(scan);
        } else if (scan->quote == QUOTE_BARE) {
            scan_bare(scan, c);
        } else if (scan->quote == QUOTE_SINGLE) {
            if (c == '\'')
                scan->quote = QUOTE_BARE;
        } else if (c == '\\') {
            scan->escaped = true;
        } else if (c == '"') {
            scan->quote = QUOTE_BARE;
        }
    }
}

void quote_scan_value(struct quote_scan *scan) {
    if (!scan->in_word && scan->quote != QUOTE_COMMENT)
        scan->words++;
    scan->in_word = true;
}

/* What means nothing to HAProxy's reader of words, nor to people. A table, because most
 * of what is printed is read here. */
static const bool is_safe[256] = {
    ['-'] = true, ['_'] = true, ['.'] = true, [':'] = true, ['/'] = true, ['@'] = true,
    ['%'] = true, ['+'] = true, ['='] = true, [','] = true, ['['] = true, [']'] = true,
    ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true,
    ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true, ['a'] = true, ['b'] = true,
    ['c'] = true, ['d'] = true, ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true,
    ['i'] = true, ['j'] = true, ['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true,
    ['o'] = true, ['p'] = true, ['q'] = true, ['r'] = true, ['s'] = true, ['t'] = true,
    ['u'] = true, ['v'] = true, ['w'] = true, ['x'] = true, ['y'] = true, ['z'] = true,
    ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true, ['F'] = true,
    ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true, ['L'] = true,
    ['M'] = true, ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true, ['R'] = true,
    ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true, ['X'] = true,
    ['Y'] = true, ['Z'] = true,
};

static const char *refuse(const char *value, size_t len) {
    if (text_is_clean(value, len))
        return NULL;
    if (memchr(value, '\n', len))
        return "has a newline in it";
    if (memchr(value, '\0', len))
        return "has a NUL byte in it";
    return "has a control character or invalid UTF-8 in it";
}

static void append_single(const char *value, size_t len, struct buffer *out) {
    for (size_t i = 0; i < len; i++)
        if (value[i] == '\'')
            buffer_puts(out, "'\\''");
        else
            buffer_putc(out, value[i]);
}

static void append_double(const char *value, size_t len, struct buffer *out) {
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '\\' || value[i] == '"' || value[i] == '$')
            buffer_putc(out, '\\');
        buffer_putc(out, value[i]);
    }
}

static const char *append_map(const char *value, size_t len, struct buffer *out) {
    if (!len)
        return "is empty, which a map can't hold";
    if (value[0] == '#')
        return "begins with '#', which a map takes for a comment";
    if (memchr(value, ' ', len))
        return "has a blank in it, which a map can't hold";
    buffer_append(out, value, len);
    return NULL;
}

const char *quote_append(enum quote quote, const char *value, size_t len,
                         struct buffer *out) {
    size_t safe = 0;
    while (safe < len && is_safe[(unsigned char)value[safe]])
        safe++;
    if (safe == len && len) {
        buffer_append(out, value, len);
        return NULL;
    }
    const char *fault = refuse(value, len);
    if (fault)
        return fault;
    switch (quote) {
    case QUOTE_BARE:
        buffer_putc(out, '\'');
        append_single(value, len, out);
        buffer_putc(out, '\'');
        return NULL;
    case QUOTE_DOUBLE:
        append_double(value, len, out);
        return NULL;
    case QUOTE_SINGLE:
        append_single(value, len, out);
        return NULL;
    case QUOTE_MAP:
        return append_map(value, len, out);
    case QUOTE_COMMENT:
    case QUOTE_NONE:
        break;
    }
    buffer_append(out, value, len);
    return NULL;
}

const char *quote_append_raw(const char *value, size_t len, struct buffer *out) {
    const char *fault = refuse(value, len);
    if (!fault)
        buffer_append(out, value, len);
    return fault;
}
