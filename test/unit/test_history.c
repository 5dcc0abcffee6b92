/* agent/history.h: a bounded memory of what changed. */
#include "agent/history.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char open_path[] = "/run/open";
static char secret_path[] = "/run/secret";
static struct output_settings settings[2] = {{.path = open_path, .mode = 0644},
                                             {.path = secret_path, .mode = 0600}};

static const struct outputs *outputs_of(const char *open, const char *secret) {
    struct outputs *outputs = mem_zalloc(sizeof *outputs + 2 * sizeof outputs->items[0]);
    outputs->refs = 1;
    outputs->count = 2;
    for (int i = 0; i < 2; i++) {
        outputs->items[i].settings = &settings[i];
        outputs->items[i].exists = true;
        buffer_puts(&outputs->items[i].text, i ? secret : open);
    }
    return outputs;
}

static const struct status_change *add(struct history *history, const char *open,
                                       const char *secret, enum apply_result result,
                                       const struct error *error) {
    struct plan plan = {.kind = PLAN_RUNTIME, .count = 3};
    const struct outputs *outputs = outputs_of(open, secret);
    struct apply_report report = {.result = result,
                                  .error = error,
                                  .plan = &plan,
                                  .outputs = outputs,
                                  .usec = 1500};
    const struct status_change *change = history_add(history, &report);
    outputs_unref(outputs);
    return change;
}

static void test_remembers_a_change(void **state) {
    (void)state;
    struct history *history = history_new();
    char headline[32];
    size_t count = 0;
    assert_null(add(history, "a\n", "s\n", APPLY_DONE, NULL)->diff);
    history_note(history, "one");
    history_note(history, "two");
    const struct status_change *change = add(history, "b\n", "t\n", APPLY_DONE, NULL);
    assert_string_equal(change->what, "one\ntwo");
    assert_string_equal(history_headline(change, headline, sizeof headline), "one");
    assert_int_equal(change->count, 2);
    assert_int_equal(change->id, 2);
    assert_int_equal(change->way, STATUS_RUNTIME);
    assert_int_equal(change->steps, 3);
    assert_string_equal(change->diff,
                        "--- /run/open\n+++ /run/open\n@@ -1,1 +1,1 @@\n-a\n+b\n");
    assert_null(add(history, "b\n", "t\n", APPLY_DONE, NULL)->what);
    assert_ptr_equal(history_changes(history, &count)[1], change);
    assert_int_equal(count, 3);
    assert_int_equal(history_totals(history)->changes[STATUS_RUNTIME][STATUS_DONE], 3);
    assert_int_equal(history_totals(history)->apply[STATUS_RUNTIME].sum, 4500);
    history_free(history);
}

static void test_what_fails_again_is_one_change(void **state) {
    (void)state;
    struct history *history = history_new();
    struct error full = {"/run/open", "disk full"};
    struct error other = {"/run/open", "no permission"};
    const struct status_change *change = NULL;
    size_t count = 0;
    for (int i = 0; i < 50; i++)
        change = add(history, "a\n", "s\n", APPLY_NOT_WRITTEN, &full);
    assert_int_equal(change->tries, 50);
    assert_int_equal(change->id, 50);
    assert_string_equal(change->error, "/run/open: disk full");
    (void)history_changes(history, &count);
    assert_int_equal(count, 1);
    change = add(history, "a\n", "s\n", APPLY_NOT_WRITTEN, &other);
    assert_int_equal(change->tries, 1);
    history_note(history, "news");
    (void)add(history, "a\n", "s\n", APPLY_NOT_WRITTEN, &other);
    (void)history_changes(history, &count);
    assert_int_equal(count, 3);
    history_free(history);
}

static void test_is_bounded(void **state) {
    (void)state;
    struct history *history = history_new();
    size_t count = 0;
    size_t bytes = 0;
    for (int i = 0; i < 300; i++) {
        struct buffer text = BUFFER_INIT;
        for (int line = 0; line < 150; line++)
            buffer_printf(&text, "%*d\n", 180, i % 2 ? line : -line);
        (void)add(history, buffer_str(&text), "", APPLY_DONE, NULL);
        buffer_free(&text);
    }
    const struct status_change *const *changes = history_changes(history, &count);
    for (size_t i = 0; i < count; i++)
        bytes += changes[i]->diff ? strlen(changes[i]->diff) : 0;
    assert_int_equal(count, 100);
    assert_int_equal(changes[0]->id, 201);
    assert_non_null(changes[99]->diff);
    assert_true(bytes > 1 << 20);
    assert_true(bytes < 3 << 20);
    history_free(history);
}

static void test_names_some_differences_and_counts_all(void **state) {
    (void)state;
    struct history *history = history_new();
    size_t lines = 1;
    for (int i = 0; i < 1000; i++)
        history_note(history, "difference");
    const struct status_change *change = add(history, "", "", APPLY_DONE, NULL);
    for (const char *c = change->what; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 20);
    assert_int_equal(change->count, 1000);
    history_free(history);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_a_change),
        cmocka_unit_test(test_what_fails_again_is_one_change),
        cmocka_unit_test(test_is_bounded),
        cmocka_unit_test(test_names_some_differences_and_counts_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
