/* The parts of the Atlas's write side that do no I/O: fields, edits, health, checks. */
#include "atlas/announce.h"
#include "atlas/change.h"
#include "atlas/fields.h"
#include "atlas/health.h"
#include "base/json.h"
#include "catalog/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *json(const char *text) {
    struct error error;
    json_t *value = json_parse(text, strlen(text), "test", &error);
    assert_non_null(value);
    return value;
}

static void assert_json(const json_t *value, const char *expected) {
    struct buffer text = BUFFER_INIT;
    json_write(value, 0, &text);
    assert_string_equal(buffer_str(&text), expected);
    buffer_free(&text);
}

/* One word each, or several with spaces between. */
static json_t *parse(const struct schema *table, const char *words,
                     struct problems *problems) {
    const char *list[16] = {NULL};
    char *copy = strdup(words);
    char *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        list[count++] = word;
    json_t *patch = atlas_fields_parse(table, list, count, false, problems);
    free(copy);
    return patch;
}

static void words_become_fields(void **state) {
    (void)state;
    static const struct {
        const struct schema *table;
        const char *words, *patch;
    } cases[] = {
        {host_schema, "weight=5 enabled=false", "{\"weight\":5,\"enabled\":false}"},
        {host_schema, "zone=5", "{\"zone\":\"5\"}"},
        {host_schema, "zone=", "{\"zone\":null}"},
        {host_schema, "labels.a.b=1 labels.c=x",
         "{\"labels\":{\"a.b\":\"1\",\"c\":\"x\"}}"},
        {host_schema, "weight=many", "{\"weight\":\"many\"}"},
        {service_schema, "check.path=/x check.rise=2",
         "{\"check\":{\"path\":\"/x\",\"rise\":2}}"},
        {service_schema, "check={\"type\":\"tcp\"}", "{\"check\":{\"type\":\"tcp\"}}"},
        {service_schema, "aliases=a,b", "{\"aliases\":[\"a\",\"b\"]}"},
        {service_schema, "aliases=[\"a\"]", "{\"aliases\":[\"a\"]}"},
        {service_schema, "timeouts.server=5s", "{\"timeouts\":{\"server\":\"5s\"}}"},
        {service_schema, "labels=", "{\"labels\":null}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problems problems = {0};
        json_t *patch = parse(cases[i].table, cases[i].words, &problems);
        assert_int_equal(problems.count, 0);
        assert_json(patch, cases[i].patch);
        json_decref(patch);
    }
}

static void wrong_words_are_said(void **state) {
    (void)state;
    static const struct {
        const char *words, *text;
    } cases[] = {
        {"wieght=5", "did you mean 'weight'?"},
        {"nonsense=5", "unknown field 'nonsense'"},
        {"weight", "expected field=value, found 'weight'"},
        {"=5", "expected field=value, found '=5'"},
        {"zone=a\nb", "control characters"},
        {"zone=\xff", "control characters, or not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problems problems = {0};
        json_t *patch = parse(host_schema, cases[i].words, &problems);
        assert_int_equal(problems.count, 1);
        assert_non_null(strstr(problems.items[0].text, cases[i].text));
        assert_json(patch, "{}");
        json_decref(patch);
        problems_free(&problems);
    }
}

static void patches_are_laid_over(void **state) {
    (void)state;
    static const struct {
        const char *record, *patch, *result;
    } cases[] = {
        {"{\"a\":1,\"b\":2}", "{\"b\":3,\"c\":4}", "{\"a\":1,\"b\":3,\"c\":4}"},
        {"{\"a\":1,\"b\":2}", "{\"a\":null}", "{\"b\":2}"},
        {"{\"a\":{\"x\":1}}", "{\"a\":{\"y\":2}}", "{\"a\":{\"x\":1,\"y\":2}}"},
        {"{\"a\":{\"x\":1}}", "{\"a\":{\"x\":null}}", "{}"},
        {"{\"a\":1}", "{\"a\":{\"x\":1}}", "{\"a\":{\"x\":1}}"},
        {"{\"a\":[1]}", "{\"a\":[2]}", "{\"a\":[2]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *record = json(cases[i].record);
        json_t *patch = json(cases[i].patch);
        json_t *result = atlas_fields_patch(record, patch);
        assert_json(result, cases[i].result);
        assert_json(record, cases[i].record);
        json_decref(result);
        json_decref(patch);
        json_decref(record);
    }
}

/* --- changes of a tree that is in memory --- */

static char buckets[] = "buckets";
static char teams[] = "teams";
static char *names[] = {buckets, teams, NULL};

struct registry_in_memory {
    struct atlas_tree tree;
    struct atlas_service services[2];
    struct atlas_host hosts[2];
};

/* Strings of the tree are its own; nobody writes to these. */
static char *text(const char *constant) {
    return (char *)constant;
}

static void fill(struct registry_in_memory *registry) {
    *registry = (struct registry_in_memory){
        .tree = {.layout = {text("/s"), text("/c")},
                 .services_found = true,
                 .names = names,
                 .name_count = 2,
                 .services = registry->services,
                 .service_count = 2},
        .services = {{.name = names[0],
                      .node = {.path = text("/s/buckets"),
                               .found = true,
                               .version = 3,
                               .value = json("{\"retries\":1}")},
                      .vars = {.path = text("/c/buckets"), .value = json("{}")}},
                     {.name = names[1],
                      .node = {.path = text("/s/teams"),
                               .found = true,
                               .version = 4,
                               .value = json("{}")},
                      .vars = {.path = text("/c/teams"),
                               .found = true,
                               .version = 9,
                               .value = json("{\"K\":\"V\"}")},
                      .hosts_found = true,
                      .hosts = registry->hosts,
                      .host_count = 2}},
        .hosts = {{.id = text("a:1"),
                   .node = {.path = text("/s/teams/hosts/a:1"),
                            .found = true,
                            .version = 5,
                            .value = json("{\"host\":\"a\",\"port\":1}")}},
                  {.id = text("odd"),
                   .node = {.path = text("/s/teams/hosts/odd"),
                            .found = true,
                            .version = 6,
                            .ephemeral = true,
                            .value = json("{\"host\":\"b\",\"port\":2,\"new\":[1]}")}}},
    };
}

static void empty(struct registry_in_memory *registry) {
    for (size_t i = 0; i < 2; i++) {
        json_decref(registry->services[i].node.value);
        json_decref(registry->services[i].vars.value);
        json_decref(registry->hosts[i].node.value);
    }
}

static void assert_edits(struct atlas_edits *edits, const char *expected) {
    static const char *const kinds[] = {"create", "set", "delete", "nothing"};
    struct buffer lines = BUFFER_INIT;
    for (size_t i = 0; i < edits->count; i++) {
        buffer_printf(&lines, "%s %s %d ", kinds[edits->items[i].kind],
                      edits->items[i].path, (int)edits->items[i].version);
        if (edits->items[i].value)
            json_write(edits->items[i].value, 0, &lines);
        buffer_puts(&lines, "\n");
    }
    assert_string_equal(buffer_str(&lines), expected);
    buffer_free(&lines);
    atlas_edits_free(edits);
}

static void changes_carry_versions(void **state) {
    (void)state;
    struct registry_in_memory registry;
    struct atlas_edits edits = {0};
    struct problems problems = {0};
    fill(&registry);
    json_t *drain = json("{\"drain\":true}");
    change_hosts(&registry.tree, "*", drain, "draining", &edits, &problems);
    assert_edits(&edits,
                 "set /s/teams/hosts/a:1 5 {\"host\":\"a\",\"port\":1,\"drain\":true}\n"
                 "set /s/teams/hosts/odd 6 "
                 "{\"host\":\"b\",\"port\":2,\"new\":[1],\"drain\":true}\n");
    change_hosts(&registry.tree, "b", drain, "draining", &edits, &problems);
    assert_edits(&edits, "set /s/teams/hosts/odd 6 "
                         "{\"host\":\"b\",\"port\":2,\"new\":[1],\"drain\":true}\n");
    change_detach(&registry.tree, "a:1", &edits, &problems);
    assert_edits(&edits, "delete /s/teams/hosts/a:1 5 \n");
    json_t *none = json("{}");
    change_attach(&registry.services[0], &registry.tree, "c:3", none, &edits, &problems);
    assert_edits(&edits, "create /s/buckets/hosts 0 \n"
                         "create /s/buckets/hosts/c:3 0 {\"host\":\"c\",\"port\":3}\n");
    change_remove(&registry.tree, true, &edits, &problems);
    assert_edits(&edits, "delete /s/buckets 3 \ndelete /s/teams/hosts/a:1 5 \n"
                         "delete /s/teams/hosts/odd 6 \ndelete /s/teams/hosts -1 \n"
                         "delete /c/teams 9 \ndelete /s/teams 4 \n");
    assert_int_equal(problems.count, 0);
    json_decref(none);
    json_decref(drain);
    empty(&registry);
}

static void refusals_add_nothing(void **state) {
    (void)state;
    struct registry_in_memory registry;
    struct atlas_edits edits = {0};
    struct problems problems = {0};
    fill(&registry);
    json_t *none = json("{}");
    json_t *port = json("{\"port\":7}");
    json_t *bad = json("{\"weight\":300}");
    change_create(&registry.tree, "Teams", none, &edits, &problems);
    change_create(&registry.tree, "../x", none, &edits, &problems);
    change_create(&registry.tree, "buckets", none, &edits, &problems);
    change_attach(&registry.services[1], &registry.tree, "A:1", port, &edits, &problems);
    change_attach(&registry.services[1], &registry.tree, "c", none, &edits, &problems);
    json_t *zone = json("{\"zone\":\"z\"}");
    change_attach(&registry.services[1], &registry.tree, "A:1", zone, &edits, &problems);
    json_decref(zone);
    change_attach(&registry.services[1], &registry.tree, "c:1", bad, &edits, &problems);
    change_hosts(&registry.tree, "odd", port, "port", &edits, &problems);
    change_hosts(&registry.tree, "a", bad, "weight", &edits, &problems);
    change_hosts(&registry.tree, "z", none, "z", &edits, &problems);
    change_detach(&registry.tree, "z", &edits, &problems);
    assert_int_equal(problems.count, 11);
    assert_int_equal(edits.count, 0);
    problems_free(&problems);
    json_decref(none);
    json_decref(port);
    json_decref(bad);
    empty(&registry);
}

/* --- health --- */

static void run_health(struct health *health, const char *answers, int64_t *now,
                       const char *expected) {
    for (size_t i = 0; answers[i]; i++, *now += health->interval_ms) {
        (void)health_note(health, answers[i] == '+', *now);
        assert_int_equal(health->up, expected[i] == 'U');
    }
}

static void health_rises_and_falls(void **state) {
    (void)state;
    struct health health = {.rise = 2, .fall = 3, .interval_ms = 100};
    int64_t now = 1000000;
    run_health(&health, "+-++--+---", &now, "...UUUUUU.");
}

static void health_that_flaps_is_held(void **state) {
    (void)state;
    struct health health = {.rise = 1, .fall = 1, .interval_ms = 100};
    int64_t now = 1000000;
    run_health(&health, "+-+", &now, "U.U");
    run_health(&health, "-++", &now, "..U");
    run_health(&health, "-+++++", &now, "....UU");
    assert_int_equal(health.falls, 3);
    for (int i = 0; i < HEALTH_STEADY; i++, now += 100)
        (void)health_note(&health, true, now);
    run_health(&health, "-+", &now, ".U");
    assert_int_equal(health.falls, 1);
    for (int i = 0; i < 40; i++) {
        (void)health_note(&health, false, now);
        assert_true(health_hold(&health, now) <= HEALTH_HOLD_MAX);
        now += health_hold(&health, now);
        (void)health_note(&health, true, now);
        assert_true(health.up);
    }
}

static void checks_are_parsed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int kind; /* -1: refused */
        int port;
        const char *host, *path, *command;
    } cases[] = {
        {"http:/health", PROBE_HTTP, 80, "127.0.0.1", "/health", NULL},
        {"http:", PROBE_HTTP, 80, "127.0.0.1", "/", NULL},
        {"http://10.0.0.1:81", PROBE_HTTP, 81, "10.0.0.1", "/", NULL},
        {"http://[::1]:81/x", PROBE_HTTP, 81, "::1", "/x", NULL},
        {"http://localhost:81/", PROBE_HTTP, 81, "127.0.0.1", "/", NULL},
        {"tcp", PROBE_TCP, 80, "127.0.0.1", NULL, NULL},
        {"tcp:10.0.0.1:81", PROBE_TCP, 81, "10.0.0.1", NULL, NULL},
        {"exec:a b", PROBE_EXEC, 0, NULL, NULL, "a b"},
        {"http://name:81/", -1, 0, NULL, NULL, NULL},
        {"http:x", -1, 0, NULL, NULL, NULL},
        {"http:/a b", -1, 0, NULL, NULL, NULL},
        {"http:/a\r\nX: y", -1, 0, NULL, NULL, NULL},
        {"tcp:80", -1, 0, NULL, NULL, NULL},
        {"tcpx", -1, 0, NULL, NULL, NULL},
        {"exec:", -1, 0, NULL, NULL, NULL},
        {"", -1, 0, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct probe_options options;
        struct error error;
        bool good = probe_parse(cases[i].text, 80, &options, &error);
        assert_int_equal(good, cases[i].kind >= 0);
        if (!good)
            continue;
        assert_int_equal(options.kind, cases[i].kind);
        if (cases[i].host)
            assert_string_equal(options.host, cases[i].host);
        if (cases[i].path)
            assert_string_equal(options.path, cases[i].path);
        if (cases[i].command)
            assert_string_equal(options.command, cases[i].command);
        if (cases[i].port)
            assert_int_equal(options.port, cases[i].port);
        probe_options_free(&options);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_fields),
        cmocka_unit_test(wrong_words_are_said),
        cmocka_unit_test(patches_are_laid_over),
        cmocka_unit_test(changes_carry_versions),
        cmocka_unit_test(refusals_add_nothing),
        cmocka_unit_test(health_rises_and_falls),
        cmocka_unit_test(health_that_flaps_is_held),
        cmocka_unit_test(checks_are_parsed),
    };
    return cmocka_run_group_tests_name("atlas", tests, NULL, NULL);
}
