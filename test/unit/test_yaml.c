/* YAML text to values and back: what is read, where it stands, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/yaml.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static json_t *parse(const char *text, struct places **places) {
    struct problems problems = {0};
    json_t *value = yaml_parse(text, strlen(text), "x.yaml", places, &problems);
    if (!value)
        fail_msg("%s: %s", problems.items[0].where, problems.items[0].text);
    assert_int_equal(problems.count, 0);
    return value;
}

static json_t *from_json(const char *text) {
    struct error error;
    json_t *value = json_parse(text, strlen(text), "expected", &error);
    if (!value)
        fail_msg("%s: %s", text, error.text);
    return value;
}

static void values(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *json;
    } cases[] = {
        {"", "{}"},
        {"# nothing\n", "{}"},
        {"a: 1", "{\"a\": 1}"},
        {"a: -7\nb: +7", "{\"a\": -7, \"b\": 7}"},
        {"a: 1.5\nb: 1e3", "{\"a\": 1.5, \"b\": 1000.0}"},
        {"a: true\nb: false", "{\"a\": true, \"b\": false}"},
        {"a:\nb: ~\nc: null", "{\"a\": null, \"b\": null, \"c\": null}"},
        {"a: no\nb: on\nc: True", "{\"a\": \"no\", \"b\": \"on\", \"c\": \"True\"}"},
        {"a: '1'\nb: \"true\"\nc: ''", "{\"a\": \"1\", \"b\": \"true\", \"c\": \"\"}"},
        {"a: 10.0.0.1\nb: 1-2", "{\"a\": \"10.0.0.1\", \"b\": \"1-2\"}"},
        {"a: 0x10\nb: .inf\nc: nan", "{\"a\":\"0x10\",\"b\":\".inf\",\"c\":\"nan\"}"},
        {"a: 12:30\nb: 1_000", "{\"a\": \"12:30\", \"b\": \"1_000\"}"},
        {"- [1, {a: b}]\n- []", "[[1, {\"a\": \"b\"}], []]"},
        {"a: &x {b: 1}\nc: *x", "{\"a\": {\"b\": 1}, \"c\": {\"b\": 1}}"},
        {"a: |\n  one\n  two\n", "{\"a\": \"one\\ntwo\\n\"}"},
        {"1: a\ntrue: b", "{\"1\": \"a\", \"true\": \"b\"}"},
        {"\xc3\xa9: \xe2\x82\xac", "{\"\xc3\xa9\": \"\xe2\x82\xac\"}"},
        {"{\"a\": [1, 2]}", "{\"a\": [1, 2]}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *value = parse(cases[i].yaml, NULL);
        json_t *expected = from_json(cases[i].json);
        if (!json_equal(value, expected))
            fail_msg("%s", cases[i].yaml);
        json_decref(value);
        json_decref(expected);
    }
}

static void round_trip(void **state) {
    (void)state;
    static const char *const cases[] = {
        "{}",
        "[]",
        "{\"a\": {}, \"b\": [], \"c\": [[], {}]}",
        "{\"a\": \"\", \"b\": \"true\", \"c\": \"null\", \"d\": \"~\", \"e\": \"12\"}",
        "{\"a\": \"1.5\", \"b\": \"-1\", \"c\": \"1e5\", \"d\": \"0644\"}",
        "{\"true\": 1, \"1\": 2, \"\": 3, \"a b\": 4, \"- x\": 5, \"k: v\": 6}",
        "{\"a\": \"two\\nlines\", \"b\": \" edges \", \"c\": \"\\ttab\"}",
        "{\"a\": \"# no comment\", \"b\": \"a: b\", \"c\": \"- x\", \"d\": \"*x\"}",
        "{\"a\": \"%x\", \"b\": \"@x\", \"c\": \"'\", \"d\": \"\\\"\", \"e\": \"{\"}",
        "{\"a\": \"\\u0001\\u007f\\u0085\\ufeff\", \"b\": \"\\u2028\"}",
        "{\"a\": \"\xf0\x9f\x98\x80\", \"b\": [1, -2, 1.5, true, false, null]}",
        "{\"a\": \"---\", \"b\": \"...\", \"c\": \"a\\n\\n\\nb\\n\"}",
        "{\"a\": 9223372036854775807, \"b\": -9223372036854775808}",
        "[\"a\", [\"b\", {\"c\": [1, {\"d\": \"e\"}]}]]",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *value = from_json(cases[i]);
        struct buffer text = BUFFER_INIT;
        yaml_write(value, &text);
        json_t *again = parse(buffer_str(&text), NULL);
        if (!json_equal(value, again))
            fail_msg("%s became\n%s", cases[i], buffer_str(&text));
        buffer_free(&text);
        json_decref(value);
        json_decref(again);
    }
}

static void assert_place(const struct places *places, const json_t *container,
                         const char *key, size_t index, const char *expected) {
    char out[64];
    assert_string_equal(places_find(places, container, key, index, out, sizeof out),
                        expected);
}

static void places(void **state) {
    (void)state;
    struct places *found = NULL;
    json_t *value = parse("a: 1\nlist:\n  - x\n  - {b: 2}\nempty: {}\n", &found);
    json_t *list = json_object_get(value, "list");
    json_t *item = json_array_get(list, 1);
    assert_place(found, value, "a", 0, "x.yaml:1:1");
    assert_place(found, value, "list", 0, "x.yaml:2:1");
    assert_place(found, list, NULL, 0, "x.yaml:3:5");
    assert_place(found, list, NULL, 1, "x.yaml:4:5");
    assert_place(found, item, "b", 0, "x.yaml:4:6");
    /* What is not there stands where its container stands. */
    assert_place(found, item, "c", 0, "x.yaml:4:5");
    assert_place(found, list, NULL, 7, "x.yaml:3:3");
    assert_place(found, json_object_get(value, "empty"), "c", 0, "x.yaml:5:8");
    assert_place(found, NULL, "c", 0, "x.yaml");
    places_free(found);
    json_decref(value);
}

/* An alias makes values of its own: a fault in one is not reported at another's place. */
static void places_of_aliases(void **state) {
    (void)state;
    struct places *found = NULL;
    json_t *value = parse("a: &x {b: 1}\nc: *x\n", &found);
    assert_ptr_not_equal(json_object_get(value, "a"), json_object_get(value, "c"));
    assert_place(found, json_object_get(value, "c"), "b", 0, "x.yaml:1:8");
    places_free(found);
    json_decref(value);
}

struct refusal {
    const char *text, *where, *what;
};

static void assert_refused(const char *text, size_t len, const char *where,
                           const char *what) {
    struct problems problems = {0};
    struct places *found = (struct places *)1;
    assert_null(yaml_parse(text, len, "x.yaml", &found, &problems));
    assert_null(found);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].where, where);
    if (!strstr(problems.items[0].text, what))
        fail_msg("expected \"%s\" in \"%s\"", what, problems.items[0].text);
    problems_free(&problems);
}

static void refusals(void **state) {
    (void)state;
    static const struct refusal cases[] = {
        {"a: 1\nb: 2\na: 3\n", "x.yaml:3:1", "twice: a"},
        {"x: {a: 1, a: 2}\n", "x.yaml:1:11", "twice: a"},
        {"a: \"\\0\"\n", "x.yaml:1:4", "NUL"},
        {"a: 1\n---\nb: 2\n", "x.yaml:3:1", "a second document"},
        {"a: 1\n---\nb: [\n", "x.yaml:4:1", "not valid YAML"},
        {"a: [1, 2\n", "x.yaml:2:1", "not valid YAML"},
        {"a: b: c\n", "x.yaml:1:5", "not valid YAML"},
        {"a: 1\n\tb: 2\n", "x.yaml:2:1", "not valid YAML"},
        {"a: *nowhere\n", "x.yaml:1:4", "not valid YAML"},
        {"? [a]\n: 1\n", "x.yaml:1:3", "expected a key that is a string"},
        {"a: \xff\n", "x.yaml:1:1", "not valid YAML"},
        {"a: 99999999999999999999\nb: [\n", "x.yaml:3:1", "not valid YAML"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].where,
                       cases[i].what);
}

static void a_nul_in_the_text(void **state) {
    (void)state;
    static const char text[] = "a: x\0y\n";
    assert_refused(text, sizeof text - 1, "x.yaml:1:1", "not valid YAML");
}

static void depth(void **state) {
    (void)state;
    char text[300];
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    assert_refused(text, 200, "x.yaml:1:66", "nested too deeply");
    memset(text, '[', 60);
    memset(text + 60, ']', 60);
    text[120] = '\0';
    json_decref(parse(text, NULL));
}

/* Ten levels of ten aliases: ten thousand million values from 300 bytes. */
static void alias_bomb(void **state) {
    (void)state;
    struct buffer text = BUFFER_INIT;
    buffer_puts(&text, "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        buffer_printf(&text, "l%d: &l%d [", i, i);
        for (int j = 0; j < 10; j++)
            buffer_printf(&text, "%s*l%d", j ? ", " : "", i - 1);
        buffer_puts(&text, "]\n");
    }
    assert_refused(text.data, text.len, "x.yaml:1:37", "more than a million values");
    buffer_free(&text);
}

static void alias_to_itself(void **state) {
    (void)state;
    static const char text[] = "a: &x [*x]\n";
    assert_refused(text, sizeof text - 1, "x.yaml:1:4", "nested too deeply");
}

/* All that is wrong is said at once, as far as the text can be parsed. */
static void several_faults(void **state) {
    (void)state;
    static const char text[] = "a: 1\na: 2\nb: \"\\0\"\nb: 3\n";
    struct problems problems = {0};
    assert_null(yaml_parse(text, strlen(text), "x.yaml", NULL, &problems));
    assert_true(problems.count >= 2);
    assert_string_equal(problems.items[0].where, "x.yaml:2:1");
    assert_string_equal(problems.items[1].where, "x.yaml:3:4");
    problems_free(&problems);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),          cmocka_unit_test(round_trip),
        cmocka_unit_test(places),          cmocka_unit_test(places_of_aliases),
        cmocka_unit_test(refusals),        cmocka_unit_test(a_nul_in_the_text),
        cmocka_unit_test(depth),           cmocka_unit_test(alias_bomb),
        cmocka_unit_test(alias_to_itself), cmocka_unit_test(several_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
