/* Reads, sends in pieces and compares the entries of map files. */
#include "haproxy/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "haproxy/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = CLI_COMMAND_MAX / 2 };

static void add(struct map *map, char *line) {
    map->lines = mem_grow(map->lines, map->count, sizeof *map->lines);
    map->lines[map->count++] = line;
}

/* Brings "  key \t value  " into the form "key value", in place. Returns NULL without a
 * value. */
static char *normalize(char *line) {
    char *key = line + strspn(line, " \t");
    char *end = key + strcspn(key, " \t");
    char *value = end + strspn(end, " \t");
    size_t len = strlen(value);
    while (len && strchr(" \t\r", value[len - 1]))
        len--;
    if (!len)
        return NULL;
    *end = ' ';
    memmove(end + 1, value, len);
    end[1 + len] = '\0';
    return key;
}

static bool read_line(struct map *map, char *line, const char *where,
                      struct error *error) {
    const char *start = line + strspn(line, " \t\r");
    if (!*start || *start == '#')
        return true;
    char *entry = normalize(line);
    if (!entry)
        return error_set(error, where, "a map entry without a value");
    size_t len = strlen(entry);
    if (len > LINE_MAX_BYTES)
        return error_set(error, where, "a map entry of %zu bytes can't be sent", len);
    if (!text_is_clean(entry, len))
        return error_set(error, where, "a map entry with control characters");
    add(map, entry);
    return true;
}

bool map_read(struct map *map, const char *name, const char *text, struct error *error) {
    *map = (struct map){.text = mem_strdup(text)};
    char *line = map->text;
    for (size_t number = 1; line; number++) {
        char where[512];
        char *newline = strchr(line, '\n');
        if (newline)
            *newline = '\0';
        (void)snprintf(where, sizeof where, "%s:%zu", name, number);
        if (!read_line(map, line, where, error)) {
            map_free(map);
            return false;
        }
        line = newline ? newline + 1 : NULL;
    }
    return true;
}

/* Lines are "0x55a8aa048560 key value". */
bool map_read_answer(struct map *map, const char *answer) {
    *map = (struct map){.text = mem_strdup(answer)};
    char *rest = NULL;
    for (char *line = strtok_r(map->text, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        size_t digits = strncmp(line, "0x", 2) ? 0 : strspn(line + 2, "0123456789abcdef");
        char *entry =
            digits && line[2 + digits] == ' ' ? normalize(line + 3 + digits) : NULL;
        if (!entry) {
            map_free(map);
            return false;
        }
        add(map, entry);
    }
    return true;
}

void map_free(struct map *map) {
    free(map->lines);
    free(map->text);
    *map = (struct map){NULL, 0, NULL};
}

size_t map_take(const struct map *map, size_t from, size_t max, struct buffer *out) {
    for (; from < map->count; from++) {
        if (out->len + strlen(map->lines[from]) + 1 >= max)
            break;
        buffer_puts(out, map->lines[from]);
        buffer_putc(out, '\n');
    }
    return from;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort(struct map *map) {
    if (map->count)
        qsort(map->lines, map->count, sizeof *map->lines, compare);
}

bool map_equal(struct map *wanted, struct map *got, const char *name,
               struct error *error) {
    sort(wanted);
    sort(got);
    for (size_t i = 0; i < wanted->count || i < got->count; i++) {
        const char *want = i < wanted->count ? wanted->lines[i] : NULL;
        const char *have = i < got->count ? got->lines[i] : NULL;
        int order = !want ? 1 : !have ? -1 : strcmp(want, have);
        if (order < 0)
            return error_set(error, name, "the map of HAProxy lacks the entry '%s'",
                             want);
        if (order > 0)
            return error_set(error, name,
                             "the map of HAProxy has an entry too many, '%s'", have);
    }
    return true;
}
