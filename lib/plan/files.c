/* Compares the files beside the config: a map can be replaced while HAProxy runs, what it
 * reads in any other way needs a reload, what it doesn't read needs nothing. */
#include "base/mem.h"
#include "base/text.h"
#include "plan/compare.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* How the config names one file. */
struct usage {
    char **maps; /* the file's name as each map(…) has it, each once */
    size_t map_count;
    bool named, other; /* at all; in another way than as a map */
    bool inexact;      /* as a map whose keys are no plain strings: map_reg, map_ip */
    char by[64];       /* the first word of the line that does so */
};

/* What ends the name of a file in a word. */
static const char delimiters[] = "(),=[]{}\"' \t";

static void free_usage(struct usage *usage) {
    for (size_t i = 0; i < usage->map_count; i++)
        free(usage->maps[i]);
    free(usage->maps);
}

static const char *last_part(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* Whether `part` is `whole` or its end, from a '/' on. */
static bool is_end_of(const char *part, const char *whole) {
    size_t m = strlen(part), n = strlen(whole);
    return m <= n && !strcmp(whole + n - m, part) &&
           (m == n || *part == '/' || whole[n - m - 1] == '/');
}

static bool is_other_file(const struct plan_side *side, const char *name,
                          const char *token) {
    for (size_t i = 0; i < side->file_count; i++)
        if (!strcmp(side->files[i].name, token) && strcmp(token, name) != 0)
            return true;
    return false;
}

/* The name of what is called with the token as its argument; empty if nothing is. */
static struct line called(const char *word, const char *token) {
    const char *end = token - 1;
    if (token == word || *end != '(')
        return (struct line){word, 0};
    const char *start = end;
    while (start > word && strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", start[-1]))
        start--;
    return (struct line){start, (size_t)(end - start)};
}

/* Whether that is a converter or an action of maps. */
static bool is_map_call(const struct line *name) {
    return line_is(name, "map") || line_is(name, "set-map") || line_is(name, "del-map") ||
           (name->len > 4 && !strncmp(name->text, "map_", 4));
}

static void add_map(struct usage *usage, const struct line *call, const char *token) {
    usage->named = true;
    usage->inexact |= !line_is(call, "map") && !line_is(call, "map_str");
    for (size_t i = 0; i < usage->map_count; i++)
        if (!strcmp(usage->maps[i], token))
            return;
    usage->maps = mem_grow(usage->maps, usage->map_count, sizeof *usage->maps);
    usage->maps[usage->map_count++] = mem_strdup(token);
}

static void use_otherwise(struct usage *usage, const struct words *words) {
    if (!usage->other)
        (void)text_printable(words->at[0], usage->by, sizeof usage->by);
    usage->named = usage->other = true;
}

/* One place where the last part of the file's name, or its folder, stands in a word. */
static void read_mention(struct usage *usage, const struct plan_side *side,
                         const char *name, const struct words *words, const char *word,
                         const char *at) {
    const char *start = at;
    while (start > word && !strchr(delimiters, start[-1]))
        start--;
    char *token = mem_strndup(start, strcspn(start, delimiters));
    bool same = !strcmp(last_part(token), last_part(name));
    bool ours = same && (is_end_of(token, name) || is_end_of(name, token));
    struct line call = called(word, start);
    if (ours && is_map_call(&call) && !words->odd && !words->expands)
        add_map(usage, &call, token);
    else if (ours || (same && !is_other_file(side, name, token)))
        use_otherwise(usage, words);
    free(token);
}

/* A folder of certificates, say: named with or without a '/' at its end. */
static void read_folder(struct usage *usage, const char *name, const struct words *words,
                        const char *word) {
    size_t len = (size_t)(last_part(name) - name);
    if (len < 2 || strncmp(word, name, len - 1) != 0)
        return;
    const char *rest = word + len - 1;
    if (!*rest || !strcmp(rest, "/"))
        use_otherwise(usage, words);
}

static void read_line(struct usage *usage, const struct plan_side *side, const char *name,
                      const struct words *words) {
    const char *needle = last_part(name);
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->at[i];
        for (const char *at = word; (at = strstr(at, needle)); at += strlen(needle))
            read_mention(usage, side, name, words, word, at);
        read_folder(usage, name, words, word);
    }
}

/* Reads the lines of the config in which the text stands. */
static void read_lines(struct usage *usage, const struct plan_side *side,
                       const char *name, const char *needle, struct words *words) {
    const char *at = side->config;
    while ((at = strstr(at, needle))) {
        while (at > side->config && at[-1] != '\n')
            at--;
        struct line rest = {at, strcspn(at, "\n")}, line;
        at += rest.len;
        if (!line_next(&rest, &line))
            continue;
        words_split(words, &line);
        read_line(usage, side, name, words);
    }
}

static void find_usage(struct usage *usage, const struct plan_side *side,
                       const char *name, struct words *words) {
    const char *needle = last_part(name);
    char *folder = mem_strndup(name, (size_t)(needle - name));
    *usage = (struct usage){0};
    if (*needle)
        read_lines(usage, side, name, needle, words);
    if (strlen(folder) > 1) {
        folder[strlen(folder) - 1] = '\0';
        read_lines(usage, side, name, folder, words);
    }
    free(folder);
}

/* Appends the entries as "key value" lines, as HAProxy reads them from a file: a comment
 * is a line with '#' in its first place. Returns whether each has a value. */
static bool read_map(const char *text, struct buffer *out) {
    bool whole = true;
    for (const char *line = text; *line;) {
        const char *end = line + strcspn(line, "\n");
        const char *key = line + strspn(line, " \t\r");
        const char *next = *end ? end + 1 : end;
        if (*line == '#' || key >= end) {
            line = next;
            continue;
        }
        size_t key_len = strcspn(key, " \t\r\n");
        const char *value = key + key_len + strspn(key + key_len, " \t");
        while (end > value && strchr(" \t\r", end[-1]))
            end--;
        whole &= end > value;
        buffer_append(out, key, key_len);
        buffer_putc(out, ' ');
        if (end > value)
            buffer_append(out, value, (size_t)(end - value));
        buffer_putc(out, '\n');
        line = next;
    }
    return whole;
}

static bool refuse(struct comparison *comparison, const char *name, const char *what,
                   const char *by) {
    char file[256];
    return compare_reload(comparison, "file %s %s%s",
                          text_printable(name, file, sizeof file), what, by);
}

/* A word that HAProxy's config and its command line read alike. */
static bool is_tame(const char *word, size_t len) {
    if (!len || len > 256)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)word[i]) && !strchr("_-.:/", word[i]))
            return false;
    return true;
}

static size_t count_key(const char *entries, const char *key, size_t len) {
    size_t count = 0;
    for (; *entries; entries += strcspn(entries, "\n") + 1)
        count += !strncmp(entries, key, len) && entries[len] == ' ';
    return count;
}

/* Returns the only line of `after` that differs, "key value", if it is the value of a key
 * that is there once: it can be set alone, and no request sees a half map. NULL else. */
static char *single_change(const char *before, const char *after) {
    size_t same = 0, line = 0;
    for (; before[same] && before[same] == after[same]; same++)
        if (before[same] == '\n')
            line = same + 1;
    const char *old = before + line, *new = after + line;
    size_t old_len = strcspn(old, "\n"), new_len = strcspn(new, "\n");
    size_t key = strcspn(new, " \n");
    if (!old_len || !new_len || strcmp(old + old_len, new + new_len) != 0 ||
        strncmp(old, new, key) != 0 || old[key] != ' ' || !is_tame(new, key) ||
        new_len <= key || !is_tame(new + key + 1, new_len - key - 1) ||
        count_key(after, new, key) != 1)
        return NULL;
    return mem_strndup(new, new_len);
}

static void change_maps(struct comparison *comparison, const struct usage *usage,
                        const char *before, const char *after) {
    char *entry = usage->inexact ? NULL : single_change(before, after);
    for (size_t i = 0; i < usage->map_count; i++) {
        struct plan_step *step =
            compare_step(comparison, entry ? PLAN_SET_MAP : PLAN_REPLACE_MAP, PHASE_MAP);
        step->map = mem_strdup(usage->maps[i]);
        step->text = mem_strdup(entry ? entry : after);
    }
    free(entry);
}

static bool replace_maps(struct comparison *comparison, const struct usage *usage,
                         const char *old, const struct plan_file *file) {
    struct buffer before = BUFFER_INIT, after = BUFFER_INIT;
    (void)read_map(old, &before);
    bool whole = read_map(file->text, &after), done = true;
    if (!strcmp(buffer_str(&before), buffer_str(&after)))
        goto out;
    if (!whole)
        done =
            refuse(comparison, file->name, "changed, and has a line without a value", "");
    else if (!comparison->abilities->map_versions)
        done = refuse(comparison, file->name,
                      "changed, which this HAProxy can't do at run time", "");
    else
        change_maps(comparison, usage, buffer_str(&before), buffer_str(&after));
out:
    buffer_free(&before);
    buffer_free(&after);
    return done;
}

static const struct plan_file *find_file(const struct plan_side *side, const char *name) {
    for (size_t i = 0; i < side->file_count; i++)
        if (!strcmp(side->files[i].name, name))
            return &side->files[i];
    return NULL;
}

/* Names that may stand escaped in the config are not looked for in it. */
static bool is_plain_name(const char *name) {
    for (const char *c = last_part(name); *c; c++)
        if (*c <= ' ' || *c >= '\x7f' || strchr("\"'\\#$(),", *c))
            return false;
    return true;
}

static bool compare_file(struct comparison *comparison, const struct plan_file *old,
                         const struct plan_file *new) {
    const char *name = new ? new->name : old->name;
    struct usage usage;
    bool done = true;
    if (old && new && !strcmp(old->text, new->text))
        return true;
    if (!is_plain_name(name))
        return refuse(comparison, name, "changed", "");
    find_usage(&usage, comparison->new_side, name, &comparison->words[0]);
    if (usage.named && (!old || !new))
        done = refuse(comparison, name, old ? "is gone" : "is new", "");
    else if (usage.other)
        done = refuse(comparison, name, "changed, and is read by: ", usage.by);
    else if (usage.named)
        done = replace_maps(comparison, &usage, old->text, new);
    free_usage(&usage);
    return done;
}

bool compare_files(struct comparison *comparison) {
    const struct plan_side *old = comparison->old_side, *new = comparison->new_side;
    bool done = true;
    for (size_t i = 0; done && i < new->file_count; i++)
        done =
            compare_file(comparison, find_file(old, new->files[i].name), &new->files[i]);
    for (size_t i = 0; done && i < old->file_count; i++)
        if (!find_file(new, old->files[i].name))
            done = compare_file(comparison, &old->files[i], NULL);
    return done;
}
