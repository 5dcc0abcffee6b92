/* record.h: the Atlas's records, good and hostile; and those of other registries, as
 * cases in records/<format>: NAME.json is a record, NAME.expected what becomes of it. */
#include "base/buffer.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "catalog/fields.h"
#include "record/record.h"

#include <dirent.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

static const char where[] = "/atlas/local/services/s/hosts/h";

static struct host *decode(const char *id, const char *data, size_t len,
                           struct problems *problems) {
    return record_format_find("atlas")->host(id, data, len, where,
                                             &(struct record_options){0}, problems);
}

static void test_good_host(void **state) {
    (void)state;
    struct problems problems = {0};
    const char *data = "{\"host\":\"host-001\",\"port\":8080,\"zone\":\"a\",\"new\":[1]}";
    struct host *host = decode("h", data, strlen(data), &problems);
    assert_non_null(host);
    assert_int_equal(problems.count, 0);
    assert_string_equal(host->host, "host-001");
    assert_int_equal(host->port, 8080);
    assert_true(host->enabled);
    assert_int_equal(host->weight, 1);
    assert_non_null(json_object_get(host->extra, "new"));
    host_unref(host);
}

#define BAD(text)                                                                        \
    { (text), sizeof(text) - 1 }

static void test_bad_hosts(void **state) {
    (void)state;
    static const struct {
        const char *data;
        size_t len;
    } cases[] = {
        BAD(""),
        BAD("null"),
        BAD("[]"),
        BAD("\"host-001:8080\""),
        BAD("{\"host\":\"a\",\"port\":80"),
        BAD("{\"host\":\"a\",\"port\":80} x"),
        BAD("{\"host\":\"a\",\"host\":\"b\",\"port\":80}"),
        BAD("{\"host\":\"a\",\"port\":\"80\\n  server evil 10.0.0.1:80\"}"),
        BAD("{\"host\":\"a\\u0000b\",\"port\":80}"),
        BAD("{\"host\":\"a\0b\",\"port\":80}"),
        BAD("{\"host\":\"a;b\",\"port\":80}"),
        BAD("{\"host\":\"a\\\\b\",\"port\":80}"),
        BAD("{\"host\":\"#\",\"port\":80}"),
        BAD("{\"host\":\"\xff\xfe\",\"port\":80}"),
        BAD("{\"host\":\"a\",\"port\":1e400}"),
        BAD("{\"host\":\"a\",\"port\":99999999999999999999}"),
        BAD("{\"host\":\"a\",\"port\":80,\"labels\":{\"k\":\"a\\nb\"}}"),
        BAD("{\"host\":\"a\",\"port\":80,\"labels\":{\"a\\nb\":\"v\"}}"),
        BAD("{\"host\":\"256.1.1.1\",\"port\":80}"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct problems problems = {0};
        struct host *host = decode("h", cases[i].data, cases[i].len, &problems);
        if (host || !problems.count)
            fail_msg("case %zu was taken: %s", i, cases[i].data);
        assert_string_equal(problems.items[0].where, where);
        assert_null(strchr(problems.items[0].text, '\n'));
        problems_free(&problems);
    }
}

static void test_long_values(void **state) {
    (void)state;
    char *name = mem_zalloc(5001);
    memset(name, 'a', 5000);
    char *data = mem_printf("{\"host\":\"%s\",\"port\":80}", name);
    struct problems problems = {0};
    assert_null(decode("h", data, strlen(data), &problems));
    assert_true(problems.count > 0);
    free(data);
    data = mem_strdup("{\"host\":\"a\",\"port\":80}");
    struct host *host = decode(name, data, strlen(data), &problems);
    assert_non_null(host);
    assert_string_equal(host->name, "a:80");
    host_unref(host);
    problems_free(&problems);
    free(data);
    free(name);
}

static void test_bad_id(void **state) {
    (void)state;
    struct problems problems = {0};
    const char *data = "{\"host\":\"a\",\"port\":80}";
    assert_null(decode("a\nb", data, strlen(data), &problems));
    assert_null(decode("", data, strlen(data), &problems));
    assert_int_equal(problems.count, 2);
    problems_free(&problems);
}

static void test_services_and_vars(void **state) {
    (void)state;
    const struct record_format *format = record_format_find("atlas");
    struct problems problems = {0};
    json_t *fields = format->service("", 0, where, &problems);
    assert_int_equal(json_object_size(fields), 0);
    json_decref(fields);
    const char *data = "{\"balance\":\"nope\",\"retries\":3,\"mine\":{}}";
    fields = format->service(data, strlen(data), where, &problems);
    assert_int_equal(problems.count, 1);
    assert_int_equal(json_object_size(fields), 2);
    json_decref(fields);
    assert_null(format->service("{", 1, where, &problems));
    assert_null(format->vars("[]", 2, where, &problems));
    assert_int_equal(problems.count, 3);
    json_t *vars = format->vars("{\"A\":1}", 7, where, &problems);
    assert_int_equal(json_object_size(vars), 1);
    json_decref(vars);
    problems_free(&problems);
    assert_null(record_format_find("nothing"));
}

/* --- cases in folders --- */

struct folder {
    const char *name, *format;
    size_t cases;
    struct record_options options;
};

static void describe(const struct host *host, const struct problems *problems,
                     struct buffer *out) {
    if (host) {
        json_t *fields = host_encode(host);
        buffer_puts(out, "host ");
        json_write(fields, 0, out);
        buffer_puts(out, "\n");
        json_decref(fields);
    }
    if (host && host->options)
        buffer_printf(out, "options %s\n", host->options);
    for (size_t i = 0; i < problems->count; i++) {
        assert_string_equal(problems->items[i].where, where);
        buffer_printf(out, "problem %s\n", problems->items[i].text);
    }
}

static void read_text(const char *path, struct buffer *text) {
    struct error error;
    if (!file_read(path, 1 << 20, text, &error))
        fail_msg("%s: %s", error.where, error.text);
}

static void run_case(const struct folder *folder, const char *path) {
    struct buffer record = BUFFER_INIT;
    struct buffer expected = BUFFER_INIT;
    struct buffer got = BUFFER_INIT;
    struct problems problems = {0};
    char *expected_path = mem_printf("%.*s.expected", (int)(strlen(path) - 5), path);
    read_text(path, &record);
    read_text(expected_path, &expected);
    const struct record_format *format = record_format_find(folder->format);
    struct host *host = format->host("member_0000000001", buffer_str(&record), record.len,
                                     where, &folder->options, &problems);
    assert_true(host || problems.count);
    describe(host, &problems, &got);
    if (strcmp(buffer_str(&got), buffer_str(&expected)) != 0)
        fail_msg("%s became\n%s", path, buffer_str(&got));
    host_unref(host);
    problems_free(&problems);
    buffer_free(&record);
    buffer_free(&expected);
    buffer_free(&got);
    free(expected_path);
}

static void run_folder(const struct folder *folder) {
    char *at = mem_printf("%s/test/unit/records/%s", SOURCE_DIR, folder->name);
    struct dirent **names = NULL;
    size_t cases = 0;
    int count = scandir(at, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *dot = strrchr(names[i]->d_name, '.');
        if (dot && !strcmp(dot, ".json")) {
            char *path = mem_printf("%s/%s", at, names[i]->d_name);
            run_case(folder, path);
            free(path);
            cases++;
        }
        free(names[i]);
    }
    free(names);
    free(at);
    assert_true(cases >= folder->cases);
}

static void test_other_registries(void **state) {
    (void)state;
    static const struct folder folders[] = {
        {"nerve", "nerve", 20, {0}},
        {"nerve-trusted", "nerve", 9, {.trust_options = true}},
        {"serverset", "serverset", 13, {0}},
        {"serverset-endpoint", "serverset", 4, {.endpoint = "admin"}},
        {"curator", "curator", 17, {0}},
        {"curator-ssl", "curator", 2, {.ssl = true}},
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        run_folder(&folders[i]);
}

static void test_bad_ids_of_other_registries(void **state) {
    (void)state;
    static const char *const names[] = {"nerve", "serverset", "curator"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct record_format *format = record_format_find(names[i]);
        struct problems problems = {0};
        assert_null(
            format->host("a\nb", "{}", 2, where, &(struct record_options){0}, &problems));
        assert_int_equal(problems.count, 1);
        assert_non_null(strstr(format->path, "/{service}"));
        problems_free(&problems);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_host),
        cmocka_unit_test(test_bad_hosts),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_bad_id),
        cmocka_unit_test(test_services_and_vars),
        cmocka_unit_test(test_other_registries),
        cmocka_unit_test(test_bad_ids_of_other_registries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
