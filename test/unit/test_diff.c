/* base/diff.h: every diff, applied to the old text, gives the new one. */
#include "base/diff.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *old, const char *new, const char *expected) {
    struct buffer out = BUFFER_INIT;
    struct diff_text a = {old, strlen(old)};
    struct diff_text b = {new, strlen(new)};
    bool differ = diff_unified("f", &a, &b, 10000, &out);
    assert_int_equal(differ, *expected != '\0');
    assert_string_equal(buffer_str(&out), expected);
    buffer_free(&out);
}

static void test_small_texts(void **state) {
    (void)state;
    check("a\nb\n", "a\nb\n", "");
    check("", "", "");
    check("", "a\n", "--- f\n+++ f\n@@ -0,0 +1,1 @@\n+a\n");
    check("a\n", "", "--- f\n+++ f\n@@ -1,1 +0,0 @@\n-a\n");
    check("a\nb\nc\n", "a\nB\nc\n", "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
    check("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n6\n7\n8\n9\n",
          "--- f\n+++ f\n@@ -2,7 +2,6 @@\n 2\n 3\n 4\n-5\n 6\n 7\n 8\n");
}

static void test_says_what_is_too_much(void **state) {
    (void)state;
    struct buffer out = BUFFER_INIT;
    struct diff_text a = {"a\n", 2};
    struct diff_text b = {"b\nb\nb\n", 6};
    assert_true(diff_unified("f", &a, &b, 3, &out));
    assert_non_null(strstr(buffer_str(&out), "not shown: too many lines differ"));
    buffer_free(&out);
}

static uint32_t next(uint32_t *seed) {
    return *seed = *seed * 1664525U + 1013904223U, *seed >> 16;
}

static void random_text(uint32_t *seed, struct buffer *out) {
    for (uint32_t lines = next(seed) % 40; lines; lines--)
        buffer_printf(out, "%c\n", 'a' + (int)(next(seed) % 5));
}

static void change_text(uint32_t *seed, const struct buffer *old, struct buffer *new) {
    for (size_t i = 0; i < old->len; i += 2) {
        uint32_t luck = next(seed) % 8;
        if (luck == 0)
            buffer_printf(new, "%c\n", 'a' + (int)(next(seed) % 5));
        if (luck != 1)
            buffer_append(new, old->data + i, 2);
    }
}

/* Applies the diff as patch(1) would, line by line and strictly. */
static void patch(const char *old, const char *diff, struct buffer *out) {
    const char *line = diff;
    size_t at = 0; /* line of `old` that is next */
    for (; *line; line = strchr(line, '\n') + 1) {
        unsigned long first = 0;
        unsigned long count = 0;
        if (!strncmp(line, "---", 3) || !strncmp(line, "+++", 3))
            continue;
        if (sscanf(line, "@@ -%lu,%lu", &first, &count) == 2) {
            for (size_t to = count ? first - 1 : first; at < to; at++)
                buffer_append(out, old + 2 * at, 2);
            continue;
        }
        assert_non_null(strchr(" +-", *line));
        if (*line != '+')
            assert_memory_equal(line + 1, old + 2 * at++, 2);
        if (*line != '-')
            buffer_append(out, line + 1, 2);
    }
    buffer_puts(out, old + 2 * at);
}

static void test_random_texts_come_out_right(void **state) {
    (void)state;
    uint32_t seed = 7;
    for (int i = 0; i < 3000; i++) {
        struct buffer old = BUFFER_INIT;
        struct buffer new = BUFFER_INIT;
        struct buffer diff = BUFFER_INIT;
        struct buffer patched = BUFFER_INIT;
        random_text(&seed, &old);
        if (i % 2)
            change_text(&seed, &old, &new);
        else
            random_text(&seed, &new);
        struct diff_text a = {buffer_str(&old), old.len};
        struct diff_text b = {buffer_str(&new), new.len};
        (void)diff_unified("f", &a, &b, 10000, &diff);
        patch(buffer_str(&old), buffer_str(&diff), &patched);
        assert_string_equal(buffer_str(&patched), buffer_str(&new));
        buffer_free(&old);
        buffer_free(&new);
        buffer_free(&diff);
        buffer_free(&patched);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_texts),
        cmocka_unit_test(test_says_what_is_too_much),
        cmocka_unit_test(test_random_texts_come_out_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
