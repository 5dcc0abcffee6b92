/* Templates as Lua. Text never becomes Lua source: a line of text is a call with the
 * line's number, and only what stands between {{ and }} is copied. */
#include "render/compile.h"
#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 100 }; /* of one line: they are arguments of one Lua call */

struct compiler {
    struct program *program;
    const char *name;
    enum quote quote; /* QUOTE_BARE: HAProxy's config */
    struct buffer *lua;
    struct error *error;
};

static bool fault(struct compiler *compiler, const char *what) {
    char where[sizeof compiler->error->where];
    (void)snprintf(where, sizeof where, "%s:%zu", compiler->name,
                   compiler->program->line_count);
    return error_set(compiler->error, where, "%s", what);
}

static char *skip_string(char *p, const char *end) {
    char quote = *p;
    for (p++; p < end && *p != quote; p++)
        if (*p == '\\' && p + 1 < end)
            p++;
    return p < end ? p + 1 : NULL;
}

/* Skips [[…]] and [==[…]==]; returns `p` itself where there is none. */
static char *skip_long_string(char *p, const char *end) {
    size_t level = strspn(p + 1, "=");
    if (p + level + 1 >= end || p[level + 1] != '[')
        return p;
    for (char *close = p + level + 2; close + level + 1 < end; close++)
        if (close[0] == ']' && strspn(close + 1, "=") == level && close[level + 1] == ']')
            return close + level + 2;
    return NULL;
}

static char opening(char close) {
    if (close == ')')
        return '(';
    return close == ']' ? '[' : '{';
}

/* Finds the }} that ends the expression; strings, and brackets in pairs, are skipped. */
static char *expression_end(char *p, const char *end) {
    char open[64];
    size_t depth = 0;
    while (p < end) {
        char *start = p;
        if (*p == '"' || *p == '\'')
            p = skip_string(p, end);
        else if (*p == '[')
            p = skip_long_string(p, end);
        if (!p)
            return NULL;
        if (p > start)
            continue;
        if (!depth && p[0] == '}' && p[1] == '}')
            return p;
        if (strchr("([{", *p)) {
            if (depth == sizeof open)
                return NULL;
            open[depth++] = *p;
        } else if (strchr(")]}", *p)) {
            if (!depth || open[--depth] != opening(*p))
                return NULL;
        } else if (p[0] == '-' && p[1] == '-') {
            return NULL;
        }
        p++;
    }
    return NULL;
}

static char *trim(char *start, char **end) {
    while (start < *end && (*start == ' ' || *start == '\t'))
        start++;
    while (*end > start && ((*end)[-1] == ' ' || (*end)[-1] == '\t'))
        (*end)--;
    return start;
}

static char *find_open(char *p, const char *end) {
    return memmem(p, (size_t)(end - p), "{{", 2);
}

static bool add_value(struct compiler *compiler, struct quote_scan *scan, char *start,
                      char *end) {
    struct program *program = compiler->program;
    struct program_line *line = &program->lines[program->line_count - 1];
    char *last = end;
    start = trim(start, &last);
    if (start == last)
        return fault(compiler, "nothing between '{{' and '}}'");
    if (scan->escaped)
        return fault(compiler, "a backslash before '{{'");
    if (line->value_count == VALUES_MAX)
        return fault(compiler, "more than 100 values in a line");
    *last = '\0';
    program->values =
        mem_grow(program->values, program->value_count, sizeof *program->values);
    program->values[program->value_count++] = (struct program_value){
        .expression = start,
        .quote = compiler->quote == QUOTE_BARE ? scan->quote : compiler->quote};
    line->value_count++;
    quote_scan_value(scan);
    return true;
}

/* HAProxy would refuse the line, wherever it lands: better to say so with its place here.
 */
static bool check_line(struct compiler *compiler, const struct quote_scan *scan) {
    if (compiler->quote != QUOTE_BARE)
        return true;
    if (scan->quote == QUOTE_DOUBLE || scan->quote == QUOTE_SINGLE)
        return fault(compiler, "a quote is not closed in this line");
    if (scan->words > PROGRAM_WORDS_MAX)
        return fault(compiler, "more than the 64 words that HAProxy reads in a line");
    return true;
}

static const char *const keywords[] = {
    "and",      "break",  "do",   "else", "elseif", "end",   "false", "for",
    "function", "goto",   "if",   "in",   "local",  "nil",   "not",   "or",
    "repeat",   "return", "then", "true", "until",  "while", NULL};

/* The length of the name that begins here; 0 for anything else, keywords too. */
static size_t name_length(const char *p) {
    size_t len = 0;
    while (isalpha((unsigned char)p[len]) || p[len] == '_' ||
           (len && isdigit((unsigned char)p[len])))
        len++;
    for (const char *const *word = keywords; *word; word++)
        if (strlen(*word) == len && !strncmp(*word, p, len))
            return 0;
    return len;
}

/* Of "name.name" returns the second; NULL for any other expression. */
static const char *member_of(const char *expression) {
    size_t len = name_length(expression);
    if (!len || expression[len] != '.')
        return NULL;
    const char *member = expression + len + 1;
    len = name_length(member);
    return len && !member[len] ? member : NULL;
}

/* Whether the line calls nothing: then its members may be read after its values. */
static bool is_still(const struct program *program, const struct program_line *line) {
    for (size_t i = 0; i < line->value_count; i++)
        if (strpbrk(program->values[line->first_value + i].expression, "({[\"'"))
            return false;
    return true;
}

static void write_call(struct compiler *compiler, const struct program_line *line) {
    struct program *program = compiler->program;
    bool still = is_still(program, line);
    buffer_printf(compiler->lua, ";_line(%zu", program->line_count);
    for (size_t i = 0; i < line->value_count; i++) {
        struct program_value *value = &program->values[line->first_value + i];
        value->member = still ? member_of(value->expression) : NULL;
        size_t len = value->member ? (size_t)(value->member - value->expression - 1)
                                   : strlen(value->expression);
        buffer_puts(compiler->lua, ",(");
        buffer_append(compiler->lua, value->expression, len);
        buffer_putc(compiler->lua, ')');
    }
    buffer_putc(compiler->lua, ')');
}

/* `end` is where the line's newline stands, which belongs to the text. */
static bool text_line(struct compiler *compiler, char *p, char *end) {
    struct program *program = compiler->program;
    struct program_line *line = &program->lines[program->line_count - 1];
    struct quote_scan scan = {0};
    bool haproxy = compiler->quote == QUOTE_BARE;
    *line = (struct program_line){true, haproxy, p, 0, program->value_count, 0};
    size_t *len = &line->len;
    for (char *open; (open = find_open(p, end));) {
        *len = (size_t)(open - p);
        quote_scan_text(&scan, p, *len);
        char *close = expression_end(open + 2, end);
        if (!close)
            return fault(compiler, "'{{' without its '}}', or a comment, a string or a "
                                   "bracket between them that does not end");
        if (!add_value(compiler, &scan, open + 2, close))
            return false;
        p = close + 2;
        program->values[program->value_count - 1].text = p;
        len = &program->values[program->value_count - 1].len;
    }
    quote_scan_text(&scan, p, (size_t)(end - p));
    *len = (size_t)(end - p) + 1;
    write_call(compiler, line);
    return check_line(compiler, &scan);
}

static bool is_clean(const char *start, const char *end) {
    if (memchr(start, '\0', (size_t)(end - start)))
        return false;
    for (const char *p = start; p < end; p++) {
        size_t run = strcspn(p, "\t\n");
        if (p + run > end)
            run = (size_t)(end - p);
        if (!text_is_clean(p, run))
            return false;
        p += run;
    }
    return true;
}

static bool compile_line(struct compiler *compiler, char *start, char *end) {
    struct program *program = compiler->program;
    program->lines =
        mem_grow(program->lines, program->line_count, sizeof *program->lines);
    program->lines[program->line_count++] = (struct program_line){0};
    if (!is_clean(start, end))
        return fault(compiler,
                     "a control character (a carriage return?) or invalid UTF-8");
    char *first = start + strspn(start, " \t");
    if (first >= end || *first != '%')
        return text_line(compiler, start, end);
    if (first[1] == '%') {
        memmove(start + 1, start, (size_t)(first - start));
        return text_line(compiler, start + 1, end);
    }
    buffer_append(compiler->lua, first + 1, (size_t)(end - first - 1));
    return true;
}

static bool has_ending(const char *name, const char *ending) {
    size_t len = strlen(name);
    size_t want = strlen(ending);
    return len >= want && !strcmp(name + len - want, ending);
}

/* Copies the text; each line of it ends with a newline, so that what stands behind an
 * include never is a part of its last line. */
static char *copy_lines(const char *text, size_t *len) {
    bool whole = !*len || text[*len - 1] == '\n';
    char *copy = mem_resize(NULL, *len + 2, 1);
    memcpy(copy, text, *len);
    memcpy(copy + *len, "\n", 2);
    *len += !whole;
    return copy;
}

bool program_compile(struct program *program, const char *name, const char *text,
                     size_t len, struct buffer *lua, struct error *error) {
    *program = (struct program){.text = copy_lines(text, &len)};
    struct compiler compiler = {program, name, QUOTE_NONE, lua, error};
    if (has_ending(name, ".cfg"))
        compiler.quote = QUOTE_BARE;
    else if (has_ending(name, ".map"))
        compiler.quote = QUOTE_MAP;
    buffer_puts(lua, "local _line,_ENV=...");
    char *end = program->text + len;
    bool good = true;
    for (char *p = program->text; good && p < end;) {
        char *line_end = memchr(p, '\n', (size_t)(end - p));
        buffer_putc(lua, program->line_count ? '\n' : ';');
        good = compile_line(&compiler, p, line_end);
        p = line_end + 1;
    }
    if (!good)
        program_free(program);
    return good;
}

void program_free(struct program *program) {
    free(program->text);
    free(program->lines);
    free(program->values);
    *program = (struct program){0};
}
