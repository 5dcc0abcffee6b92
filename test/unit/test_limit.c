/* base/limit.h: what repeats is counted, what is new is written. */
#include "base/file.h"
#include "base/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t SECOND = 1000000;

static bool pass(struct log_limit *limit, const char *host, int number, int64_t now) {
    return log_limit_pass(
        limit, LOG_WARNING, "trouble",
        (struct log_field[]){LOG_STR("host", host), LOG_INT("number", number), {0}}, now);
}

static void test_writes_a_burst_and_counts_the_rest(void **state) {
    (void)state;
    struct log log = {.fd = memfd_create("log", 0), .level = LOG_INFO};
    struct log_limit *limit = log_limit_new();
    char text[4096] = "";
    for (int i = 0; i < LOG_LIMIT_BURST; i++)
        assert_true(pass(limit, "a", i, SECOND));
    for (int i = 0; i < 7; i++)
        assert_false(pass(limit, "a", i, 2 * SECOND));
    assert_true(pass(limit, "b", 0, 2 * SECOND));
    log_limit_flush(limit, &log, 3 * SECOND);
    assert_int_equal(lseek(log.fd, 0, SEEK_CUR), 0);
    log_limit_flush(limit, &log, 62 * SECOND);
    assert_true(pread(log.fd, text, sizeof text - 1, 0) > 0);
    assert_non_null(strstr(text, "line=trouble times=7 seconds=61"));
    assert_null(strchr(strchr(text, '\n') + 1, '\n'));
    assert_true(pass(limit, "a", 0, 63 * SECOND));
    log_limit_free(limit);
    (void)close(log.fd);
}

static void test_a_full_table_never_holds_news_back(void **state) {
    (void)state;
    struct log_limit *limit = log_limit_new();
    for (int i = 0; i < 10000; i++) {
        char host[16];
        (void)snprintf(host, sizeof host, "host-%d", i);
        assert_true(pass(limit, host, 0, SECOND));
    }
    log_limit_free(limit);
}

static void test_the_log_uses_it(void **state) {
    (void)state;
    struct log log = {.fd = memfd_create("log", 0), .level = LOG_INFO};
    struct buffer text = BUFFER_INIT;
    char path[64];
    size_t lines = 0;
    log.limit = log_limit_new();
    for (int i = 0; i < 100; i++) {
        log_error(&log, "again", LOG_INT("i", i));
        log_info(&log, "progress");
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", log.fd);
    assert_true(file_read(path, 1 << 20, &text, NULL));
    for (const char *at = buffer_str(&text); (at = strstr(at, "msg=again")); at++)
        lines++;
    assert_int_equal(lines, LOG_LIMIT_BURST);
    for (const char *at = buffer_str(&text); (at = strstr(at, "msg=progress")); at++)
        lines++;
    assert_int_equal(lines, LOG_LIMIT_BURST + 100);
    buffer_free(&text);
    log_limit_free(log.limit);
    (void)close(log.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_a_burst_and_counts_the_rest),
        cmocka_unit_test(test_a_full_table_never_holds_news_back),
        cmocka_unit_test(test_the_log_uses_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
