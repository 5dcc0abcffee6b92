/* Reads HAProxy's config into sections, and finds the defaults of each. No I/O, and no
 * text that it can't read: what is not understood stays a line. */
#include "plan/config.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Where a config is being read. */
struct reader {
    struct config *config;
    struct words words;
    size_t depth;     /* of .if */
    size_t *defaults; /* where the sections of defaults stand */
    size_t defaults_count;
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
    if (!line_is_plain(&word)) {
        words_split(&reader->words, line);
        word.text = reader->words.count ? reader->words.at[0] : "";
        word.len = strlen(word.text);
    }
    return find_type(&word);
}

/* The defaults that "from" names; without a name the last ones before. Those that a
 * section names are mostly the last ones, too. */
static const struct proxy *find_defaults(const struct reader *reader, const char *name) {
    for (size_t i = reader->defaults_count; i-- > 0;) {
        const struct section *section = &reader->config->sections[reader->defaults[i]];
        if (!name || !strcmp(section->name, name))
            return section->proxy;
    }
    return NULL;
}

static struct section *add_section(struct config *config, const char *title) {
    config->sections =
        mem_grow(config->sections, config->count, sizeof *config->sections);
    struct section *section = &config->sections[config->count];
    *section = (struct section){.title = mem_strdup(title)};
    section->name = section->title + strlen(section->title);
    return section;
}

static void start_section(struct reader *reader, const struct section_type *type,
                          const struct line *line) {
    struct words *words = &reader->words;
    words_split(words, line);
    const char *name = words->count > 1 ? words->at[1] : "";
    const char *from = NULL;
    for (size_t i = 1; i + 1 < words->count; i++)
        if (!strcmp(words->at[i], "from"))
            from = words->at[i + 1];
    if (name == from || !strcmp(name, "from"))
        name = "";
    char *title = mem_printf("%s%s%s", type->name, *name ? " " : "", name);
    struct section *section = add_section(reader->config, title);
    section->name += *name ? -(ptrdiff_t)strlen(name) : 0;
    section->kind = type->kind;
    section->text = *line;
    section->conditional = reader->depth > 0;
    /* A section of defaults inherits only where it says so. */
    if (section->kind != SECTION_OTHER && (from || section->kind == SECTION_SERVERS))
        section->inherit = find_defaults(reader, from);
    reader->config->count++;
    free(title);
}

/* Notes what a line changes for the section that it stands in. */
static void read_macro(struct reader *reader, const struct line *line) {
    struct line word = line_first_word(line);
    bool begins = line_is(&word, ".if");
    bool ends = line_is(&word, ".endif");
    if (!begins && !ends && !line_is(&word, ".elif") && !line_is(&word, ".else"))
        return;
    reader->depth += begins;
    reader->depth -= ends && reader->depth;
    reader->config->sections[reader->config->count - 1].conditional = true;
}

static void finish_section(struct reader *reader, const char *end) {
    if (!reader->config->count)
        return;
    struct section *section = &reader->config->sections[reader->config->count - 1];
    section->text.len = (size_t)(end - section->text.text);
    if (section->kind != SECTION_DEFAULTS)
        return;
    struct line rest = section->text, line;
    reader->defaults =
        mem_grow(reader->defaults, reader->defaults_count, sizeof *reader->defaults);
    reader->defaults[reader->defaults_count++] = reader->config->count - 1;
    section->proxy = mem_zalloc(sizeof *section->proxy);
    proxy_start(section->proxy, section->inherit);
    while (line_next(&rest, &line))
        proxy_read(section->proxy, &reader->words, &line);
    if (section->conditional) {
        section->proxy->balance = BALANCE_UNKNOWN;
        section->proxy->no_add = ".if in its defaults";
    }
}

void config_parse(struct config *config, const char *text) {
    struct reader reader = {.config = config};
    struct line rest = {text, strlen(text)}, line;
    *config = (struct config){0};
    while (line_next(&rest, &line)) {
        const struct section_type *type = section_type(&reader, &line);
        if (type) {
            finish_section(&reader, line.text);
            start_section(&reader, type, &line);
        } else if (!config->count) {
            add_section(config, "before the first section")->text = line;
            config->count++;
        }
        if (*line.text == '.')
            read_macro(&reader, &line);
    }
    finish_section(&reader, rest.text);
    words_free(&reader.words);
    free(reader.defaults);
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
    *config = (struct config){0};
}
