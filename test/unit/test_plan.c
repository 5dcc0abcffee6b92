/* Each folder of test/unit/plan is one case: old.cfg and new.cfg, other files as old.NAME
 * and new.NAME, and what plan_describe says of them in `expected`. */
#include "base/file.h"
#include "base/mem.h"
#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CASES SOURCE_DIR "/test/unit/plan"

enum { FILES_MAX = 4 };

static const struct plan_abilities all = {true, true};

/* One side of a case, as read from its folder. */
struct side {
    struct plan_side side;
    struct plan_file files[FILES_MAX];
    char *config;
};

static char *read_text(const char *dir, const char *prefix, const char *name) {
    struct buffer text = BUFFER_INIT;
    struct error error;
    char *path = mem_printf("%s/%s%s", dir, prefix, name);
    bool there = access(path, F_OK) == 0;
    if (there && !file_read(path, 1 << 20, &text, &error))
        fail_msg("%s: %s", error.where, error.text);
    free(path);
    return there ? buffer_steal(&text) : NULL;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Returns the sorted names in the folder that begin with the prefix, without it; ends
 * with NULL. */
static char **list(const char *dir, const char *prefix) {
    DIR *stream = opendir(dir);
    char **names = NULL;
    size_t count = 0;
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream));)
        if (*entry->d_name != '.' && !strncmp(entry->d_name, prefix, strlen(prefix))) {
            names = mem_grow(names, count, sizeof *names);
            names[count++] = mem_strdup(entry->d_name + strlen(prefix));
        }
    closedir(stream);
    if (count)
        qsort(names, count, sizeof *names, compare_names);
    names = mem_grow(names, count, sizeof *names);
    names = mem_resize(names, count + 1, sizeof *names);
    names[count] = NULL;
    return names;
}

static void free_list(char **names) {
    for (size_t i = 0; names[i]; i++)
        free(names[i]);
    free(names);
}

static void read_side(struct side *side, const char *dir, const char *prefix) {
    char **names = list(dir, prefix);
    size_t count = 0;
    *side = (struct side){0};
    for (size_t i = 0; names[i]; i++) {
        if (!strcmp(names[i], "cfg"))
            continue;
        assert_true(count < FILES_MAX);
        /* A name may stand for a path: '%' is '/'. */
        char *text = read_text(dir, prefix, names[i]);
        for (char *c = names[i]; *c; c++)
            if (*c == '%')
                *c = '/';
        side->files[count++] = (struct plan_file){mem_strdup(names[i]), text};
    }
    free_list(names);
    side->config = read_text(dir, prefix, "cfg");
    if (!side->config)
        side->config = read_text(dir, "old.", "cfg");
    side->side = (struct plan_side){side->config, side->files, count};
}

static void free_side(struct side *side) {
    for (size_t i = 0; i < side->side.file_count; i++) {
        free((char *)side->files[i].name);
        free((char *)side->files[i].text);
    }
    free(side->config);
}

static char *describe(const struct plan_side *old, const struct plan_side *new,
                      const struct plan_abilities *abilities) {
    struct buffer text = BUFFER_INIT;
    struct plan *plan = plan_new(old, new, abilities);
    plan_describe(plan, &text);
    plan_free(plan);
    return buffer_steal(&text);
}

/* Comments that differ at both ends leave nothing to be passed over unread. */
static char *describe_all_of_it(const struct plan_side *old, const struct plan_side *new,
                                const struct plan_abilities *abilities) {
    char *before = mem_printf("# old\n%s\n# old\n", old->config);
    char *after = mem_printf("# new\n%s\n# new\n", new->config);
    struct plan_side from = {before, old->files, old->file_count};
    struct plan_side to = {after, new->files, new->file_count};
    char *text = describe(&from, &to, abilities);
    free(before);
    free(after);
    return text;
}

static char *describe_configs(const char *old, const char *new) {
    return describe(&(struct plan_side){old, NULL, 0}, &(struct plan_side){new, NULL, 0},
                    &all);
}

static void cases_are_planned_as_expected(void **state) {
    (void)state;
    static const struct plan_abilities none = {false, false};
    char **names = list(CASES, "");
    size_t failed = 0, count = 0;
    for (size_t i = 0; names[i]; i++, count++) {
        const struct plan_abilities *can = strncmp(names[i], "unable-", 7) ? &all : &none;
        struct side old, new;
        char *dir = mem_printf("%s/%s", CASES, names[i]);
        char *expected = read_text(dir, "", "expected");
        read_side(&old, dir, "old.");
        read_side(&new, dir, "new.");
        char *found = describe(&old.side, &new.side, can);
        char *whole = describe_all_of_it(&old.side, &new.side, can);
        assert_string_equal(found, whole);
        free(whole);
        if (!expected || strcmp(expected, found) != 0) {
            print_error("%s: expected\n%sfound\n%s", names[i], expected ? expected : "",
                        found);
            failed++;
        }
        free(found);
        found = describe(&new.side, &new.side, &all);
        assert_string_equal(found, "nothing to do\n");
        free(found);
        free(expected);
        free(dir);
        free_side(&old);
        free_side(&new);
    }
    free_list(names);
    assert_true(count > 50);
    assert_int_equal(failed, 0);
}

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

/* Cuts, doubles, and overwrites pieces with what means something to a config. */
static char *mutate(const char *text, uint32_t *seed) {
    static const char *const pieces[] = {
        "\"",          "'",          "\\",       "$X",
        "#",           "\n",         "\r",       "\x01",
        "\xff",        ".if a\n",    ".endif\n", "\nserver ",
        "\nbackend ",  "\\x4",       " from ",   "default-server ",
        " weight ",    "srv_is_up(", "[",        "]:",
        "\ndefaults ", "''"};
    size_t len = strlen(text);
    size_t at = len ? next_random(seed) % len : 0;
    size_t rest = at + (next_random(seed) % 40);
    struct buffer out = BUFFER_INIT;
    if (rest > len)
        rest = len;
    buffer_append(&out, text, at);
    switch (next_random(seed) % 4) {
    case 0: /* cut off */
        break;
    case 1: /* cut out */
        buffer_puts(&out, text + rest);
        break;
    case 2: /* doubled */
        buffer_append(&out, text + at, rest - at);
        buffer_puts(&out, text + at);
        break;
    default:
        buffer_puts(&out, pieces[next_random(seed) % (sizeof pieces / sizeof *pieces)]);
        buffer_puts(&out, text + at);
    }
    return buffer_steal(&out);
}

static bool all_wanted(void *arg, const char *backend) {
    (void)arg, (void)backend;
    return true;
}

static void ignore_server(void *arg, const struct plan_server *server) {
    *(size_t *)arg += strlen(server->backend) + strlen(server->server) +
                      strlen(server->address) + (size_t)server->weight;
}

/* Garbage gives some plan, and the same one twice; ASan looks for the rest. */
static void check_garbage(const struct side *old, const struct side *new,
                          uint32_t *seed) {
    char *config = mem_strdup(new->config);
    size_t sum = 0;
    for (int i = 0; i < 25; i++) {
        char *next = mutate(config, seed);
        free(config);
        config = next;
        struct plan_side changed = {config, new->files, new->side.file_count};
        char *forth = describe(&old->side, &changed, &all);
        char *again = describe(&old->side, &changed, &all);
        assert_string_equal(forth, again);
        free(again);
        again = describe_all_of_it(&old->side, &changed, &all);
        /* Of sections that are there twice it is known only when all are read. */
        if (strncmp(forth, "reload:", 7) != 0 || strncmp(again, "reload:", 7) != 0)
            assert_string_equal(forth, again);
        free(again);
        free(forth);
        free(describe(&changed, &old->side, &all));
        char *same = describe(&changed, &changed, &all);
        assert_string_equal(same, "nothing to do\n");
        free(same);
        plan_servers(config, all_wanted, ignore_server, &sum);
    }
    if (new->side.file_count) {
        char *text = mutate(new->files[0].text, seed);
        struct plan_file file = {new->files[0].name, text};
        free(describe(&old->side, &(struct plan_side){new->config, &file, 1}, &all));
        free(text);
    }
    free(config);
}

static void garbage_does_no_harm(void **state) {
    (void)state;
    char **names = list(CASES, "");
    uint32_t seed = 1;
    for (size_t i = 0; names[i]; i++) {
        struct side old, new;
        char *dir = mem_printf("%s/%s", CASES, names[i]);
        read_side(&old, dir, "old.");
        read_side(&new, dir, "new.");
        for (int round = 0; round < 4; round++)
            check_garbage(&old, &new, &seed);
        free(dir);
        free_side(&old);
        free_side(&new);
    }
    free_list(names);
}

static void no_text_at_all(void **state) {
    (void)state;
    char *text = describe_configs("", "");
    assert_string_equal(text, "nothing to do\n");
    free(text);
    text = describe_configs("", "global\n");
    assert_string_equal(text, "reload: there was no config before\n");
    free(text);
    text = describe_configs("global\n", "");
    assert_string_equal(text, "reload: global: gone\n");
    free(text);
}

/* Whatever a file says, its own comments and spaces mean nothing. */
static void formatting_means_nothing(void **state) {
    (void)state;
    char **names = list(CASES, "");
    for (size_t i = 0; names[i]; i++) {
        struct buffer text = BUFFER_INIT;
        char *dir = mem_printf("%s/%s", CASES, names[i]);
        char *config = read_text(dir, "old.", "cfg");
        for (const char *line = config; *line;) {
            size_t len = strcspn(line, "\n");
            bool quotes = memchr(line, '"', len) || memchr(line, '\'', len) ||
                          memchr(line, '\\', len) || memchr(line, '$', len);
            if (quotes)
                buffer_append(&text, line, len);
            else
                buffer_printf(&text, "\t \t%.*s   \t# a comment", (int)len, line);
            buffer_puts(&text, "\n\n   # another\n");
            line += len + (line[len] == '\n');
        }
        char *found = describe_configs(config, buffer_str(&text));
        if (strcmp(found, "nothing to do\n") != 0)
            fail_msg("%s: %s", names[i], found);
        free(found);
        free(config);
        free(dir);
        buffer_free(&text);
    }
    free_list(names);
}

static const char web[] = "defaults\n"
                          "    default-server weight 7\n"
                          "backend web\n"
                          "    server a 10.0.0.1:80 check\n"
                          "    server b ::1:8080 weight 3 disabled\n"
                          "listen db\n"
                          "    default-server disabled weight 9\n"
                          "    server c db.example:5432\n"
                          "    server d /run/db.sock enabled weight 0\n"
                          "peers p\n"
                          "    server e 10.0.0.9:1000\n";

static bool is_db(void *arg, const char *backend) {
    (void)arg;
    return !strcmp(backend, "db");
}

static void append_server(void *arg, const struct plan_server *server) {
    buffer_printf(arg, "%s/%s %s %ld %d\n", server->backend, server->server,
                  server->address, server->weight, server->disabled);
}

static void servers_are_visited_as_they_will_be(void **state) {
    (void)state;
    struct buffer text = BUFFER_INIT;
    plan_servers(web, all_wanted, append_server, &text);
    assert_string_equal(buffer_str(&text), "web/a 10.0.0.1:80 7 0\n"
                                           "web/b [::1]:8080 3 1\n"
                                           "db/c db.example:5432 9 1\n"
                                           "db/d /run/db.sock 0 0\n");
    buffer_clear(&text);
    plan_servers(web, is_db, append_server, &text);
    assert_string_equal(buffer_str(&text), "db/c db.example:5432 9 1\n"
                                           "db/d /run/db.sock 0 0\n");
    buffer_free(&text);
}

static void assert_json(const struct plan_side *old, const struct plan_side *new,
                        const char *expected) {
    struct plan *plan = plan_new(old, new, &all);
    json_t *json = plan_json(plan);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(json);
    plan_free(plan);
}

static void json_names_every_step(void **state) {
    (void)state;
    static const char old_text[] = "frontend f\n"
                                   "    use_backend %[path,map_str(m.map)]\n"
                                   "backend b\n"
                                   "    server a 10.0.0.1:80 maxconn 3\n"
                                   "    server b 10.0.0.2:80\n"
                                   "    server c 10.0.0.3:80 disabled\n";
    static const char new_text[] = "frontend f\n"
                                   "    use_backend %[path,map_str(m.map)]\n"
                                   "backend b\n"
                                   "    server a 10.0.0.1:81 weight 4\n"
                                   "    server b 10.0.0.2:80 disabled\n"
                                   "    server d [::1]:80 check\n";
    struct plan_file before = {"m.map", "x b\n"}, after = {"m.map", "x b\ny b\n"};
    struct plan_side old = {old_text, &before, 1}, new = {new_text, &after, 1};
    assert_json(
        &old, &new,
        "{\"plan\":\"runtime\",\"steps\":["
        "{\"do\":\"add "
        "server\",\"backend\":\"b\",\"server\":\"d\",\"address\":\"[::1]:80\","
        "\"keywords\":\"check pool-max-conn -1 pool-purge-delay 5s\",\"disabled\":false,"
        "\"weight\":1},"
        "{\"do\":\"set address\",\"backend\":\"b\",\"server\":\"a\","
        "\"address\":\"10.0.0.1:81\"},"
        "{\"do\":\"set maxconn\",\"backend\":\"b\",\"server\":\"a\",\"maxconn\":0},"
        "{\"do\":\"set weight\",\"backend\":\"b\",\"server\":\"a\",\"weight\":4},"
        "{\"do\":\"replace map\",\"map\":\"m.map\",\"entries\":2},"
        "{\"do\":\"disable server\",\"backend\":\"b\",\"server\":\"b\"},"
        "{\"do\":\"del server\",\"backend\":\"b\",\"server\":\"c\"}]}");
    assert_json(&old, &old, "{\"plan\":\"nothing\",\"steps\":[]}");
    assert_json(&old, &(struct plan_side){"global\n", NULL, 0},
                "{\"plan\":\"reload\",\"reason\":\"global: new\",\"steps\":[]}");
}

static void maps_are_given_as_entries(void **state) {
    (void)state;
    const char *config = "frontend f\n    use_backend %[path,map_str(m.map)]\n";
    struct plan_file before = {"m.map", ""};
    struct plan_file after = {"m.map", "# comment\n\n  key   a value \r\n #k v\nz\ty"};
    struct plan *plan = plan_new(&(struct plan_side){config, &before, 1},
                                 &(struct plan_side){config, &after, 1}, &all);
    assert_int_equal(plan->kind, PLAN_RUNTIME);
    assert_int_equal(plan->count, 1);
    assert_string_equal(plan->steps[0].text, "key a value\n#k v\nz y\n");
    plan_free(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_are_planned_as_expected),
        cmocka_unit_test(formatting_means_nothing),
        cmocka_unit_test(garbage_does_no_harm),
        cmocka_unit_test(no_text_at_all),
        cmocka_unit_test(servers_are_visited_as_they_will_be),
        cmocka_unit_test(json_names_every_step),
        cmocka_unit_test(maps_are_given_as_entries),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
