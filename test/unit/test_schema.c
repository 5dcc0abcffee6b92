/* Values against tables of keys: what comes back, and what is said of the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/schema.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const colours[] = {"red", "green", NULL};

static const struct schema inner_rows[] = {
    {"path", SCHEMA_URI_PATH, .text = ""},
    {"rise", SCHEMA_INT, "2", .min = 1, .max = 100},
    {0},
};

static const struct schema item_rows[] = {
    {"id", SCHEMA_NAME, .required = true},
    {"mode", SCHEMA_TEXT, "\"0644\"", .text = ""},
    {0},
};

#define STATUS                                                                           \
    "status: expected HTTP status codes such as 200, or \"200,204,300-399\", found "
#define URI "uri: expected a path that begins with '/', without spaces and quotes "

/* A row for each type. */
static const struct schema table[] = {
    {"flag", SCHEMA_BOOL, "false", .text = ""},
    {"number", SCHEMA_INT, .min = -5, .max = 10},
    {"text", SCHEMA_TEXT, "\"x\"", .min = 1, .max = 5},
    {"name", SCHEMA_NAME, .text = ""},
    {"host", SCHEMA_HOST, .text = ""},
    {"address", SCHEMA_ADDRESS, .text = ""},
    {"file", SCHEMA_PATH, .max = 10},
    {"uri", SCHEMA_URI_PATH, .max = 20},
    {"status", SCHEMA_STATUS, .text = ""},
    {"causes", SCHEMA_LIST_OF_TEXT, .choices = colours},
    {"time", SCHEMA_DURATION, .min = 10, .max = 60000},
    {"share", SCHEMA_PERCENT, .text = ""},
    {"colour", SCHEMA_CHOICE, .choices = colours},
    {"texts", SCHEMA_LIST_OF_TEXT, .min = 1, .max = 3},
    {"names", SCHEMA_LIST_OF_NAMES, .text = ""},
    {"items", SCHEMA_LIST_OF_OBJECTS, .rows = item_rows},
    {"inner", SCHEMA_OBJECT, "{}", .rows = inner_rows},
    {"free", SCHEMA_OBJECT, .text = ""},
    {"labels", SCHEMA_MAP_OF_TEXT, .text = ""},
    {"things", SCHEMA_MAP_OF_OBJECTS, .rows = item_rows},
    {"any", SCHEMA_ANY, .text = ""},
    {0},
};

static json_t *from_json(const char *text) {
    struct error error;
    json_t *value = json_parse(text, strlen(text), "case", &error);
    if (!value)
        fail_msg("%s: %s", text, error.text);
    return value;
}

static json_t *apply(const char *text, bool defaults, json_t *unknown,
                     struct problems *problems) {
    struct schema_input from = {
        .where = "/znode", .unknown = unknown, .problems = problems};
    json_t *input = from_json(text);
    json_t *out = schema_apply(table, input, defaults, &from);
    json_decref(input);
    return out;
}

/* What is good comes back as it was, or as the second text says. */
static void good_values(void **state) {
    (void)state;
    static const struct {
        const char *given, *back;
    } cases[] = {
        {"{}", NULL},
        {"{\"flag\": true}", NULL},
        {"{\"number\": -5}", NULL},
        {"{\"number\": 10}", NULL},
        {"{\"text\": \"a\xc3\xa9\xc3\xa9\"}", NULL},
        {"{\"name\": \"a.b-c_d\"}", NULL},
        {"{\"host\": \"::1\"}", NULL},
        {"{\"address\": \"127.0.0.1:1\"}", NULL},
        {"{\"address\": \"[::1]:65535\"}", NULL},
        {"{\"address\": \":80\"}", NULL},
        {"{\"address\": \"host_1.example:80\"}", NULL},
        {"{\"address\": \"/run/x.sock\"}", NULL},
        {"{\"address\": \"unix@/run/x.sock\"}", NULL},
        {"{\"file\": \"a/b\"}", NULL},
        {"{\"uri\": \"/health?a=b&c\"}", NULL},
        {"{\"status\": \"200\"}", NULL},
        {"{\"status\": \"200,204,300-399\"}", NULL},
        {"{\"status\": 200}", "{\"status\": \"200\"}"},
        {"{\"causes\": [\"red\", \"green\"]}", NULL},
        {"{\"time\": \"10ms\"}", NULL},
        {"{\"time\": \"1m\"}", NULL},
        {"{\"share\": \"100%\"}", NULL},
        {"{\"colour\": \"green\"}", NULL},
        {"{\"texts\": [\"a\", \"\"]}", NULL},
        {"{\"names\": []}", NULL},
        {"{\"items\": [{\"id\": \"a\"}, {\"id\": \"b\", \"mode\": \"1\"}]}", NULL},
        {"{\"inner\": {\"path\": \"/\", \"rise\": 100}}", NULL},
        {"{\"free\": {\"a\": [1, {\"b\": null}]}}", NULL},
        {"{\"labels\": {\"a\": \"b\", \"any key\": \"\"}}", NULL},
        {"{\"labels\": {\"a\": 1, \"b\": true, \"c\": 1.5, \"d\": null}}",
         "{\"labels\": {\"a\": \"1\", \"b\": \"true\", \"c\": \"1.5\"}}"},
        {"{\"things\": {\"a\": {\"id\": \"x\"}, \"b\": null}}",
         "{\"things\": {\"a\": {\"id\": \"x\"}}}"},
        {"{\"any\": [1, 1.5, \"x\", {\"a\": false}]}", NULL},
        {"{\"any\": null, \"text\": null, \"inner\": null}", "{}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problems problems = {0};
        json_t *out = apply(cases[i].given, false, NULL, &problems);
        json_t *back = from_json(cases[i].back ? cases[i].back : cases[i].given);
        if (problems.count)
            fail_msg("%s: %s", cases[i].given, problems.items[0].text);
        if (!json_equal(out, back))
            fail_msg("%s came back different", cases[i].given);
        json_decref(out);
        json_decref(back);
    }
}

/* One fault each, with the exact text, and the key is not in what comes back. */
static void faults(void **state) {
    (void)state;
    static const struct {
        const char *given, *text;
    } cases[] = {
        {"{\"flag\": 1}", "flag: expected true or false, found the number 1"},
        {"{\"flag\": \"true\"}",
         "flag: expected true or false, found the string \"true\""},
        {"{\"number\": 11}",
         "number: expected a whole number from -5 to 10, found the number 11"},
        {"{\"number\": -6}",
         "number: expected a whole number from -5 to 10, found the number -6"},
        {"{\"number\": 1.5}",
         "number: expected a whole number from -5 to 10, found the number 1.5"},
        {"{\"number\": \"1\"}",
         "number: expected a whole number from -5 to 10, found the string \"1\""},
        {"{\"text\": 8080}",
         "text: expected a string of 1 to 5 bytes, found the number 8080; if it is "
         "meant, put it in quotes: \"8080\""},
        {"{\"text\": true}",
         "text: expected a string of 1 to 5 bytes, found true; if it is meant, put it "
         "in quotes: \"true\""},
        {"{\"text\": \"\"}",
         "text: expected a string of 1 to 5 bytes, found the string \"\""},
        {"{\"text\": \"sixsix\"}",
         "text: expected a string of 1 to 5 bytes, found the string \"sixsix\""},
        {"{\"text\": [\"a\"]}", "text: expected a string of 1 to 5 bytes, found a list"},
        {"{\"text\": \"a\\nb\"}",
         "text: control characters and bytes that are not UTF-8 are not allowed, found "
         "the string \"a\\x0ab\""},
        {"{\"name\": \"a b\"}",
         "name: expected a name of letters, digits, '-', '_' and '.', at most 127 of "
         "them, found the string \"a b\""},
        {"{\"host\": \"a\\u0085\"}",
         "host: control characters and bytes that are not UTF-8 are not allowed, found "
         "the string \"a\\xc2\\x85\""},
        {"{\"host\": \"10.0.0.300\"}",
         "host: expected a host name or an IP address, found the string \"10.0.0.300\""},
        {"{\"file\": \"\"}",
         "file: expected a path of at most 10 bytes, found the string \"\""},
        {"{\"file\": \"12345678901\"}",
         "file: expected a path of at most 10 bytes, found the string \"12345678901\""},
        {"{\"status\": \"200,\"}", STATUS "the string \"200,\""},
        {"{\"status\": \"399-200\"}", STATUS "the string \"399-200\""},
        {"{\"status\": \"200 404\"}", STATUS "the string \"200 404\""},
        {"{\"status\": \"600\"}", STATUS "the string \"600\""},
        {"{\"status\": \"20\"}", STATUS "the string \"20\""},
        {"{\"status\": \"\"}", STATUS "the string \"\""},
        {"{\"status\": 42}", STATUS "the number 42"},
        {"{\"causes\": [\"red\", \"blue\"]}",
         "causes[1]: expected one of red, green, found the string \"blue\""},
        {"{\"uri\": \"/12345678901234567890\"}", URI "of at most 20 bytes, found the "
                                                     "string \"/12345678901234567890\""},
        {"{\"uri\": \"health\"}", "uri: expected a path that begins with '/', without "
                                  "spaces and quotes of at most "
                                  "20 bytes, found "
                                  "the string \"health\""},
        {"{\"uri\": \"/a b\"}", "uri: expected a path that begins with '/', without "
                                "spaces and quotes of at most "
                                "20 bytes, found "
                                "the string \"/a b\""},
        {"{\"time\": \"soon\"}",
         "time: expected a duration such as 250ms, 5s or 2m, from 10ms to 1m, found the "
         "string \"soon\""},
        {"{\"time\": \"2m\"}",
         "time: expected a duration such as 250ms, 5s or 2m, from 10ms to 1m, found the "
         "string \"2m\""},
        {"{\"time\": 5}",
         "time: expected a duration such as 250ms, 5s or 2m, from 10ms to 1m, found the "
         "number 5; it needs a unit: 5s"},
        {"{\"time\": 0}",
         "time: expected a duration such as 250ms, 5s or 2m, from 10ms to 1m, found the "
         "number 0; it needs a unit: 0s"},
        {"{\"share\": 30}",
         "share: expected a percentage such as 30%, found the number 30; it needs its "
         "sign: 30%"},
        {"{\"share\": \"101%\"}",
         "share: expected a percentage such as 30%, found the string \"101%\""},
        {"{\"colour\": \"gren\"}",
         "colour: expected one of red, green, found the string \"gren\"; did you mean "
         "\"green\"?"},
        {"{\"colour\": \"octarine\"}",
         "colour: expected one of red, green, found the string \"octarine\""},
        {"{\"texts\": []}", "texts: expected a list of 1 to 3 items, found 0"},
        {"{\"texts\": [\"\", \"\", \"\", \"\"]}",
         "texts: expected a list of 1 to 3 items, found 4"},
        {"{\"texts\": \"a\"}",
         "texts: expected a list of strings, found the string \"a\""},
        {"{\"texts\": [\"a\", 9]}",
         "texts[1]: expected a string, found the number 9; if it is meant, put it in "
         "quotes: \"9\""},
        {"{\"texts\": [null]}", "texts[0]: expected a string, found null"},
        {"{\"names\": [\"a\", \"b/c\"]}",
         "names[1]: expected a name of letters, digits, '-', '_' and '.', at most 127 "
         "of them, found the string \"b/c\""},
        {"{\"items\": {\"id\": \"a\"}}",
         "items: expected a list of objects, found an object"},
        {"{\"items\": [\"a\"]}", "items[0]: expected an object, found the string \"a\""},
        {"{\"inner\": []}", "inner: expected an object, found a list"},
        {"{\"labels\": {\"a\": []}}", "labels.a: expected a string, found a list"},
        {"{\"labels\": {\"a\\n\": \"\"}}",
         "labels.a\\x0a: expected a key that is free of control characters"},
        {"{\"things\": {\"a/b\": {\"id\": \"x\"}}}",
         "things.a/b: expected a key that is a name of letters, digits, '-', '_' and "
         "'.', at most 127 of them"},
        {"{\"things\": {\"a\": 1}}", "things.a: expected an object, found the number 1"},
        {"{\"things\": {\"a\": {}}}", "things.a.id: missing"},
        {"{\"any\": {\"a\": [\"\\u001b\"]}}",
         "any.a[0]: control characters and bytes that are not UTF-8 are not allowed, "
         "found the string \"\\x1b\""},
        {"{\"any\": {\"a\\r\": 1}}",
         "any.a\\x0d: expected a key that is free of control characters"},
        {"{\"free\": [1]}", "free: expected an object, found a list"},
        {"{\"numbr\": 1}", "unknown key 'numbr'; did you mean 'number'?"},
        {"{\"inner\": {\"rose\": 1}}",
         "unknown key 'inner.rose'; did you mean 'inner.rise'?"},
        {"{\"inner\": {\"zookeeper\": 1}}",
         "unknown key 'inner.zookeeper'; known here: path, rise"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problems problems = {0};
        json_t *out = apply(cases[i].given, false, NULL, &problems);
        if (problems.count != 1 || strcmp(problems.items[0].text, cases[i].text) != 0)
            fail_msg("%s:\nexpected %s\ngot %zu: %s", cases[i].given, cases[i].text,
                     problems.count, problems.count ? problems.items[0].text : "");
        assert_string_equal(problems.items[0].where, "/znode");
        problems_free(&problems);
        json_decref(out);
    }
}

static void bad_keys_are_left_out(void **state) {
    (void)state;
    struct problems problems = {0};
    json_t *out =
        apply("{\"flag\": 5, \"text\": 1, \"name\": \"ok\", \"texts\": [\"a\", 1],"
              " \"inner\": {\"rise\": 0, \"path\": \"/\"}, \"labels\": {\"a\": []}}",
              false, NULL, &problems);
    json_t *expected = from_json("{\"name\": \"ok\", \"inner\": {\"path\": \"/\"}}");
    assert_int_equal(problems.count, 5);
    assert_true(json_equal(out, expected));
    problems_free(&problems);
    json_decref(out);
    json_decref(expected);
}

static void addresses(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "80",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:+80",
        "host: 80",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[host]:1",
        "a b:80",
        "[::1:80",
        "host:080808",
        "http://a:80",
        "*:80",
        "unix@x",
        "unix@",
        "host:80\\nbind",
        "run/x.sock",
        "-a:80",
        ":",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct problems problems = {0};
        char text[100];
        (void)snprintf(text, sizeof text, "{\"address\": \"%s\"}", bad[i]);
        json_t *out = apply(text, false, NULL, &problems);
        if (problems.count != 1 || json_object_size(out))
            fail_msg("\"%s\" was taken for an address", bad[i]);
        problems_free(&problems);
        json_decref(out);
    }
}

static void split_addresses(void **state) {
    (void)state;
    char host[16];
    uint16_t port = 0;
    assert_true(schema_split_address("10.0.0.1:80", host, sizeof host, &port));
    assert_string_equal(host, "10.0.0.1");
    assert_int_equal(port, 80);
    assert_true(schema_split_address("[fe80::1]:65535", host, sizeof host, &port));
    assert_string_equal(host, "fe80::1");
    assert_int_equal(port, 65535);
    assert_true(schema_split_address(":8000", host, sizeof host, &port));
    assert_string_equal(host, "");
    assert_int_equal(port, 8000);
    assert_false(schema_split_address("/run/x:80.sock", host, sizeof host, &port));
    assert_false(schema_split_address("/run/x", host, sizeof host, &port));
    assert_false(schema_split_address("unix@/run/x", host, sizeof host, &port));
    assert_false(
        schema_split_address("a-name-that-is-too-long:80", host, sizeof host, &port));
    assert_false(schema_split_address("[]:80", host, sizeof host, &port));
}

/* Defaults come at every depth, in the order of the table, and in place of bad values. */
static void defaults(void **state) {
    (void)state;
    struct problems problems = {0};
    json_t *out = apply("{\"items\": [{\"id\": \"a\"}], \"text\": 7, \"flag\": null}",
                        true, NULL, &problems);
    struct buffer text = BUFFER_INIT;
    json_write(out, 0, &text);
    assert_string_equal(buffer_str(&text), "{\"flag\":false,\"text\":\"x\","
                                           "\"items\":[{\"id\":\"a\",\"mode\":\"0644\"}],"
                                           "\"inner\":{\"rise\":2}}");
    assert_int_equal(problems.count, 1);
    buffer_free(&text);
    problems_free(&problems);
    json_decref(out);
}

/* The order is the table's, whatever the input's is. */
static void order(void **state) {
    (void)state;
    struct problems problems = {0};
    json_t *out = apply("{\"name\": \"a\", \"text\": \"b\", \"flag\": true}", false, NULL,
                        &problems);
    struct buffer text = BUFFER_INIT;
    json_write(out, 0, &text);
    assert_string_equal(buffer_str(&text),
                        "{\"flag\":true,\"text\":\"b\",\"name\":\"a\"}");
    buffer_free(&text);
    json_decref(out);
}

static void unknown_keys_that_are_wanted(void **state) {
    (void)state;
    struct problems problems = {0};
    json_t *unknown = json_object();
    json_t *out =
        apply("{\"new\": {\"a\": [1]}, \"bad\": \"\\n\", \"b\\nd\": 1, \"flag\": "
              "true, \"inner\": {\"new\": 1}}",
              false, unknown, &problems);
    json_t *expected = from_json("{\"new\": {\"a\": [1]}}");
    assert_true(json_equal(unknown, expected));
    assert_int_equal(json_object_size(out), 2);
    assert_int_equal(problems.count, 3); /* two are not clean, and one is not top-level */
    assert_non_null(strstr(problems.items[0].text, "inner.new"));
    problems_free(&problems);
    json_decref(unknown);
    json_decref(expected);
    json_decref(out);
}

static void no_object_at_all(void **state) {
    (void)state;
    static const char *const cases[] = {"[]", "1", "\"x\"", "null", "true"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problems problems = {0};
        assert_null(apply(cases[i], true, NULL, &problems));
        assert_int_equal(problems.count, 1);
        assert_non_null(
            strstr(problems.items[0].text, "the whole text: expected an object, found "));
        problems_free(&problems);
    }
}

/* Every fault stands where it was made, however deep. */
static void places(void **state) {
    (void)state;
    static const char text[] = "flag: 1\n"
                               "inner: {path: x,\n"
                               "  rise: 1000}\n"
                               "items:\n"
                               "  - {id: a, mode: 7}\n"
                               "  - {}\n"
                               "  - 5\n"
                               "texts: [a,\n"
                               "  1]\n"
                               "any: [{a: \"\\e\"}]\n"
                               "labels: {a: []}\n"
                               "oops: 1\n";
    static const char *const expected[] = {
        "x:1:1", "x:9:3", "x:5:13",  "x:6:5",  "x:7:5",
        "x:2:9", "x:3:3", "x:11:10", "x:10:8", "x:12:1",
    };
    struct problems problems = {0};
    struct places *found = NULL;
    json_t *input = yaml_parse(text, sizeof text - 1, "x", &found, &problems);
    assert_non_null(input);
    struct schema_input from = {
        .places = found, .where = "not this", .problems = &problems};
    json_t *out = schema_apply(table, input, false, &from);
    assert_int_equal(problems.count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++)
        if (strcmp(problems.items[i].where, expected[i]) != 0)
            fail_msg("%s: %s: expected at %s", problems.items[i].where,
                     problems.items[i].text, expected[i]);
    problems_free(&problems);
    json_decref(out);
    json_decref(input);
    places_free(found);
}

static void single_values(void **state) {
    (void)state;
    struct problems problems = {0};
    struct schema_input from = {.problems = &problems};
    json_t *value = json_string("soon");
    assert_null(schema_value(schema_find(table, "time"), value, "a.time", "HATLAS_A_TIME",
                             false, &from));
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].where, "HATLAS_A_TIME");
    assert_int_equal(strncmp(problems.items[0].text, "a.time: ", 8), 0);
    problems_free(&problems);
    json_decref(value);
}

static void find(void **state) {
    (void)state;
    assert_ptr_equal(schema_find(table, "flag"), &table[0]);
    assert_ptr_equal(schema_find(table, "inner.rise"), &inner_rows[1]);
    assert_ptr_equal(schema_find(table, "items.id"), &item_rows[0]);
    assert_null(schema_find(table, "inner.ris"));
    assert_null(schema_find(table, "inner.risen"));
    assert_null(schema_find(table, "flag.x"));
    assert_null(schema_find(table, "inner."));
    assert_null(schema_find(table, ""));
}

/* A value that is as long as it gets is named, cut short, and never breaks the line. */
static void huge_values(void **state) {
    (void)state;
    struct buffer text = BUFFER_INIT;
    struct problems problems = {0};
    buffer_puts(&text, "{\"name\": \"");
    for (int i = 0; i < 100000; i++)
        buffer_puts(&text, "x/");
    buffer_puts(&text, "\", \"");
    for (int i = 0; i < 100000; i++)
        buffer_puts(&text, "k/");
    buffer_puts(&text, "\": 1}");
    json_t *out = apply(buffer_str(&text), false, NULL, &problems);
    assert_int_equal(json_object_size(out), 0);
    assert_int_equal(problems.count, 2);
    for (size_t i = 0; i < problems.count; i++)
        assert_true(strlen(problems.items[i].text) < 1536);
    assert_non_null(strstr(problems.items[0].text, "..."));
    buffer_free(&text);
    problems_free(&problems);
    json_decref(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values),
        cmocka_unit_test(faults),
        cmocka_unit_test(bad_keys_are_left_out),
        cmocka_unit_test(addresses),
        cmocka_unit_test(split_addresses),
        cmocka_unit_test(defaults),
        cmocka_unit_test(order),
        cmocka_unit_test(unknown_keys_that_are_wanted),
        cmocka_unit_test(no_object_at_all),
        cmocka_unit_test(places),
        cmocka_unit_test(single_values),
        cmocka_unit_test(find),
        cmocka_unit_test(huge_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
