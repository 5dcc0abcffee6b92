/* Finds the servers that other lines refer to: HAProxy never deletes these. */
#include "base/mem.h"
#include "plan/compare.h"

#include <stdlib.h>
#include <string.h>

struct references {
    char **names; /* "backend/server", sorted */
    size_t count;
};

static const char *const marks[] = {"use-server", "track", "attach-srv", "srv_"};

static bool has_mark(const struct line *text) {
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (memmem(text->text, text->len, marks[i], strlen(marks[i])))
            return true;
    return false;
}

/* "server" or "backend/server", up to what can't be part of a name. */
static void add(struct references *references, const struct section *section,
                const char *text) {
    text += strspn(text, "\"' \t");
    size_t len = strcspn(text, "(), \"'\t");
    bool whole = memchr(text, '/', len) != NULL;
    char *name = mem_printf("%s%s%.*s", whole ? "" : section->name, whole ? "" : "/",
                            (int)len, text);
    references->names =
        mem_grow(references->names, references->count, sizeof *references->names);
    references->names[references->count++] = name;
}

/* The arguments of all srv_…() in one word: srv_is_up(backend/server). */
static void read_fetches(struct references *references, const struct section *section,
                         const char *word) {
    for (const char *at = word; (at = strstr(at, "srv_"));) {
        at += strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        if (*at == '(')
            add(references, section, at + 1);
    }
}

static void read_line(struct references *references, const struct section *section,
                      const struct words *words) {
    for (size_t i = 0; i < words->count; i++) {
        bool refers = !strcmp(words->at[i], "track") ||
                      !strcmp(words->at[i], "attach-srv") ||
                      (i == 0 && !strcmp(words->at[i], "use-server"));
        if (refers && i + 1 < words->count)
            add(references, section, words->at[i + 1]);
        read_fetches(references, section, words->at[i]);
    }
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_any_mark(const char *config) {
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strstr(config, marks[i]))
            return true;
    return false;
}

static void read_config(struct references *references, const struct config *config) {
    struct words words = {0};
    for (size_t i = 0; i < config->count; i++) {
        struct line rest = config->sections[i].text, line;
        if (!has_mark(&rest))
            continue;
        while (line_next(&rest, &line))
            if (has_mark(&line)) {
                words_split(&words, &line);
                read_line(references, &config->sections[i], &words);
            }
    }
    words_free(&words);
    if (references->count)
        qsort(references->names, references->count, sizeof *references->names,
              compare_names);
}

struct references *references_new(const char *text) {
    struct references *references = mem_zalloc(sizeof *references);
    struct config config;
    if (!has_any_mark(text))
        return references;
    config_parse(&config, (struct line){text, strlen(text)}, NULL);
    read_config(references, &config);
    config_free(&config);
    return references;
}

void references_free(struct references *references) {
    if (!references)
        return;
    for (size_t i = 0; i < references->count; i++)
        free(references->names[i]);
    free(references->names);
    free(references);
}

bool references_have(const struct references *references, const char *backend,
                     const char *server) {
    char *name = mem_printf("%s/%s", backend, server);
    bool found = references->count && bsearch(&name, references->names, references->count,
                                              sizeof *references->names, compare_names);
    free(name);
    return found;
}
