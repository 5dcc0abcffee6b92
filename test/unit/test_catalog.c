/* catalog.h, fields.h, text.h: what a catalog takes, keeps, drops and tells. */
#include "base/json.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/fields.h"
#include "catalog/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

static struct catalog *read_text(const char *text, const struct catalog *previous,
                                 struct problems *problems) {
    return catalog_read(text, strlen(text), "c.yaml", previous, problems);
}

static struct catalog *read_good(const char *text) {
    struct problems problems = {0};
    struct catalog *catalog = read_text(text, NULL, &problems);
    for (size_t i = 0; i < problems.count; i++)
        print_error("%s: %s\n", problems.items[i].where, problems.items[i].text);
    assert_int_equal(problems.count, 0);
    assert_non_null(catalog);
    return catalog;
}

static void assert_problem(const struct problems *problems, size_t index,
                           const char *where, const char *part) {
    assert_true(index < problems->count);
    assert_string_equal(problems->items[index].where, where);
    if (!strstr(problems->items[index].text, part))
        fail_msg("'%s' is not in '%s'", part, problems->items[index].text);
}

static const char full[] =
    "services:\n"
    "  web:\n"
    "    balance: leastconn\n"
    "    check: {path: /health, interval: 5s}\n"
    "    aliases: [www, site]\n"
    "    custom: {a: [1, 2.5, null, \"3\"]}\n"
    "    config: {DB_URL: 'x y', N: 3}\n"
    "    hosts:\n"
    "      - {host: b, port: 80, weight: 5, zone: z1, drain: true}\n"
    "      - {host: '::1', port: 81, enabled: false, backup: true}\n"
    "      - {id: x, host: a, port: 80, labels: {k: v, a: b}, rack: 7}\n"
    "  api: {mode: tcp, port: 5432, hosts: []}\n"
    "  empty:\n";

static void test_reads_and_sorts(void **state) {
    (void)state;
    struct catalog *catalog = read_good(full);
    assert_int_equal(catalog->service_count, 3);
    assert_string_equal(catalog->services[0]->name, "api");
    assert_string_equal(catalog->services[2]->name, "web");
    const struct service *web = catalog_find(catalog, "web");
    assert_int_equal(web->host_count, 3);
    assert_string_equal(web->hosts[0]->id, "::1:81");
    assert_false(web->hosts[0]->enabled);
    assert_string_equal(web->hosts[1]->id, "b:80");
    assert_int_equal(web->hosts[1]->weight, 5);
    assert_string_equal(web->hosts[1]->zone, "z1");
    assert_string_equal(web->hosts[2]->id, "x");
    assert_string_equal(web->hosts[2]->labels[0].name, "a");
    assert_int_equal(json_integer_value(json_object_get(web->hosts[2]->extra, "rack")),
                     7);
    assert_string_equal(json_string_value(json_object_get(web->vars, "DB_URL")), "x y");
    assert_null(catalog_find(catalog, "nobody"));
    assert_int_equal(catalog_host_count(catalog), 3);
    catalog_unref(catalog);
}

static void test_round_trips(void **state) {
    (void)state;
    struct catalog *catalog = read_good(full);
    for (int format = CATALOG_YAML; format <= CATALOG_JSON; format++) {
        struct buffer text = BUFFER_INIT;
        struct buffer again = BUFFER_INIT;
        catalog_write(catalog, (enum catalog_format)format, &text);
        struct catalog *copy = read_good(text.data);
        assert_true(catalog_equal(catalog, copy));
        assert_int_equal(catalog_compare(catalog, copy, NULL, NULL), 0);
        catalog_write(copy, (enum catalog_format)format, &again);
        assert_string_equal(text.data, again.data);
        buffer_free(&text);
        buffer_free(&again);
        catalog_unref(copy);
    }
    catalog_unref(catalog);
}

static void test_bad_records_cost_only_themselves(void **state) {
    (void)state;
    static const struct {
        const char *record, *problem;
    } cases[] = {
        {"{port: 80}", "host"},
        {"{host: a}", "port"},
        {"{host: a, port: 0}", "port"},
        {"{host: a, port: 65536}", "port"},
        {"{host: a, port: '80'}", "port"},
        {"{host: a, port: 80.5}", "port"},
        {"{host: \"a\\n  server evil 1.2.3.4:5\", port: 80}", "host"},
        {"{host: \"a b\", port: 80}", "host"},
        {"{host: \"a'b\", port: 80}", "host"},
        {"{host: '$HOME', port: 80}", "host"},
        {"{host: a, port: 80, weight: 257}", "weight"},
        {"{host: a, port: 80, weight: -1}", "weight"},
        {"{host: a, port: 80, enabled: maybe}", "enabled"},
        {"{host: a, port: 80, zone: \"a\\tb\"}", "zone"},
        {"{host: a, port: 80, labels: [a]}", "labels"},
        {"{host: a, port: 80, id: 7}", "id"},
        {"{host: a, port: 80, id: \"a\\rb\"}", "id"},
        {"just text", "found"},
        {"[1]", "found"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problems problems = {0};
        char *text = mem_printf(
            "services:\n  s:\n    hosts:\n      - {host: good, port: 1}\n      - %s\n",
            cases[i].record);
        struct catalog *catalog = read_text(text, NULL, &problems);
        assert_non_null(catalog);
        assert_int_equal(catalog->services[0]->host_count, 1);
        assert_true(problems.count >= 1);
        assert_int_equal(strncmp(problems.items[0].where, "c.yaml:5:", 9), 0);
        if (!strstr(problems.items[0].text, cases[i].problem) ||
            !strstr(problems.items[0].text, "left out"))
            fail_msg("case %zu: %s", i, problems.items[0].text);
        problems_free(&problems);
        catalog_unref(catalog);
        free(text);
    }
}

static void test_bad_record_keeps_last_good_value(void **state) {
    (void)state;
    struct problems problems = {0};
    struct catalog *old =
        read_good("services: {s: {hosts: [{host: a, port: 1, weight: 9}]}}");
    struct catalog *new = read_text(
        "services: {s: {hosts: [{host: a, port: 1, weight: 999}]}}", old, &problems);
    assert_int_equal(new->services[0]->host_count, 1);
    assert_int_equal(new->services[0]->hosts[0]->weight, 9);
    assert_problem(&problems, 0, "c.yaml:1:43", "keeps its last good value");
    problems_free(&problems);
    catalog_unref(old);
    catalog_unref(new);
}

static void test_bad_service_field_uses_default(void **state) {
    (void)state;
    struct problems problems = {0};
    struct catalog *catalog = read_text(
        "services:\n  s:\n    balance: fastest\n    check: {interval: soon, path: /ok}\n",
        NULL, &problems);
    const struct service *service = catalog->services[0];
    assert_int_equal(problems.count, 2);
    assert_problem(&problems, 0, "c.yaml:3:5", "default is used");
    assert_problem(&problems, 1, "c.yaml:4:13", "check.interval");
    assert_null(json_object_get(service->fields, "balance"));
    json_t *check = json_object_get(service->fields, "check");
    assert_string_equal(json_string_value(json_object_get(check, "path")), "/ok");
    problems_free(&problems);
    catalog_unref(catalog);
}

static void test_bad_names_are_left_out(void **state) {
    (void)state;
    struct problems problems = {0};
    struct catalog *catalog = read_text(
        "{\"services\": {\"a b\": {}, \"x\\ny\": {}, \"\": {}, \"ok\": {}, \"-a\": {}}}",
        NULL, &problems);
    assert_int_equal(catalog->service_count, 1);
    assert_int_equal(problems.count, 4);
    for (size_t i = 0; i < problems.count; i++)
        assert_null(strchr(problems.items[i].where, '\n'));
    problems_free(&problems);
    catalog_unref(catalog);
}

static void test_whole_text_bad(void **state) {
    (void)state;
    static const char *const texts[] = {
        "services: [", "{", "[]", "services: []", "", "other: {}", "\"x\"", "a: b: c",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct problems problems = {0};
        assert_null(read_text(texts[i], NULL, &problems));
        assert_true(problems.count >= 1);
        problems_free(&problems);
    }
}

static void test_same_address_stays_once(void **state) {
    (void)state;
    static const char *const texts[] = {
        "services: {s: {hosts: [{id: b, host: h, port: 1}, {id: a, host: H, port: 1}]}}",
        "services: {s: {hosts: [{id: a, host: H, port: 1}, {id: b, host: h, port: 1}]}}",
    };
    for (int i = 0; i < 2; i++) {
        struct problems problems = {0};
        struct catalog *catalog = read_text(texts[i], NULL, &problems);
        assert_int_equal(catalog->services[0]->host_count, 1);
        assert_string_equal(catalog->services[0]->hosts[0]->id, "a");
        assert_int_equal(problems.count, 1);
        problems_free(&problems);
        catalog_unref(catalog);
    }
}

static void test_unsafe_id_gets_safe_name(void **state) {
    (void)state;
    struct catalog *catalog =
        read_good("services: {s: {hosts: [{id: 'a b # $', host: h, port: 1}]}}");
    assert_string_equal(catalog->services[0]->hosts[0]->name, "h:1");
    catalog_unref(catalog);
}

static void test_names_differ_in_more_than_case(void **state) {
    (void)state;
    struct problems problems = {0};
    struct catalog *catalog = read_text(
        "services:\n  Web: {}\n  web: {}\n  api: {aliases: [WEB, rest, Rest]}\n", NULL,
        &problems);
    assert_int_equal(catalog->service_count, 2);
    assert_int_equal(problems.count, 3);
    json_t *aliases = json_object_get(catalog_find(catalog, "api")->fields, "aliases");
    assert_int_equal(json_array_size(aliases), 1);
    problems_free(&problems);
    catalog_unref(catalog);
}

static void test_merge(void **state) {
    (void)state;
    struct problems problems = {0};
    const struct catalog *parts[] = {
        read_good("services: {a: {balance: first, hosts: [{id: z, host: x, port: 1}]}, "
                  "no: {}}"),
        read_good("services: {a: {balance: uri, hosts: [{host: y, port: 1}, "
                  "{id: a, host: X, port: 1, weight: 9}]}, b: {}}"),
    };
    static const char *const include[] = {"*", NULL};
    static const char *const exclude[] = {"n*", NULL};
    json_t *overrides =
        json_pack("{s:{s:[{s:s,s:i}]}}", "b", "default_hosts", "host", "d", "port", 9);
    struct catalog_policy policy = {include, exclude, overrides};
    struct catalog *merged = catalog_merge(parts, 2, &policy, &problems);
    assert_int_equal(merged->service_count, 2);
    assert_int_equal(merged->services[0]->host_count, 2);
    assert_string_equal(merged->services[0]->hosts[0]->id, "y:1");
    assert_string_equal(merged->services[0]->hosts[1]->id, "z");
    assert_int_equal(merged->services[0]->hosts[1]->weight, 1);
    assert_string_equal(
        json_string_value(json_object_get(merged->services[0]->fields, "balance")),
        "first");
    assert_string_equal(merged->services[1]->hosts[0]->host, "d");
    assert_int_equal(problems.count, 0);
    problems_free(&problems);
    json_decref(overrides);
    catalog_unref(merged);
    catalog_unref(parts[0]);
    catalog_unref(parts[1]);
}

static void note_change(void *arg, const struct catalog_change *change) {
    const char *host = change->new_host   ? change->new_host->id
                       : change->old_host ? change->old_host->id
                                          : "";
    buffer_printf(arg, "%d %s %s\n", (int)change->kind, change->service->name, host);
}

static void test_compare(void **state) {
    (void)state;
    struct buffer seen = BUFFER_INIT;
    struct catalog *old =
        read_good("services: {a: {hosts: [{host: x, port: 1}, {host: y, "
                  "port: 1}]}, b: {}, d: {}}");
    struct catalog *new =
        read_good("services: {a: {hosts: [{host: y, port: 1, weight: 3}, "
                  "{host: z, port: 1}]}, c: {}, d: {retries: 1}}");
    assert_int_equal(catalog_compare(old, new, note_change, &seen), 6);
    char expected[200];
    (void)snprintf(expected, sizeof expected,
                   "%d a x:1\n%d a y:1\n%d a z:1\n%d b \n%d c \n%d d \n", HOST_REMOVED,
                   HOST_CHANGED, HOST_ADDED, SERVICE_REMOVED, SERVICE_ADDED,
                   SERVICE_CHANGED);
    assert_string_equal(buffer_str(&seen), expected);
    assert_int_equal(catalog_compare(NULL, new, NULL, NULL), 3);
    buffer_free(&seen);
    catalog_unref(old);
    catalog_unref(new);
}

static void test_shares_what_did_not_change(void **state) {
    (void)state;
    struct problems problems = {0};
    struct catalog *catalog = read_good(full);
    struct catalog *again =
        catalog_new(catalog->services, catalog->service_count, &problems);
    assert_ptr_equal(catalog->services[1], again->services[1]);
    catalog_unref(catalog);
    assert_string_equal(again->services[2]->hosts[1]->host, "b");
    catalog_unref(again);
}

/* Tries to put the one service of the text into `full`. */
static struct catalog *replace_one(const struct catalog *old, const char *text) {
    struct catalog *other = read_good(text);
    struct catalog *made = catalog_replace(old, other->services, other->service_count);
    catalog_unref(other);
    return made;
}

static void test_replace(void **state) {
    (void)state;
    static const char *const refused[] = {
        "services: {new: {hosts: []}}", /* there is none */
        "services: {WEB: {aliases: [www, site], hosts: []}}",
        "services: {web: {aliases: [www], hosts: []}}", /* sets a name free */
        "services: {api: {aliases: [www], hosts: []}}", /* which another has */
        "services: {api: {hosts: []}, new: {hosts: []}}",
    };
    struct catalog *old = read_good(full);
    struct catalog *made = replace_one(
        old, "services: {web: {aliases: [www, site], hosts: [{host: c, port: 1}]}}");
    assert_int_equal(made->service_count, 3);
    assert_ptr_equal(made->services[0], old->services[0]);
    assert_ptr_equal(made->services[1], old->services[1]);
    assert_string_equal(catalog_find(made, "web")->hosts[0]->id, "c:1");
    assert_int_equal(catalog_find(old, "web")->host_count, 3);
    catalog_unref(made);
    made = catalog_replace(old, old->services, old->service_count);
    assert_ptr_equal(made, old);
    catalog_unref(made);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (replace_one(old, refused[i]))
            fail_msg("%s", refused[i]);
    catalog_unref(old);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_sorts),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_bad_records_cost_only_themselves),
        cmocka_unit_test(test_bad_record_keeps_last_good_value),
        cmocka_unit_test(test_bad_service_field_uses_default),
        cmocka_unit_test(test_bad_names_are_left_out),
        cmocka_unit_test(test_whole_text_bad),
        cmocka_unit_test(test_same_address_stays_once),
        cmocka_unit_test(test_unsafe_id_gets_safe_name),
        cmocka_unit_test(test_names_differ_in_more_than_case),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_shares_what_did_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
