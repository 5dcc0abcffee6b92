/* Ports that somebody else holds, with real listeners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/ports.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct event_base *base;
    struct ports *ports;
    unsigned freed;
    int listener;
    int port;
};

static void on_freed(void *arg) {
    struct fixture *f = arg;
    f->freed++;
    (void)event_base_loopbreak(f->base);
}

static int set_up(void **state) {
    struct fixture *f = mem_zalloc(sizeof *f);
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->base = event_base_new();
    f->ports = ports_new(f->base, on_freed, f);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(f->listener, 1), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&at, &len), 0);
    f->port = ntohs(at.sin_port);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    ports_free(f->ports);
    event_base_free(f->base);
    if (f->listener >= 0)
        (void)close(f->listener);
    free(f);
    return 0;
}

/* In the config wanted, '%' stands for the port of the listener. */
static bool look(struct fixture *f, const char *wanted, const char *placed) {
    size_t len = strcspn(wanted, "%");
    char *config =
        wanted[len] ? mem_printf("%.*s%d%s", (int)len, wanted, f->port, wanted + len + 1)
                    : mem_strdup(wanted);
    bool held = ports_look(f->ports, config, placed);
    free(config);
    return held;
}

static void test_held(void **state) {
    struct fixture *f = *state;
    struct problems problems = {0};
    char *address = mem_printf("holds 127.0.0.1:%d;", f->port);
    assert_true(look(f,
                     "frontend a\n    mode tcp\n\nlisten db from x:y\n    # 1\n"
                     "    bind 127.0.0.1:%\n    server a 1\n",
                     ""));
    assert_int_equal(json_array_size(ports_taken(f->ports)), 1);
    assert_int_equal(json_integer_value(json_array_get(ports_taken(f->ports), 0)),
                     f->port);
    ports_report(f->ports, &problems);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].where, "db");
    assert_non_null(strstr(problems.items[0].text, address));
    problems_free(&problems);
    free(address);
    assert_true(look(f, "listen db\n    bind *:% name x\n", ""));
    assert_true(look(f, "listen db\n    bind :%", ""));
    assert_false(look(f, "listen db\n", ""));
    assert_int_equal(json_array_size(ports_taken(f->ports)), 0);
}

/* Nothing but an address with one port is tried. */
static void test_others(void **state) {
    static const char *const texts[] = {
        "listen a\n    bind /run/x%\n",
        "listen a\n    bind\n",
        "listen a\n    bind 127.0.0.2:%\n",
        "listen a\n    bind [::1]:%\n",
        "listen a\n    bind 127.0.0.1:%-9\n",
        "listen a\n    bind 127.0.0.1:\n",
        "listen a\n    bind 127.0.0.1:99%9\n",
        "listen a\n    bind nobody.invalid:%\n",
        "listen a\n    # bind 127.0.0.1:%\n",
        "listen a\n    bind [:%\n",
        "    bind ]:%",
        "",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(look(*state, texts[i], ""));
}

static void test_own(void **state) {
    struct fixture *f = *state;
    char *placed =
        mem_printf("listen x\n    bind 127.0.0.1:1\n    bind 127.0.0.1:%d\n", f->port);
    assert_false(look(f, "listen db\n    bind 127.0.0.1:%\n", placed));
    placed[strlen(placed) - 2] = '\0';
    assert_true(look(f, "listen db\n    bind 127.0.0.1:%\n", placed));
    free(placed);
}

static void test_freed(void **state) {
    struct fixture *f = *state;
    assert_true(look(f, "listen db\n    bind 127.0.0.1:%\n", ""));
    (void)close(f->listener);
    f->listener = -1;
    (void)event_base_dispatch(f->base);
    assert_int_equal(f->freed, 1);
    assert_int_equal(json_array_size(ports_taken(f->ports)), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_freed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
