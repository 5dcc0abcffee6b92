/* Compares the sections of two configs: the same ones in the same order, and in each the
 * same lines, but for comments, spaces, quoting and the lines of servers. */
#include "base/mem.h"
#include "base/text.h"
#include "plan/compare.h"

#include <string.h>

#include <stdlib.h>
#include <uthash.h>

struct title {
    const char *text;
    UT_hash_handle hh;
};

/* Returns the first section of `config` that `other` has none of, and how many there are.
 */
static const struct section *find_missing(const struct config *config,
                                          const struct config *other, size_t *count) {
    struct title *titles = mem_zalloc((other->count + 1) * sizeof *titles);
    struct title *known = NULL, *found;
    const struct section *first = NULL;
    *count = 0;
    for (size_t i = 0; i < other->count; i++) {
        titles[i].text = other->sections[i].title;
        HASH_FIND_STR(known, titles[i].text, found);
        if (!found)
            HASH_ADD_KEYPTR(hh, known, titles[i].text, strlen(titles[i].text),
                            &titles[i]);
    }
    for (size_t i = 0; i < config->count; i++) {
        HASH_FIND_STR(known, config->sections[i].title, found);
        if (!found && !(*count)++)
            first = &config->sections[i];
    }
    HASH_CLEAR(hh, known);
    free(titles);
    return first;
}

static bool report_section(struct comparison *comparison, const struct section *section,
                           const char *what, size_t count) {
    char title[160];
    (void)text_printable(section->title, title, sizeof title);
    if (count < 2)
        return compare_reload(comparison, "%s: %s", title, what);
    return compare_reload(comparison, "%s: %s, and %zu more", title, what, count - 1);
}

static bool compare_titles(struct comparison *comparison) {
    const struct config *old = &comparison->old, *new = &comparison->new;
    size_t i = 0, count = 0;
    while (i < old->count && i < new->count &&
           !strcmp(old->sections[i].title, new->sections[i].title))
        i++;
    if (i == old->count && i == new->count)
        return true;
    if (!old->count)
        return compare_reload(comparison, "there was no config before");
    const struct section *found = find_missing(new, old, &count);
    if (found)
        return report_section(comparison, found, "new", count);
    found = find_missing(old, new, &count);
    if (found)
        return report_section(comparison, found, "gone", count);
    found = i < new->count ? &new->sections[i] : &old->sections[i];
    return report_section(comparison, found, "at another place in the config", 1);
}

/* The words that name what a line is about, without any value that could be secret. */
static void describe_line(const struct line *line, struct words *words, char *out,
                          size_t size) {
    static const char *const with_object[] = {"option",
                                              "no",
                                              "timeout",
                                              "acl",
                                              "use_backend",
                                              "http-request",
                                              "tcp-request",
                                              "http-response",
                                              "tcp-response",
                                              "http-check",
                                              "tcp-check",
                                              "stick",
                                              "stats",
                                              "bind",
                                              "use-server",
                                              "server",
                                              "http-after-response"};
    words_split(words, line);
    const char *first = words->count ? words->at[0] : "";
    const char *second = "";
    for (size_t i = 0; i < sizeof with_object / sizeof *with_object; i++)
        if (words->count > 1 && !strcmp(first, with_object[i]))
            second = words->at[1];
    char *text = mem_printf("%s%s%s", first, *second ? " " : "", second);
    (void)text_printable(text, out, size);
    free(text);
}

struct section_lines {
    struct line *lines;
    size_t count;
};

static bool is_server_line(const struct section *section, struct words *words,
                           const struct line *line) {
    struct line first = line_first_word(line);
    if (section->kind != SECTION_SERVERS || section->conditional)
        return false;
    if (line_is_plain(&first))
        return line_is(&first, "server");
    words_split(words, line);
    return words->count && !strcmp(words->at[0], "server");
}

static void read_lines(const struct section *section, struct words *words,
                       struct section_lines *out) {
    struct line rest = section->text, line;
    *out = (struct section_lines){0};
    while (line_next(&rest, &line))
        if (!is_server_line(section, words, &line)) {
            out->lines = mem_grow(out->lines, out->count, sizeof *out->lines);
            out->lines[out->count++] = line;
        }
}

static bool has_line(struct comparison *comparison, const struct section_lines *lines,
                     size_t from, const struct line *line) {
    for (size_t i = from; i < lines->count; i++)
        if (words_same(&comparison->words[0], &comparison->words[1], &lines->lines[i],
                       line))
            return true;
    return false;
}

/* Says in words how the lines differ from number `i` on. */
static bool report_lines(struct comparison *comparison, const char *title,
                         const struct section_lines *old, const struct section_lines *new,
                         size_t i) {
    char name[160], before[80] = "", after[80] = "";
    (void)text_printable(title, name, sizeof name);
    if (i < old->count)
        describe_line(&old->lines[i], &comparison->words[0], before, sizeof before);
    if (i < new->count)
        describe_line(&new->lines[i], &comparison->words[0], after, sizeof after);
    if (i == 0 && old->count && new->count)
        return compare_reload(comparison, "%s: its first line changed", name);
    bool added = i < new->count && !has_line(comparison, old, i, &new->lines[i]);
    bool removed = i < old->count && !has_line(comparison, new, i, &old->lines[i]);
    if (added && removed && !strcmp(before, after))
        return compare_reload(comparison, "%s: %s changed", name, after);
    if (added)
        return compare_reload(comparison, "%s: line `%s …` added", name, after);
    if (removed)
        return compare_reload(comparison, "%s: line `%s …` removed", name, before);
    return compare_reload(comparison, "%s: line `%s …` at another place", name, after);
}

/* All lines but those of servers. */
static bool compare_lines(struct comparison *comparison, const struct section *old,
                          const struct section *new) {
    struct section_lines a, b;
    read_lines(old, &comparison->words[0], &a);
    read_lines(new, &comparison->words[0], &b);
    size_t i = 0;
    while (i < a.count && i < b.count &&
           words_same(&comparison->words[0], &comparison->words[1], &a.lines[i],
                      &b.lines[i]))
        i++;
    bool same = i == a.count && i == b.count;
    if (!same)
        (void)report_lines(comparison, new->title, &a, &b, i);
    free(a.lines);
    free(b.lines);
    return same;
}

bool compare_sections(struct comparison *comparison) {
    const struct config *old = &comparison->old, *new = &comparison->new;
    if (!compare_titles(comparison))
        return false;
    for (size_t i = 0; i < new->count; i++) {
        const struct section *a = &old->sections[i], *b = &new->sections[i];
        if (a->conditional == b->conditional && line_equal(&a->text, &b->text))
            continue;
        if (a->conditional != b->conditional)
            return report_section(comparison, b, "conditional, or no more so", 1);
        if (!compare_lines(comparison, a, b))
            return false;
    }
    for (size_t i = 0; i < new->count; i++) {
        const struct section *a = &old->sections[i], *b = &new->sections[i];
        if (b->kind == SECTION_SERVERS && !b->conditional &&
            !line_equal(&a->text, &b->text) && !compare_servers(comparison, a, b))
            return false;
    }
    return true;
}
