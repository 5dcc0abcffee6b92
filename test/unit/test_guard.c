/* guard.h: losses are held, confirmed, or taken back. */
#include "agent/guard.h"
#include "catalog/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

static const int64_t grace = 30000000; /* microseconds */

static struct settings settings = {.guard = {true, 50, 30000}};

static const struct catalog *parse(const char *text) {
    struct problems problems = {0};
    const struct catalog *catalog =
        catalog_read(text, strlen(text), "c", NULL, &problems);
    assert_int_equal(problems.count, 0);
    return catalog;
}

/* Passes the catalog and returns how many services and hosts are served: "2/5", and
 * whether anything was said about it. */
static const char *pass(struct guard *guard, const char *text, uint64_t reads,
                        int64_t now) {
    static char told[32];
    struct problems problems = {0};
    const struct catalog *catalog = parse(text);
    const struct catalog *served = guard_pass(guard, catalog, reads, now, &problems);
    (void)snprintf(told, sizeof told, "%zu/%zu%s", served->service_count,
                   catalog_host_count(served), problems.count ? " held" : "");
    problems_free(&problems);
    catalog_unref(catalog);
    catalog_unref(served);
    return told;
}

#define A "{host: a, port: 1}"
#define B "{host: b, port: 1}"
#define C "{host: c, port: 1}"
#define D "{host: d, port: 1}"

static const char four[] =
    "services: {s: {hosts: [" A "," B "," C "," D "]}, t: {}, u: {}}";
static const char two[] = "services: {s: {hosts: [" A "," B "]}, t: {}, u: {}}";
static const char one[] = "services: {s: {hosts: [" A "]}, t: {}, u: {}}";
static const char none[] = "services: {s: {}, t: {}, u: {}}";
static const char gone[] = "services: {}";
static const char fewer[] = "services: {s: {hosts: [" A "," B "," C "," D "]}, t: {}}";

static void test_small_losses_pass(void **state) {
    (void)state;
    struct guard *guard = guard_new(&settings);
    assert_string_equal(pass(guard, four, 1, 10), "3/4");
    assert_string_equal(pass(guard, two, 1, 20), "3/2");
    assert_string_equal(pass(guard, one, 1, 20 + 2 * grace), "3/1");
    assert_string_equal(pass(guard, fewer, 1, 30 + 2 * grace), "2/4");
    assert_int_equal(guard_confirm_at(guard), 0);
    guard_free(guard);
}

static void test_small_losses_add_up(void **state) {
    (void)state;
    static const char three[] =
        "services: {s: {hosts: [" A "," B "," C "]}, t: {}, u: {}}";
    struct guard *guard = guard_new(&settings);
    pass(guard, four, 1, 10);
    assert_string_equal(pass(guard, three, 1, 3 * grace), "3/3");
    assert_string_equal(pass(guard, two, 1, 3 * grace + grace / 2), "3/2");
    assert_string_equal(pass(guard, one, 1, 3 * grace + grace * 2 / 3), "3/2 held");
    assert_int_equal(guard_confirm_at(guard), 4 * grace + grace * 2 / 3);
    assert_string_equal(pass(guard, two, 1, 4 * grace), "3/2");
    /* What was gone two grace times ago is no news. */
    assert_string_equal(pass(guard, one, 1, 7 * grace), "3/1");
    guard_free(guard);
}

static void test_losses_of_services_add_up(void **state) {
    (void)state;
    struct guard *guard = guard_new(&settings);
    pass(guard, four, 1, 10);
    assert_string_equal(pass(guard, fewer, 1, 20), "2/4");
    static const char last[] = "services: {s: {hosts: [" A "," B "," C "," D "]}}";
    assert_string_equal(pass(guard, last, 1, 30), "2/4 held");
    guard_free(guard);
}

static void test_replaced_one_by_one(void **state) {
    (void)state;
    static const char *const steps[] = {
        "services: {s: {hosts: [" A "," B "]}, t: {}, u: {}}",
        "services: {s: {hosts: [" A "," B "," C "]}, t: {}, u: {}}",
        "services: {s: {hosts: [" B "," C "]}, t: {}, u: {}}",
        "services: {s: {hosts: [" B "," C "," D "]}, t: {}, u: {}}",
        "services: {s: {hosts: [" C "," D "]}, t: {}, u: {}}",
    };
    struct guard *guard = guard_new(&settings);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_null(strstr(pass(guard, steps[i], 1, (int64_t)i * 10), "held"));
    guard_free(guard);
}

static void test_last_host_stays_until_confirmed(void **state) {
    (void)state;
    struct guard *guard = guard_new(&settings);
    pass(guard, one, 1, 10);
    assert_string_equal(pass(guard, none, 1, 20), "3/1 held");
    assert_int_equal(guard_confirm_at(guard), 20 + 30000000);
    assert_string_equal(pass(guard, none, 1, 50000000), "3/1 held");
    guard_confirming(guard, 2);
    assert_int_equal(guard_confirm_at(guard), 0);
    assert_string_equal(pass(guard, none, 1, 60000000), "3/1 held");
    assert_string_equal(pass(guard, none, 2, 70000000), "3/0");
    assert_string_equal(pass(guard, one, 2, 80000000), "3/1");
    assert_string_equal(pass(guard, none, 2, 90000000), "3/1 held");
    guard_free(guard);
}

static void test_many_at_once_stay(void **state) {
    (void)state;
    struct guard *guard = guard_new(&settings);
    pass(guard, four, 1, 10);
    assert_string_equal(pass(guard, one, 1, 20), "3/4 held");
    /* What comes back ends it. */
    assert_string_equal(pass(guard, four, 1, 30), "3/4");
    assert_int_equal(guard_confirm_at(guard), 0);
    guard_free(guard);
}

static void test_new_hosts_join_what_is_held(void **state) {
    (void)state;
    struct guard *guard = guard_new(&settings);
    pass(guard, two, 1, 10);
    static const char others[] = "services: {s: {hosts: [" C "," D "]}, t: {}, u: {}}";
    assert_string_equal(pass(guard, others, 1, 20), "3/4 held");
    assert_string_equal(pass(guard, others, 1, 30), "3/4 held");
    guard_confirming(guard, 2);
    assert_string_equal(pass(guard, others, 2, 40), "3/2");
    guard_free(guard);
}

static void test_empty_registry_empties_nothing(void **state) {
    (void)state;
    struct guard *guard = guard_new(&settings);
    pass(guard, four, 1, 10);
    assert_string_equal(pass(guard, gone, 1, 20), "3/4 held");
    assert_int_equal(guard_confirm_at(guard), 0);
    guard_confirming(guard, 2);
    assert_string_equal(pass(guard, gone, 2, 40000000), "3/4 held");
    guard_free(guard);
}

/* While a registry is filled again, what it does not have yet is still there. */
static void test_registry_filled_again(void **state) {
    (void)state;
    struct guard *guard = guard_new(&settings);
    pass(guard, four, 1, 10);
    guard_confirming(guard, 2);
    assert_string_equal(pass(guard, gone, 2, 20), "3/4 held");
    assert_string_equal(pass(guard, "services: {t: {}}", 3, 30), "3/4 held");
    assert_int_equal(guard_confirm_at(guard), 30 + 30000000);
    guard_confirming(guard, 4);
    assert_string_equal(pass(guard, "services: {t: {}}", 4, 40), "1/0");
    guard_free(guard);
}

static void test_only_service_may_not_vanish_unconfirmed(void **state) {
    (void)state;
    struct guard *guard = guard_new(&settings);
    pass(guard, "services: {s: {}}", 1, 10);
    assert_string_equal(pass(guard, gone, 1, 20), "1/0 held");
    guard_free(guard);
}

static void test_allow_turns_it_off(void **state) {
    (void)state;
    struct settings allow = settings;
    allow.guard.keep_empty = false;
    struct guard *guard = guard_new(&allow);
    pass(guard, four, 1, 10);
    assert_string_equal(pass(guard, gone, 1, 20), "0/0");
    guard_free(guard);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_losses_pass),
        cmocka_unit_test(test_small_losses_add_up),
        cmocka_unit_test(test_losses_of_services_add_up),
        cmocka_unit_test(test_replaced_one_by_one),
        cmocka_unit_test(test_last_host_stays_until_confirmed),
        cmocka_unit_test(test_many_at_once_stay),
        cmocka_unit_test(test_new_hosts_join_what_is_held),
        cmocka_unit_test(test_empty_registry_empties_nothing),
        cmocka_unit_test(test_registry_filled_again),
        cmocka_unit_test(test_only_service_may_not_vanish_unconfirmed),
        cmocka_unit_test(test_allow_turns_it_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
