/* Quoting: each place in a line, and HAProxy's own reader as the judge of what is
 * written. */
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "render/compile.h"
#include "render/quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct quote_case {
    enum quote quote;
    const char *value;
    const char *expected; /* NULL: refused */
    const char *fault;
};

static const struct quote_case cases[] = {
    {QUOTE_BARE, "plain-1.example:80/x@y%z+a=b,c", "plain-1.example:80/x@y%z+a=b,c",
     NULL},
    {QUOTE_BARE, "", "''", NULL},
    {QUOTE_BARE, "a b", "'a b'", NULL},
    {QUOTE_BARE, "it's", "'it'\\''s'", NULL},
    {QUOTE_BARE, "$HOME", "'$HOME'", NULL},
    {QUOTE_BARE, "#", "'#'", NULL},
    {QUOTE_BARE, "\\", "'\\'", NULL},
    {QUOTE_BARE, "\"", "'\"'", NULL},
    {QUOTE_BARE, "é", "'é'", NULL},
    {QUOTE_DOUBLE, "", "", NULL},
    {QUOTE_DOUBLE, "a\\b\"c$d'e#f g", "a\\\\b\\\"c\\$d'e#f g", NULL},
    {QUOTE_SINGLE, "", "", NULL},
    {QUOTE_SINGLE, "a\\b\"c$d'e#f g", "a\\b\"c$d'\\''e#f g", NULL},
    {QUOTE_COMMENT, "it's #", "it's #", NULL},
    {QUOTE_MAP, "key", "key", NULL},
    {QUOTE_MAP, "a#b'c$", "a#b'c$", NULL},
    {QUOTE_MAP, "", NULL, "is empty, which a map can't hold"},
    {QUOTE_MAP, "#a", NULL, "begins with '#', which a map takes for a comment"},
    {QUOTE_MAP, "a b", NULL, "has a blank in it, which a map can't hold"},
    {QUOTE_NONE, "it's \"$HOME\" # \\", "it's \"$HOME\" # \\", NULL},
    {QUOTE_NONE, "", "", NULL},
};

static void test_places(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out = BUFFER_INIT;
        const struct quote_case *c = &cases[i];
        const char *fault = quote_append(c->quote, c->value, strlen(c->value), &out);
        if (c->expected) {
            assert_null(fault);
            assert_string_equal(buffer_str(&out), c->expected);
        } else {
            assert_string_equal(fault, c->fault);
            assert_int_equal(out.len, 0);
        }
        buffer_free(&out);
    }
}

static const struct {
    const char *value;
    size_t len;
    const char *fault;
} hostile[] = {
    {"a\nb", 3, "has a newline in it"},
    {"\n", 1, "has a newline in it"},
    {"a\0b", 3, "has a NUL byte in it"},
    {"a\tb", 3, "has a control character or invalid UTF-8 in it"},
    {"a\rb", 3, "has a control character or invalid UTF-8 in it"},
    {"\x7f", 1, "has a control character or invalid UTF-8 in it"},
    {"\xc2\x85", 2, "has a control character or invalid UTF-8 in it"},
    {"\xff", 1, "has a control character or invalid UTF-8 in it"},
    {"\xc0\x80", 2, "has a control character or invalid UTF-8 in it"},
    {"a\xe2\x82", 3, "has a control character or invalid UTF-8 in it"},
};

static void test_refused_everywhere(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct buffer out = BUFFER_INIT;
        for (enum quote quote = QUOTE_BARE; quote <= QUOTE_NONE; quote++)
            assert_string_equal(
                quote_append(quote, hostile[i].value, hostile[i].len, &out),
                hostile[i].fault);
        assert_string_equal(quote_append_raw(hostile[i].value, hostile[i].len, &out),
                            hostile[i].fault);
        assert_int_equal(out.len, 0);
        buffer_free(&out);
    }
}

static const struct {
    const char *text;
    enum quote quote;
    bool escaped;
    unsigned words;
} scans[] = {
    {"", QUOTE_BARE, false, 0},
    {"  a b", QUOTE_BARE, false, 2},
    {"a \"b c", QUOTE_DOUBLE, false, 2},
    {"a \"b\\\" c", QUOTE_DOUBLE, false, 2},
    {"a \"b\" 'c d", QUOTE_SINGLE, false, 3},
    {"a 'b\\", QUOTE_SINGLE, false, 2},
    {"a 'b\\' c", QUOTE_BARE, false, 3},
    {"a\\ b", QUOTE_BARE, false, 1},
    {"a\\\"b", QUOTE_BARE, false, 1},
    {"a\\", QUOTE_BARE, true, 1},
    {"a # it's", QUOTE_COMMENT, false, 1},
    {"a\\# b", QUOTE_BARE, false, 2},
    {"a '#' b", QUOTE_BARE, false, 3},
};

static void test_scan(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof scans / sizeof *scans; i++) {
        struct quote_scan scan = {0};
        quote_scan_text(&scan, scans[i].text, strlen(scans[i].text));
        assert_int_equal(scan.quote, scans[i].quote);
        assert_int_equal(scan.escaped, scans[i].escaped);
        assert_int_equal(scan.words, scans[i].words);
    }
}

/* HAProxy prints the word behind .notice as it read it. */
enum { VALUES = 120, VALUE_MAX = 24 };

static const struct {
    enum quote quote;
    const char *before, *after;
} places[] = {
    {QUOTE_BARE, "", ""},
    {QUOTE_BARE, "x", "y"},
    {QUOTE_DOUBLE, "\"x y", "z\""},
    {QUOTE_SINGLE, "'x y", "z'"},
};
static const char *const read_before[] = {"", "x", "x y", "x y"};
static const char *const read_after[] = {"", "y", "z", "z"};

enum { PLACES = sizeof places / sizeof *places };

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 16;
}

/* What means something to HAProxy comes up more often. */
static void make_value(uint32_t *seed, char *out) {
    static const char special[] = "\\\"'$# {}%()[]é";
    size_t len = next(seed) % VALUE_MAX;
    size_t at = 0;
    while (at < len) {
        uint32_t choice = next(seed) % (sizeof special - 2);
        if (next(seed) % 2)
            out[at++] = (char)(' ' + next(seed) % 95);
        else if ((unsigned char)special[choice] < 0x80)
            out[at++] = special[choice];
        else
            at += (size_t)sprintf(out + at, "é");
    }
    out[at] = '\0';
}

static void write_config(char (*values)[VALUE_MAX + 4], struct buffer *config) {
    for (size_t i = 0; i < (size_t)VALUES; i++)
        for (size_t j = 0; j < (size_t)PLACES; j++) {
            buffer_printf(config, ".notice %s", places[j].before);
            assert_null(
                quote_append(places[j].quote, values[i], strlen(values[i]), config));
            buffer_printf(config, "%s\n", places[j].after);
        }
    buffer_puts(config, "global\n    maxconn 10\n");
}

static void check_notices(char (*values)[VALUE_MAX + 4], const char *output) {
    for (size_t i = 0; i < (size_t)VALUES * PLACES; i++) {
        struct buffer line = BUFFER_INIT;
        buffer_printf(&line, ":%zu]: '%s%s%s'.\n", i + 1, read_before[i % PLACES],
                      values[i / PLACES], read_after[i % PLACES]);
        if (!strstr(output, buffer_str(&line)))
            fail_msg("HAProxy did not read%s", buffer_str(&line));
        buffer_free(&line);
    }
}

static void test_haproxy_reads_it_back(void **state) {
    (void)state;
    static char values[VALUES][VALUE_MAX + 4];
    struct buffer config = BUFFER_INIT;
    struct buffer output = BUFFER_INIT;
    struct error error = {0};
    char path[] = "/tmp/test_quote.XXXXXX";
    uint32_t seed = 1;
    for (size_t i = 0; i < VALUES; i++)
        make_value(&seed, values[i]);
    write_config(values, &config);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, config.data, config.len), (ssize_t)config.len);
    assert_int_equal(close(fd), 0);
    const char *argv[] = {"haproxy", "-c", "-f", path, NULL};
    int code = -1;
    (void)child_run(argv, 60000, &output, &code, &error);
    assert_int_equal(unlink(path), 0);
    if (code != 0 && code != 2) /* 2: valid, but without a listener */
        fail_msg("haproxy: %d: %s%s", code, error.text, buffer_str(&output));
    check_notices(values, buffer_str(&output));
    buffer_free(&config);
    buffer_free(&output);
}

static void test_compile_marks_places(void **state) {
    (void)state;
    static const char text[] = "a {{ 1 }} \"{{ 2 }}\" '{{ 3 }}' # {{ 4 }}\n";
    static const enum quote expected[] = {QUOTE_BARE, QUOTE_DOUBLE, QUOTE_SINGLE,
                                          QUOTE_COMMENT};
    struct program program;
    struct buffer lua = BUFFER_INIT;
    struct error error;
    assert_true(program_compile(&program, "x.cfg", text, sizeof text - 1, &lua, &error));
    assert_int_equal(program.value_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(program.values[i].quote, expected[i]);
    assert_string_equal(buffer_str(&lua),
                        "local _line,_ENV=...;;_line(1,(1),(2),(3),(4))");
    program_free(&program);
    buffer_free(&lua);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_refused_everywhere),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_haproxy_reads_it_back),
        cmocka_unit_test(test_compile_marks_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
