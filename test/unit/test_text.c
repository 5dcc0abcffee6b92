/* Questions about text, each as a table of texts and answers; the hostile ones stand
 * last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* `count` times the character, as a string that is freed with the process. */
static char *repeat(char c, size_t count) {
    char *text = malloc(count + 1);
    assert_non_null(text);
    memset(text, c, count);
    text[count] = '\0';
    return text;
}

struct answer {
    const char *text;
    bool yes;
};

static void ask(bool (*question)(const char *text), const struct answer *answers,
                size_t count) {
    for (size_t i = 0; i < count; i++)
        if (question(answers[i].text) != answers[i].yes)
            fail_msg("\"%s\": expected %s", answers[i].text,
                     answers[i].yes ? "yes" : "no");
}

static void service_names(void **state) {
    (void)state;
    char *longest = repeat('a', 127);
    char *longer = repeat('a', 128);
    const struct answer answers[] = {
        {"teams", true},     {"Teams_2.eu-west", true},
        {"1", true},         {"_a", true},
        {longest, true},     {longer, false},
        {"", false},         {".a", false},
        {"-a", false},       {"a:b", false},
        {"a b", false},      {"a/b", false},
        {"a\nb", false},     {"a\n", false},
        {"a#b", false},      {"a$b", false},
        {"a\"b", false},     {"a'b", false},
        {"\xc3\xa9", false}, {"a\\b", false},
        {"..", false},       {"a\x7f", false},
        {"a\xff", false},
    };
    ask(text_is_service_name, answers, COUNT(answers));
    free(longest);
    free(longer);
}

static void hosts(void **state) {
    (void)state;
    char *longest = repeat('a', 253);
    char *longer = repeat('a', 254);
    const struct answer answers[] = {
        {"host-001", true},   {"a.b.example.", true},
        {"my_host", true},    {"10.0.0.1", true},
        {"::1", true},        {"fe80::1", true},
        {"2001:db8::", true}, {"1a", true},
        {longest, true},      {longer, false},
        {"", false},          {"10.0.0.256", false},
        {"10.0.0", false},    {"1", false},
        {".a", false},        {"-a", false},
        {"a-", false},        {"a..b", false},
        {"a:80", false},      {"[::1]", false},
        {":::", false},       {"a b", false},
        {"a\n", false},       {"::1\n", false},
        {"a/b", false},       {"fe80::1%eth0", false},
    };
    ask(text_is_host, answers, COUNT(answers));
    free(longest);
    free(longer);
}

static void ipv6(void **state) {
    (void)state;
    const struct answer answers[] = {
        {"::", true},        {"::ffff:10.0.0.1", true}, {"1:2:3:4:5:6:7:8", true},
        {"10.0.0.1", false}, {"[::1]", false},          {"::1 ", false},
        {"", false},
    };
    ask(text_is_ipv6, answers, COUNT(answers));
}

static void clean(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        bool yes;
    } cases[] = {
        {"", 0, true},
        {"plain text, tabs not", 20, true},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, true},
        {"\xc2\xa0", 2, true}, /* U+00A0 is the first after C1 */
        {"a\tb", 3, false},
        {"a\nb", 3, false},
        {"a\0b", 3, false},
        {"\x1b[31m", 5, false},
        {"\x7f", 1, false},
        {"\xc2\x80", 2, false}, /* C1 */
        {"\xc2\x9f", 2, false},
        {"\xc0\xaf", 2, false},     /* overlong '/' */
        {"\xe0\x80\x8a", 3, false}, /* overlong newline */
        {"\xf0\x80\x80\x8a", 4, false},
        {"\xed\xa0\x80", 3, false},     /* surrogate */
        {"\xf4\x90\x80\x80", 4, false}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 4, false},
        {"\x80", 1, false},
        {"\xe2\x82", 2, false}, /* cut off */
        {"\xff\xfe", 2, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        /* A copy of exactly the bytes, so that reading behind them is noticed. */
        char *copy = malloc(cases[i].len ? cases[i].len : 1);
        assert_non_null(copy);
        memcpy(copy, cases[i].text, cases[i].len);
        if (text_is_clean(copy, cases[i].len) != cases[i].yes)
            fail_msg("case %zu: expected %s", i, cases[i].yes ? "clean" : "not clean");
        free(copy);
    }
}

static void printable(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *expected;
    } cases[] = {
        {"", 1, ""},
        {"plain", 32, "plain"},
        {"plain", 8, "plain"},
        {"plain", 6, "plain"}, /* just fits */
        {"plain", 5, "p..."},
        {"line\nline", 32, "line\\x0aline"},
        {"\x1b[2J", 32, "\\x1b[2J"},
        {"\xc3\xa9", 32, "\xc3\xa9"},
        {"\xc2\x85", 32, "\\xc2\\x85"},
        {"\xff", 32, "\\xff"},
        {"\xe2\x82", 32, "\\xe2\\x82"},
        {"\xc3\xa9\xc3\xa9\xc3\xa9", 6, "\xc3\xa9..."}, /* never half a character */
        {"\n\n\n", 8, "\\x0a..."},
        {"abc", 8, "abc"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *out = malloc(cases[i].size);
        assert_non_null(out);
        assert_ptr_equal(text_printable(cases[i].text, out, cases[i].size), out);
        assert_string_equal(out, cases[i].expected);
        free(out);
    }
}

/* Whatever the size, the result ends within it. */
static void printable_in_any_size(void **state) {
    (void)state;
    const char *text = "a\nb\xc3\xa9\xff\x01 and more of it";
    for (size_t size = 4; size < 64; size++) {
        char *out = malloc(size);
        assert_non_null(out);
        (void)text_printable(text, out, size);
        assert_true(strlen(out) < size);
        assert_true(text_is_clean(out, strlen(out)));
        free(out);
    }
}

static void durations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t milliseconds; /* -1: not a duration */
    } cases[] = {
        {"250ms", 250},
        {"5s", 5000},
        {"2m", 120000},
        {"1h", 3600000},
        {"1d", 86400000},
        {"0", 0},
        {"0s", 0},
        {"007s", 7000},
        {"999999999d", 86399999913600000},
        {"", -1},
        {"5", -1},
        {"s", -1},
        {"-5s", -1},
        {"+5s", -1},
        {"5 s", -1},
        {" 5s", -1},
        {"5s ", -1},
        {"1.5s", -1},
        {"5S", -1},
        {"5us", -1},
        {"5ss", -1},
        {"1h30m", -1},
        {"0x5s", -1},
        {"9999999999s", -1},
        {"99999999999999999999999s", -1},
        {"5s\n", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t got = -1;
        bool yes = text_duration(cases[i].text, &got);
        if (yes != (cases[i].milliseconds >= 0) || got != cases[i].milliseconds)
            fail_msg("\"%s\": got %lld", cases[i].text, (long long)got);
    }
}

static void formatted_durations(void **state) {
    (void)state;
    static const struct {
        int64_t milliseconds;
        const char *expected;
    } cases[] = {
        {0, "0ms"},      {1, "1ms"},       {1500, "1500ms"},
        {2000, "2s"},    {60000, "1m"},    {61000, "61s"},
        {3600000, "1h"}, {86400000, "1d"}, {90000000, "25h"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[32];
        int64_t again = -1;
        assert_string_equal(text_format_duration(cases[i].milliseconds, out, sizeof out),
                            cases[i].expected);
        assert_true(text_duration(out, &again));
        assert_true(again == cases[i].milliseconds);
    }
}

static void percents(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t percent; /* -1: none */
    } cases[] = {
        {"0%", 0},     {"30%", 30},
        {"100%", 100}, {"101%", -1},
        {"30", -1},    {"%", -1},
        {"-1%", -1},   {"1.5%", -1},
        {"30 %", -1},  {"30%%", -1},
        {"", -1},      {"999%", -1},
        {"1000%", -1}, {"18446744073709551617%", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t got = 0;
        bool yes = text_percent(cases[i].text, &got);
        if (yes != (cases[i].percent >= 0) || (yes && got != cases[i].percent))
            fail_msg("\"%s\": got %s %lld", cases[i].text, yes ? "yes" : "no",
                     (long long)got);
    }
}

static void nearest(void **state) {
    (void)state;
    static const char *const names[] = {"apply", "cache", "haproxy", "outputs", NULL};
    static const char *const none[] = {NULL};
    assert_string_equal(text_nearest("aply", names), "apply");
    assert_string_equal(text_nearest("apply", names), "apply");
    assert_string_equal(text_nearest("ha_proxy", names), "haproxy");
    assert_string_equal(text_nearest("output", names), "outputs");
    assert_null(text_nearest("zookeeper", names));
    assert_null(text_nearest("", names));
    assert_null(text_nearest("apply", none));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(service_names), cmocka_unit_test(hosts),
        cmocka_unit_test(ipv6),          cmocka_unit_test(clean),
        cmocka_unit_test(printable),     cmocka_unit_test(printable_in_any_size),
        cmocka_unit_test(durations),     cmocka_unit_test(formatted_durations),
        cmocka_unit_test(percents),      cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
