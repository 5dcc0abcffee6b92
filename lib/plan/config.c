/* Reads HAProxy's config into sections, and finds the defaults of each. No I/O, and no
 * text that it can't read: what is not understood stays a line. */
#include "plan/config.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Where a config is being read. */
struct reader {
    struct config *config;
    const struct config *before;
    bool skim;
    config_wanted *wanted;
    void *arg;
    bool open; /* the last section is being read, not one that is left out */
    struct words words;
};

static const struct section_type {
    const char *name;
    enum section_kind kind;
} section_types[] = {
    {"global", SECTION_OTHER},      {"defaults", SECTION_DEFAULTS},
    {"frontend", SECTION_OTHER},    {"backend", SECTION_SERVERS},
    {"listen", SECTION_SERVERS},    {"peers", SECTION_OTHER},
    {"resolvers", SECTION_OTHER},   {"mailers", SECTION_OTHER},
    {"userlist", SECTION_OTHER},    {"cache", SECTION_OTHER},
    {"ring", SECTION_OTHER},        {"log-forward", SECTION_OTHER},
    {"http-errors", SECTION_OTHER}, {"fcgi-app", SECTION_OTHER},
    {"program", SECTION_OTHER},     {"crt-store", SECTION_OTHER},
    {"traces", SECTION_OTHER},      {"log-profile", SECTION_OTHER},
    {"acme", SECTION_OTHER},
};

bool line_next(struct line *rest, struct line *line) {
    while (rest->len) {
        const char *newline = memchr(rest->text, '\n', rest->len);
        size_t len = newline ? (size_t)(newline - rest->text) : rest->len;
        *line = (struct line){rest->text, len};
        rest->text += newline ? len + 1 : len;
        rest->len -= newline ? len + 1 : len;
        while (line->len && (*line->text == ' ' || *line->text == '\t')) {
            line->text++;
            line->len--;
        }
        if (line->len && *line->text != '#' && *line->text != '\r')
            return true;
    }
    return false;
}

static const struct section_type *find_type(const struct line *word) {
    for (size_t i = 0; i < sizeof section_types / sizeof *section_types; i++)
        if (*word->text == *section_types[i].name && line_is(word, section_types[i].name))
            return &section_types[i];
    return NULL;
}

/* A section's keyword may be quoted, too. */
static const struct section_type *section_type(struct reader *reader,
                                               const struct line *line) {
    /* Most lines are those of servers. */
    if (*line->text == 's')
        return NULL;
    struct line word = line_first_word(line);
    const struct section_type *type = find_type(&word);
    if (type || line_is_plain(&word))
        return type;
    words_split(&reader->words, line);
    word.text = reader->words.count ? reader->words.at[0] : "";
    word.len = strlen(word.text);
    return find_type(&word);
}

/* The defaults of that name; without a name the last ones. Those that a section names are
 * mostly the last ones, too. */
static const struct section *find_defaults(const struct config *config,
                                           const char *name) {
    for (size_t i = config ? config->defaults_count : 0; i-- > 0;) {
        const struct section *section = &config->sections[config->defaults[i]];
        if (!name || !strcmp(section->name, name))
            return section;
    }
    return NULL;
}

/* What a section takes from the defaults that "from" names, or from the last ones. */
static const struct proxy *inherited(const struct reader *reader, const char *from) {
    const struct section *found = find_defaults(reader->config, from);
    if (!found)
        found = find_defaults(reader->before, from);
    return found ? found->proxy : NULL;
}

static struct section *add_section(struct config *config, const char *title) {
    config->sections =
        mem_grow(config->sections, config->count, sizeof *config->sections);
    struct section *section = &config->sections[config->count++];
    *section = (struct section){.title = mem_strdup(title)};
    section->name = section->title + strlen(section->title);
    return section;
}

/* What the words of a section's first line say. */
static void read_title(const struct words *words, const char **name, const char **from) {
    *name = words->count > 1 ? words->at[1] : "";
    *from = NULL;
    for (size_t i = 1; i + 1 < words->count; i++)
        if (!strcmp(words->at[i], "from"))
            *from = words->at[i + 1];
    if (*name == *from || !strcmp(*name, "from"))
        *name = "";
}

static bool is_left_out(const struct reader *reader, enum section_kind kind,
                        const char *name) {
    return reader->skim && kind != SECTION_DEFAULTS &&
           (kind != SECTION_SERVERS || !reader->wanted ||
            !reader->wanted(reader->arg, name));
}

/* Whether it is left out is mostly known without splitting its line into words. */
static bool is_soon_left_out(const struct reader *reader, enum section_kind kind,
                             const struct line *line) {
    char name[128];
    if (!reader->skim || kind == SECTION_DEFAULTS)
        return false;
    if (kind != SECTION_SERVERS || !reader->wanted)
        return true;
    struct line rest = line_first_word(line);
    rest.text += rest.len;
    rest.len = line->len - rest.len;
    while (rest.len && (*rest.text == ' ' || *rest.text == '\t')) {
        rest.text++;
        rest.len--;
    }
    struct line word = line_first_word(&rest);
    if (!word.len || word.len >= sizeof name || !line_is_plain(&word))
        return false;
    memcpy(name, word.text, word.len);
    name[word.len] = '\0';
    return strcmp(name, "from") != 0 && !reader->wanted(reader->arg, name);
}

static void start_section(struct reader *reader, const struct section_type *type,
                          const struct line *line) {
    const char *name, *from;
    if (is_soon_left_out(reader, type->kind, line))
        return;
    words_split(&reader->words, line);
    read_title(&reader->words, &name, &from);
    if (is_left_out(reader, type->kind, name))
        return;
    char *title = mem_printf("%s%s%s", type->name, *name ? " " : "", name);
    struct section *section = add_section(reader->config, title);
    section->name += *name ? -(ptrdiff_t)strlen(name) : 0;
    section->kind = type->kind;
    section->text = *line;
    section->conditional = reader->config->depth > 0;
    /* A section of defaults inherits only where it says so. */
    if (section->kind != SECTION_OTHER && (from || section->kind == SECTION_SERVERS))
        section->inherit = inherited(reader, from);
    reader->open = true;
    free(title);
}

/* Notes what a line changes for the section that it stands in. */
static void read_macro(struct reader *reader, const struct line *line) {
    struct line word = line_first_word(line);
    bool begins = line_is(&word, ".if");
    bool ends = line_is(&word, ".endif");
    if (!begins && !ends && !line_is(&word, ".elif") && !line_is(&word, ".else"))
        return;
    struct config *config = reader->config;
    config->depth += begins;
    config->depth -= ends && config->depth;
    if (reader->open)
        config->sections[config->count - 1].conditional = true;
}

static void finish_section(struct reader *reader, const char *end) {
    struct config *config = reader->config;
    if (!reader->open)
        return;
    reader->open = false;
    struct section *section = &config->sections[config->count - 1];
    section->text.len = (size_t)(end - section->text.text);
    if (section->kind != SECTION_DEFAULTS)
        return;
    struct line rest = section->text, line;
    config->defaults =
        mem_grow(config->defaults, config->defaults_count, sizeof *config->defaults);
    config->defaults[config->defaults_count++] = config->count - 1;
    section->proxy = mem_zalloc(sizeof *section->proxy);
    proxy_start(section->proxy, section->inherit);
    while (line_next(&rest, &line))
        proxy_read(section->proxy, &reader->words, &line);
    if (section->conditional) {
        section->proxy->balance = BALANCE_UNKNOWN;
        section->proxy->no_add = ".if in its defaults";
    }
}

/* Passes by lines that can't begin a section of defaults, nor one of servers if some are
 * wanted, nor be an `.if`: of the others nothing is wanted, and most lines are those of
 * servers. */
static void skip_dull(struct line *rest, bool servers) {
    const bool matters[256] = {
        ['d'] = true, ['b'] = servers, ['l'] = servers, ['.'] = true,
        ['"'] = true, ['\''] = true,   ['\\'] = true};
    static const char option[] = "default-server";
    const char *at = rest->text, *end = rest->text + rest->len;
    while (at < end) {
        const char *first = at;
        while (first < end && (*first == ' ' || *first == '\t'))
            first++;
        bool is_option = (size_t)(end - first) > sizeof option &&
                         !memcmp(first, option, sizeof option - 1);
        if (first < end && matters[(unsigned char)*first] && !is_option)
            break;
        const char *newline = memchr(first, '\n', (size_t)(end - first));
        at = newline ? newline + 1 : end;
    }
    *rest = (struct line){at, (size_t)(end - at)};
}

static bool next_line(const struct reader *reader, struct line *rest, struct line *line) {
    if (reader->skim && !reader->open)
        skip_dull(rest, reader->wanted != NULL);
    return line_next(rest, line);
}

static void read_config(struct reader *reader, struct line rest) {
    struct line line;
    bool begun = reader->before != NULL;
    while (next_line(reader, &rest, &line)) {
        const struct section_type *type = section_type(reader, &line);
        if (type) {
            finish_section(reader, line.text);
            start_section(reader, type, &line);
        } else if (!begun && !reader->skim) {
            add_section(reader->config, "before the first section")->text = line;
            reader->open = true;
        }
        begun = true;
        if (*line.text == '.')
            read_macro(reader, &line);
    }
    finish_section(reader, rest.text);
    words_free(&reader->words);
}

void config_parse(struct config *config, struct line text, const struct config *before) {
    struct reader reader = {.config = config, .before = before};
    *config = (struct config){.depth = before ? before->depth : 0};
    read_config(&reader, text);
}

void config_skim(struct config *config, struct line text, config_wanted *wanted,
                 void *arg) {
    struct reader reader = {.config = config, .skim = true, .wanted = wanted, .arg = arg};
    *config = (struct config){0};
    read_config(&reader, text);
}

void config_free(struct config *config) {
    for (size_t i = 0; i < config->count; i++) {
        struct section *section = &config->sections[i];
        free(section->title);
        if (section->proxy)
            proxy_free(section->proxy);
        free(section->proxy);
    }
    free(config->sections);
    free(config->defaults);
    *config = (struct config){0};
}

/* How many bytes are the same from the beginning on. */
static size_t same_before(const char *a, const char *b, size_t max) {
    enum { BLOCK = 4096 };
    size_t i = 0;
    while (i + BLOCK <= max && !memcmp(a + i, b + i, BLOCK))
        i += BLOCK;
    while (i < max && a[i] == b[i])
        i++;
    return i;
}

/* How many bytes are the same at the end. */
static size_t same_behind(const char *a_end, const char *b_end, size_t max) {
    enum { BLOCK = 4096 };
    size_t i = 0;
    while (i + BLOCK <= max && !memcmp(a_end - i - BLOCK, b_end - i - BLOCK, BLOCK))
        i += BLOCK;
    while (i < max && a_end[-1 - (ptrdiff_t)i] == b_end[-1 - (ptrdiff_t)i])
        i++;
    return i;
}

static bool begins_section(struct reader *reader, const char *text, size_t len) {
    struct line rest = {text, len}, line;
    return line_next(&rest, &line) && section_type(reader, &line);
}

/* The beginning of the last line before `at` that begins a section, or of the text. */
static size_t section_before(struct reader *reader, const char *text, size_t at) {
    while (at) {
        const char *newline = memrchr(text, '\n', at - 1);
        size_t start = newline ? (size_t)(newline - text) + 1 : 0;
        if (begins_section(reader, text + start, at - start))
            return start;
        at = start;
    }
    return 0;
}

/* The beginning of the first line from `at` on that begins a section, or the end. */
static size_t section_behind(struct reader *reader, const char *text, size_t at,
                             size_t len) {
    while (at < len) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t next = newline ? (size_t)(newline - text) + 1 : len;
        if (begins_section(reader, text + at, next - at))
            return at;
        at = next;
    }
    return len;
}

void config_trim(const char *old, const char *new, size_t *before, size_t *after) {
    struct reader reader = {0};
    size_t old_len = strlen(old), new_len = strlen(new);
    size_t shorter = old_len < new_len ? old_len : new_len;
    size_t at = same_before(old, new, shorter);
    const char *newline = at ? memrchr(old, '\n', at) : NULL;
    *before = section_before(&reader, old, newline ? (size_t)(newline - old) + 1 : 0);
    size_t same = same_behind(old + old_len, new + new_len, shorter - *before);
    /* The first line that is whole among what is the same. */
    newline = memchr(old + old_len - same, '\n', same);
    at = newline ? (size_t)(newline - old) + 1 : old_len;
    *after = old_len - section_behind(&reader, old, at, old_len);
    words_free(&reader.words);
}
