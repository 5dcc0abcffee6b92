/* Splits lines of HAProxy's config into words, by HAProxy's rules of quoting. */
#include "plan/words.h"

#include <string.h>

/* One line on its way to words. */
struct split {
    const char *in, *end;
    char *out;
    char quote; /* the quote that is open, or 0 */
    bool open;  /* a word has begun */
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char put_hex(struct words *words, struct split *split) {
    int high = split->end - split->in >= 4 ? hex_digit(split->in[2]) : -1;
    int low = high >= 0 ? hex_digit(split->in[3]) : -1;
    if (low < 0 || (high == 0 && low == 0)) {
        words->odd = true;
        split->in += 1;
        return '\\';
    }
    split->in += 4;
    return (char)(unsigned char)(high * 16 + low);
}

/* A backslash before any other character stands for itself. */
static char unescape(struct words *words, struct split *split) {
    static const char codes[] = "tnr \\#'\"$";
    static const char meanings[] = "\t\n\r \\#'\"$";
    char next = '\0';
    if (split->end - split->in >= 2)
        next = split->in[1];
    const char *code = next ? strchr(codes, next) : NULL;
    if (next == 'x')
        return put_hex(words, split);
    split->in += code ? 2 : 1;
    if (!code)
        return '\\';
    return meanings[code - codes];
}

static void begin_word(struct words *words, struct split *split) {
    if (split->open)
        return;
    split->open = true;
    if (words->count == WORDS_MAX) {
        words->odd = true;
        words->count--;
    }
    words->at[words->count++] = split->out;
}

static void end_word(struct split *split) {
    if (split->open)
        *split->out++ = '\0';
    split->open = false;
}

/* Takes one character that is no blank, comment or quote. */
static void put(struct words *words, struct split *split) {
    char c = *split->in;
    begin_word(words, split);
    if (c == '\\' && split->quote != '\'') {
        *split->out++ = unescape(words, split);
        return;
    }
    if (c == '$' && split->quote == '"')
        words->expands = true;
    if (((unsigned char)c < ' ' && c != '\t') || c == '\x7f')
        words->odd = true;
    *split->out++ = c;
    split->in++;
}

static void toggle_quote(struct split *split) {
    if (split->quote)
        split->quote = '\0';
    else
        split->quote = *split->in;
}

void words_split(struct words *words, const struct line *line) {
    struct split split = {.in = line->text, .end = line->text + line->len};
    words->count = 0;
    words->expands = words->odd = false;
    buffer_clear(&words->text);
    /* Every word ends in the place of a blank or quote behind it, or of the line's end.
     */
    split.out = buffer_reserve(&words->text, line->len + 1);
    if (line->len && split.end[-1] == '\r')
        split.end--;
    while (split.in < split.end) {
        char c = *split.in;
        if (split.quote ? c == split.quote : c == '\'' || c == '"') {
            begin_word(words, &split);
            toggle_quote(&split);
            split.in++;
        } else if (!split.quote && is_blank(c)) {
            end_word(&split);
            split.in++;
        } else if (!split.quote && c == '#') {
            break;
        } else {
            put(words, &split);
        }
    }
    words->odd |= split.quote != '\0';
    end_word(&split);
}

void words_free(struct words *words) {
    buffer_free(&words->text);
}

bool line_equal(const struct line *a, const struct line *b) {
    return a->len == b->len && !memcmp(a->text, b->text, a->len);
}

bool line_is(const struct line *line, const char *text) {
    return strlen(text) == line->len && !memcmp(line->text, text, line->len);
}

bool words_same(struct words *a, struct words *b, const struct line *x,
                const struct line *y) {
    if (line_equal(x, y))
        return true;
    words_split(a, x);
    words_split(b, y);
    if (a->odd || b->odd || a->expands || b->expands || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->at[i], b->at[i]) != 0)
            return false;
    return true;
}

struct line line_first_word(const struct line *line) {
    static const bool ends[256] = {
        [' '] = true, ['\t'] = true, ['#'] = true, ['\r'] = true};
    size_t len = 0;
    while (len < line->len && !ends[(unsigned char)line->text[len]])
        len++;
    return (struct line){line->text, len};
}

bool line_is_plain(const struct line *word) {
    return !memchr(word->text, '\\', word->len) && !memchr(word->text, '"', word->len) &&
           !memchr(word->text, '\'', word->len);
}
