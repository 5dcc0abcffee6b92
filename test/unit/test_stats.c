/* haproxy/stats.h: what `show stat` says, read strictly. */
#include "haproxy/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COLUMNS                                                                          \
    "# pxname,svname,qcur,scur,stot,econ,eresp,status,lastchg,type,rate,check_status,"   \
    "hrsp_5xx,ctime,rtime,weight,\n"

static void test_reads_servers(void **state) {
    (void)state;
    struct stats_table table;
    const struct stats_server *first = NULL;
    assert_true(stats_parse(COLUMNS "web,b,1,2,30,4,5,UP,6,2,7,L7OK,8,9,10,1,\n"
                                    "web,FRONTEND,0,0,0,0,0,OPEN,0,0,0,,0,0,0,1,\n"
                                    "web,a,0,0,0,0,0,DOWN 1/2,0,2,0,L4CON,0,3,0,1,\n"
                                    "api,x,0,0,0,0,0,no check,0,2,0,,0,0,0,1,\n",
                            &table, NULL));
    assert_int_equal(table.count, 3);
    assert_int_equal(stats_backend(&table, "web", &first), 2);
    assert_string_equal(first->server, "a");
    assert_int_equal(first->state, STATS_DOWN);
    assert_int_equal(first->latency, 3);
    const struct stats_server *b = stats_find(&table, "web", "b");
    assert_non_null(b);
    assert_int_equal(b->state, STATS_UP);
    assert_string_equal(b->check, "L7OK");
    assert_int_equal(b->queue, 1);
    assert_int_equal(b->sessions, 2);
    assert_int_equal(b->total, 30);
    assert_int_equal(b->errors, 4 + 5 + 8);
    assert_int_equal(b->rate, 7);
    assert_int_equal(b->latency, 10);
    assert_int_equal(b->changed, 6);
    assert_int_equal(stats_find(&table, "api", "x")->state, STATS_UNCHECKED);
    assert_null(stats_find(&table, "api", "y"));
    assert_int_equal(stats_backend(&table, "ap", &first), 0);
    assert_null(first);
    stats_table_free(&table);
}

static void test_reads_states(void **state) {
    (void)state;
    static const struct {
        const char *word;
        enum stats_state state;
    } cases[] = {{"UP", STATS_UP},
                 {"UP 1/3", STATS_UP},
                 {"DOWN", STATS_DOWN},
                 {"DOWN (agent)", STATS_DOWN},
                 {"MAINT", STATS_MAINT},
                 {"MAINT (resolution)", STATS_MAINT},
                 {"DRAIN", STATS_DRAIN},
                 {"NOLB", STATS_DRAIN},
                 {"no check", STATS_UNCHECKED},
                 {"", STATS_UNKNOWN},
                 {"\"DRAIN\"", STATS_DRAIN},
                 {"fine", STATS_UNKNOWN}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer text = BUFFER_INIT;
        struct stats_table table;
        buffer_printf(&text, COLUMNS "web,a,0,0,0,0,0,%s,0,2,0,,0,0,0,1,\n",
                      cases[i].word);
        assert_true(stats_parse(buffer_str(&text), &table, NULL));
        assert_int_equal(table.servers[0].state, cases[i].state);
        stats_table_free(&table);
        buffer_free(&text);
    }
}

static void test_weight_0_drains(void **state) {
    (void)state;
    struct stats_table table;
    assert_true(stats_parse(COLUMNS "web,a,0,0,0,0,0,UP,0,2,0,,0,0,0,0,\n"
                                    "web,b,0,0,0,0,0,DOWN,0,2,0,,0,0,0,0,\n",
                            &table, NULL));
    assert_int_equal(table.servers[0].state, STATS_DRAIN);
    assert_int_equal(table.servers[1].state, STATS_DOWN);
    stats_table_free(&table);
}

static void test_quotes(void **state) {
    (void)state;
    struct stats_table table;
    assert_true(stats_parse(
        COLUMNS "web,a,0,0,0,0,0,UP,0,2,0,\"a \"\"b\"\", c\",0,0,0,1,\n", &table, NULL));
    assert_string_equal(table.servers[0].check, "a \"b\", c");
    stats_table_free(&table);
}

static void test_refuses_what_is_none(void **state) {
    (void)state;
    static const char *const texts[] = {"", "\n", "Unknown command", "# pxname,svname\n",
                                        "pxname,svname,status\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct stats_table table;
        struct error error;
        assert_false(stats_parse(texts[i], &table, &error));
        assert_int_equal(table.count, 0);
        assert_string_equal(error.where, "show stat");
    }
}

static void test_skips_torn_lines(void **state) {
    (void)state;
    struct stats_table table;
    assert_true(
        stats_parse(COLUMNS "web,a,0,0\n\"\n,,,,,,,,,,,,,,,,,,\nweb,b", &table, NULL));
    assert_int_equal(table.count, 0);
    stats_table_free(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_servers),
        cmocka_unit_test(test_reads_states),
        cmocka_unit_test(test_weight_0_drains),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_refuses_what_is_none),
        cmocka_unit_test(test_skips_torn_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
