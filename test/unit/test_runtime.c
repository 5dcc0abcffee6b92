/* Tests of the Runtime API client: its parsers on texts, the client on the real HAProxy and
 * on servers that only play one. Nothing is timed: every wait is for an event or a state,
 * with a deadline far beyond what it takes. */
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "haproxy/answer.h"
#include "haproxy/cli.h"
#include "haproxy/map.h"
#include "haproxy/runtime.h"
#include "haproxy/script.h"
#include "haproxy/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEADLINE_S = 40, HOSTS = 3 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- answers ---- */

static const struct {
    enum answer_kind kind;
    enum answer_verdict verdict;
    const char *answer;
} judgements[] = {
    {ANSWER_NOTHING, ANSWER_DONE, ""},
    {ANSWER_NOTHING, ANSWER_UNKNOWN, "No such server."},
    {ANSWER_NOTHING, ANSWER_UNKNOWN, "Backend is using a static LB algorithm"},
    {ANSWER_ADDED, ANSWER_DONE, "New server registered."},
    {ANSWER_ADDED, ANSWER_UNKNOWN, ""},
    {ANSWER_ADDED, ANSWER_UNKNOWN, "New server registered. Or so."},
    {ANSWER_ADDED, ANSWER_UNKNOWN,
     "Already exists a server with the same name in backend."},
    {ANSWER_ADDRESS, ANSWER_DONE,
     "IP changed from '127.0.0.1' to '127.0.0.2', port changed from '1' to '2' by 'stats "
     "socket command'"},
    {ANSWER_ADDRESS, ANSWER_DONE,
     "IP changed from '::1' to '127.0.0.2', no need to change the port by 'stats socket "
     "command'"},
    {ANSWER_ADDRESS, ANSWER_DONE,
     "no need to change the addr, no need to change the port by 'stats socket command'"},
    {ANSWER_ADDRESS, ANSWER_UNKNOWN,
     "Update for the current server address family is only supported through "
     "configuration file by 'stats socket command'"},
    {ANSWER_ADDRESS, ANSWER_UNKNOWN, "Invalid addr 'x' by 'stats socket command'"},
    {ANSWER_ADDRESS, ANSWER_UNKNOWN,
     "IP changed from 'a' to 'b', but port is odd by 'stats socket command'"},
    {ANSWER_ADDRESS, ANSWER_UNKNOWN, "IP changed from 'a' to 'b'"},
    {ANSWER_ADDRESS, ANSWER_UNKNOWN, " by 'stats socket command' and more"},
    {ANSWER_ADDRESS, ANSWER_UNKNOWN, ""},
    {ANSWER_DELETED, ANSWER_DONE, "Server deleted."},
    {ANSWER_DELETED, ANSWER_DONE, "No such server."},
    {ANSWER_DELETED, ANSWER_BUSY,
     "Server still has connections attached to it, cannot remove it."},
    {ANSWER_DELETED, ANSWER_UNKNOWN, "Only servers in maintenance mode can be deleted."},
    {ANSWER_DELETED, ANSWER_UNKNOWN, ""},
};

static void test_judge(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(judgements); i++) {
        print_message("    %s\n", judgements[i].answer);
        assert_int_equal(answer_judge(judgements[i].kind, judgements[i].answer),
                         judgements[i].verdict);
    }
}

static void test_map_version(void **state) {
    (void)state;
    long version = 0;
    assert_true(answer_map_version("New version created: 17", &version));
    assert_int_equal(version, 17);
    assert_false(answer_map_version("New version created: ", &version));
    assert_false(answer_map_version("New version created: -1", &version));
    assert_false(answer_map_version("New version created: 1 or 2", &version));
    assert_false(answer_map_version("Unknown map identifier.", &version));
    assert_false(answer_map_version("", &version));
    static const char yes[] = "type=str, case=sensitive, found=yes, idx=tree, key=\"a\", "
                              "value=\"11\", type=\"str\"";
    assert_true(answer_map_value(yes, "11"));
    assert_false(answer_map_value(yes, "1"));
    assert_false(answer_map_value(yes, "111"));
    assert_false(answer_map_value("type=str, case=sensitive, found=no", "11"));
    assert_false(answer_map_value("", ""));
}

static const struct {
    const char *answer, *version;
    pid_t pid; /* 0: no such answer */
} infos[] = {
    {"Name: HAProxy\nVersion: 2.6.12-1\nRelease_date: x\nPid: 12\nUptime: 0", "2.6.12-1",
     12},
    {"Name: HAProxy\nVersion: 3.0.5\nPid: 4194303", "3.0.5", 4194303},
    {"Name: HAProxy\nVersion: 2.6.12-1\nPid: 0", "", 0},
    {"Name: HAProxy\nVersion: 2.6.12-1\nPid: 99999999999", "", 0},
    {"Name: HAProxy\nVersion: 2.6.12-1\nPid: x", "", 0},
    {"Name: HAProxy\nVersion: 2.6.12-1\nPid: ", "", 0},
    {"Name: HAProxy\nPid: 12", "", 0},
    {"Name: HAProxy\nVersion: 2.6.12-1", "", 0},
    {"Name: nginx\nVersion: 2.6.12-1\nPid: 12", "", 0},
    {"Unknown command", "", 0},
    {"", "", 0},
};

static void test_info(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(infos); i++) {
        char version[16] = "";
        pid_t pid = 0;
        bool good = answer_info(infos[i].answer, &pid, version, sizeof version);
        assert_int_equal(good, infos[i].pid != 0);
        if (good) {
            assert_int_equal(pid, infos[i].pid);
            assert_string_equal(version, infos[i].version);
        }
    }
    const char *help = "The following commands are valid at this level:\n"
                       "  add server <bk>/<srv>   : create a new server\n"
                       "  quit                    : disconnect";
    assert_true(answer_offers(help, "add server"));
    assert_true(answer_offers(help, "quit"));
    assert_false(answer_offers(help, "add serve"));
    assert_false(answer_offers(help, "prepare map"));
    assert_false(answer_offers(help, "create"));
    assert_false(answer_offers("", "add server"));
}

#define HEADING                                                                          \
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight " \
    "srv_iweight srv_time_since_last_change srv_check_status srv_check_result "          \
    "srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id "   \
    "srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "             \
    "srv_agent_addr srv_agent_port\n"

static void list_server(void *arg, const struct answer_server *s) {
    buffer_printf(arg, "%s/%s %s %ld %ld%s%s%s%s%s%s|", s->backend, s->server, s->address,
                  s->port, s->weight, s->running ? " running" : "",
                  s->maintenance ? " maint" : "", s->draining ? " drain" : "",
                  s->unresolved ? " unresolved" : "", s->check_ok ? " ok" : "",
                  s->has_agent ? " agent" : "");
}

static const struct {
    const char *answer;
    bool good;
    const char *servers;
} states[] = {
    {"1\n" HEADING "3 teams 1 a 127.0.0.1 0 0 10 10 1 8 2 0 6 0 0 0 - 19101 - 0 0 - - 0\n"
     "3 teams 2 b ::1 0 5 1 1 1 1 0 0 14 0 0 0 - 19102 - 0 0 - - 0\n"
     "3 teams 3 c - 0 32 1 1 1 1 0 0 14 0 0 0 x.invalid 80 - 0 0 - - 0\n"
     "3 teams 4 d 10.0.0.1 2 8 1 1 1 6 3 3 6 7 0 0 - 80 - 0 0 - - 0",
     true,
     "teams/a 127.0.0.1 19101 10|teams/b ::1 19102 1 maint|teams/c - 80 1 "
     "unresolved|teams/d 10.0.0.1 80 1 running drain ok agent|"},
    {"1\n# x srv_port srv_agent_state srv_check_result srv_uweight srv_admin_state "
     "srv_op_state srv_addr srv_name be_name\n1 80 0 3 256 0 2 10.0.0.1 s b more columns",
     true, "b/s 10.0.0.1 80 256 running ok|"},
    {"1\n" HEADING, true, ""},
    {"2\n" HEADING, false, ""},
    {"1\n# be_id be_name srv_name", false, ""},
    {"1\n", false, ""},
    {"", false, ""},
    {"Can't find backend.", false, ""},
    {"1\n" HEADING "3 teams 1 a 127.0.0.1 0 0 10", false, ""},
    {"1\n" HEADING "3 teams 1 a 127.0.0.1 0 x 10 10 1 8 2 0 6 0 0 0 - 19101 - 0 0", false,
     ""},
    {"1\n" HEADING "3 teams 1 a 127.0.0.1 0 0 10 10 1 8 2 0 6 0 0 0 - -5 - 0 0", false,
     ""},
};

static void test_servers(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(states); i++) {
        struct buffer got = BUFFER_INIT;
        assert_int_equal(answer_servers(states[i].answer, list_server, &got),
                         states[i].good);
        assert_string_equal(buffer_str(&got), states[i].servers);
        buffer_free(&got);
    }
}

/* ---- maps ---- */

static const struct {
    const char *text;
    const char *entries; /* joined by '|'; NULL: refused */
    const char *place;
} map_files[] = {
    {"a teams\nb src\n", "a teams|b src|", NULL},
    {"# comment\n\n  a\t  teams  \n\tb c d \r\n  # more\nlast x", "a teams|b c d|last x|",
     NULL},
    {"a;b <<\\ \"x\" y\n", "a;b <<\\ \"x\" y|", NULL},
    {"", "", NULL},
    {"a teams\nb\n", NULL, "m.map:2"},
    {"a teams\x01\n", NULL, "m.map:1"},
    {"a t\x7f\n", NULL, "m.map:1"},
    {"a t\xff\n", NULL, "m.map:1"},
};

static void test_map_read(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(map_files); i++) {
        struct map map;
        struct error error;
        struct buffer got = BUFFER_INIT;
        bool good = map_read(&map, "m.map", map_files[i].text, &error);
        assert_int_equal(good, map_files[i].entries != NULL);
        for (size_t j = 0; good && j < map.count; j++)
            buffer_printf(&got, "%s|", map.lines[j]);
        assert_string_equal(good ? buffer_str(&got) : error.where,
                            good ? map_files[i].entries : map_files[i].place);
        if (good)
            map_free(&map);
        buffer_free(&got);
    }
}

static void test_map_equal(void **state) {
    static const struct {
        const char *file, *answer, *difference;
    } cases[] = {
        {"a 1\nb 2\n", "0x1 b 2\n0xf a 1", NULL},
        {"a 1\na 1\n", "0x1 a 1\n0x2 a 1", NULL},
        {"", "", NULL},
        {"a 1\na 1\n", "0x1 a 1", "lacks the entry 'a 1'"},
        {"a 1\n", "0x1 a 1\n0x2 a 1", "an entry too many, 'a 1'"},
        {"a 1\nc 3\n", "0x1 a 1\n0x2 b 2", "an entry too many, 'b 2'"},
        {"a 1\n", "", "lacks the entry 'a 1'"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct map wanted;
        struct map got;
        struct error error = {{0}, {0}};
        assert_true(map_read(&wanted, "m", cases[i].file, &error));
        assert_true(map_read_answer(&got, cases[i].answer));
        assert_int_equal(map_equal(&wanted, &got, "m", &error), !cases[i].difference);
        if (cases[i].difference)
            assert_non_null(strstr(error.text, cases[i].difference));
        map_free(&wanted);
        map_free(&got);
    }
    struct map none;
    assert_false(map_read_answer(&none, "Unknown map identifier."));
    assert_false(map_read_answer(&none, "0x1 a 1\n0x2 b"));
    assert_false(map_read_answer(&none, "0x a 1"));
}

static void test_map_pieces(void **state) {
    (void)state;
    struct map map;
    struct buffer text = BUFFER_INIT;
    struct buffer all = BUFFER_INIT;
    struct error error;
    for (int i = 0; i < 1000; i++)
        buffer_printf(&text, "key%d value-of-some-length-%d\n", i, i);
    assert_true(map_read(&map, "m", buffer_str(&text), &error));
    size_t pieces = 0;
    for (size_t from = 0; from < map.count; pieces++) {
        struct buffer piece = BUFFER_INIT;
        from = map_take(&map, from, 12000, &piece);
        assert_true(piece.len < 12000);
        buffer_puts(&all, buffer_str(&piece));
        buffer_free(&piece);
    }
    assert_true(pieces > 1 && pieces < 10);
    assert_string_equal(buffer_str(&all), buffer_str(&text));
    map_free(&map);
    buffer_clear(&text);
    buffer_puts(&text, "key ");
    for (int i = 0; i < 20000; i++)
        buffer_putc(&text, 'x');
    assert_false(map_read(&map, "m", buffer_str(&text), &error));
    assert_non_null(strstr(error.text, "can't be sent"));
    buffer_free(&text);
    buffer_free(&all);
}

/* ---- scripts ---- */

#define S(x) ((char *)(x))

static bool nobody_leaves(const void *arg, const char *server) {
    (void)arg, (void)server;
    return false;
}

static bool teams_has_others(const void *arg, const char *name) {
    (void)arg;
    return !strcmp(name, "teams");
}

static bool b_leaves(const void *arg, const char *server) {
    (void)arg;
    return !strcmp(server, "teams/b");
}

/* Writes the script of one step, one command a line. */
static bool write_one(const struct plan_step *step,
                      bool (*is_leaving)(const void *, const char *), struct buffer *out,
                      struct error *error) {
    struct event_base *base = event_base_new();
    struct resolver *resolver = resolver_new(base);
    struct script script = {.next_id = 100};
    struct script_context context = {resolver, is_leaving, teams_has_others, NULL};
    struct plan plan = {
        .kind = PLAN_RUNTIME, .steps = (struct plan_step *)step, .count = 1};
    bool good = script_write(&script, &plan, &context, error);
    static const char *const when[] = {"", "if added: ", "if revived: "};
    for (size_t i = 0; good && i < script.count; i++) {
        char *command = script_command(&script.lines[i], 7);
        buffer_printf(out, "%s%s\n", when[script.lines[i].when], command);
        free(command);
    }
    script_free(&script);
    resolver_free(resolver);
    event_base_free(base);
    return good;
}

#define POOL " pool-max-conn -1 pool-purge-delay 5s"

static const struct {
    struct plan_step step;
    bool (*is_leaving)(const void *, const char *);
    const char *commands;
} scripts[] = {
    {{.kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 7},
     nobody_leaves,
     "set server teams/a weight 7\n"},
    {{.kind = PLAN_SET_MAXCONN, .backend = S("teams"), .server = S("a"), .number = 70},
     nobody_leaves,
     "set maxconn server teams/a 70\n"},
    {{.kind = PLAN_DISABLE, .backend = S("hatlas:x"), .server = S("10.0.0.1:80")},
     nobody_leaves,
     "set server hatlas:x/10.0.0.1:80 state maint\n"},
    {{.kind = PLAN_ENABLE, .backend = S("teams"), .server = S("a")},
     nobody_leaves,
     "set server teams/a state ready\n"},
    {{.kind = PLAN_REMOVE_SERVER, .backend = S("teams"), .server = S("a")},
     nobody_leaves,
     "set server teams/a state maint\n"},
    {{.kind = PLAN_SET_ADDRESS,
      .backend = S("teams"),
      .server = S("a"),
      .address = S("[0:0::1]:80")},
     nobody_leaves,
     "set server teams/a addr ::1 port 80\n"},
    {{.kind = PLAN_ADD_SERVER,
      .backend = S("teams"),
      .server = S("b"),
      .address = S("10.0.0.1:80"),
      .number = 5},
     nobody_leaves,
     "add server teams/b 10.0.0.1:80  weight 5" POOL " id 100\n"
     "set server teams/b state ready\n"},
    {{.kind = PLAN_ADD_SERVER,
      .backend = S("teams"),
      .server = S("b"),
      .address = S("[::1]:80"),
      .keywords = S("check inter 2s id 9 pool-max-conn 3"),
      .checked = true},
     nobody_leaves,
     "add server teams/b [::1]:80 check inter 2s id 9 pool-max-conn 3 weight 0\n"
     "enable health teams/b\n"
     "set server teams/b state drain\n"},
    {{.kind = PLAN_ADD_SERVER,
      .backend = S("teams"),
      .server = S("b"),
      .address = S("10.0.0.1:80"),
      .keywords = S("check agent-check agent-port 1"),
      .checked = true,
      .agent_checked = true,
      .disabled = true,
      .number = 1},
     nobody_leaves,
     "add server teams/b 10.0.0.1:80 check agent-check agent-port 1 weight 1" POOL
     " id 100\n"
     "enable health teams/b\n"
     "enable agent teams/b\n"},
    {{.kind = PLAN_ADD_SERVER,
      .backend = S("teams"),
      .server = S("b"),
      .address = S("10.0.0.1:80"),
      .keywords = S("backup"),
      .number = 5},
     b_leaves,
     "del server teams/b\n"
     "if added: add server teams/b 10.0.0.1:80 backup weight 5" POOL " id 100\n"
     "if added: set server teams/b state ready\n"
     "if revived: set server teams/b addr 10.0.0.1 port 80\n"
     "if revived: set server teams/b weight 5\n"
     "if revived: set server teams/b state ready\n"},
    {{.kind = PLAN_REPLACE_MAP, .map = S("/x/m.map"), .text = S("# c\n a  1\nb 2\n")},
     nobody_leaves,
     "prepare map /x/m.map\n"
     "add map @7 /x/m.map <<\na 1\nb 2\n\n"
     "show map @7 /x/m.map\n"
     "commit map @7 /x/m.map\n"},
    {{.kind = PLAN_SET_MAP, .map = S("/x/m.map"), .text = S("a:b 1")},
     nobody_leaves,
     "set map /x/m.map a:b 1\n"},
    {{.kind = PLAN_REPLACE_MAP, .map = S("m"), .text = S("")},
     nobody_leaves,
     "prepare map m\nshow map @7 m\ncommit map @7 m\n"},
};

static void test_script(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(scripts); i++) {
        struct buffer got = BUFFER_INIT;
        struct error error;
        assert_true(write_one(&scripts[i].step, scripts[i].is_leaving, &got, &error));
        assert_string_equal(buffer_str(&got), scripts[i].commands);
        buffer_free(&got);
    }
}

#define ADD(back, name, addr, words, weight)                                             \
    {                                                                                    \
        .kind = PLAN_ADD_SERVER, .backend = S(back), .server = S(name),                  \
        .address = S(addr), .keywords = S(words), .number = (weight)                     \
    }

/* What could be read as another command, or as more than one word, is not sent. */
static const struct {
    struct plan_step step;
    const char *where, *says;
} unsafe[] = {
    {ADD("teams", "b;shutdown", "10.0.0.1:80", "", 1), "teams/b;shutdown", "name"},
    {ADD("teams", "b c", "10.0.0.1:80", "", 1), "teams/b c", "name"},
    {ADD("teams", "b\\", "10.0.0.1:80", "", 1), "teams/b\\", "name"},
    {ADD("teams", "", "10.0.0.1:80", "", 1), "teams/", "name"},
    {ADD("te/ams", "b", "10.0.0.1:80", "", 1), "te/ams/b", "name"},
    {ADD("teams", "b\nc", "10.0.0.1:80", "", 1), "teams/b\\x0ac", "name"},
    {ADD("teams", "b", "10.0.0.1:80;quit", "", 1), "teams/b", "address"},
    {ADD("teams", "b", "10.0.0.1", "", 1), "teams/b", "address"},
    {ADD("teams", "b", "10.0.0.1:99999", "", 1), "teams/b", "address"},
    {ADD("teams", "b", "unix@/run/x", "", 1), "teams/b", "address"},
    {ADD("teams", "b", "10.0.0.1:+80", "", 1), "teams/b", "address"},
    {ADD("teams", "b", "never.looked.up:80", "", 1), "teams/b", "address"},
    {ADD("teams", "b", "10.0.0.1:80", "sni str(\"x\")", 1), "teams/b", "keywords"},
    {ADD("teams", "b", "10.0.0.1:80", "check;quit", 1), "teams/b", "keywords"},
    {ADD("teams", "b", "10.0.0.1:80", "sni <<", 1), "teams/b", "keywords"},
    {ADD("teams", "b", "10.0.0.1:80", "check\ninter", 1), "teams/b", "keywords"},
    {ADD("teams", "b", "10.0.0.1:80", "", 257), "teams/b", "weight"},
    {ADD("teams", "b", "10.0.0.1:80", "", -1), "teams/b", "weight"},
    {{.kind = PLAN_REPLACE_MAP, .map = S("m x"), .text = S("")}, "m x", "name"},
    {{.kind = PLAN_REPLACE_MAP, .map = S("m"), .text = S("a\n")}, "m:1", "value"},
    {{.kind = PLAN_SET_MAP, .map = S("m x"), .text = S("a b")}, "m x", "entry"},
    {{.kind = PLAN_SET_MAP, .map = S("m"), .text = S("a")}, "m", "entry"},
    {{.kind = PLAN_SET_MAP, .map = S("m"), .text = S("a ")}, "m", "entry"},
    {{.kind = PLAN_SET_MAP, .map = S("m"), .text = S("a b;quit")}, "m", "entry"},
    {{.kind = PLAN_SET_MAP, .map = S("m"), .text = S("#1 b")}, "m", "entry"},
    {{.kind = PLAN_SET_MAP, .map = S("m"), .text = S("a b c")}, "m", "entry"},
    {{.kind = PLAN_DISABLE, .server = S("x")}, "/x", "name"},
};

static void test_script_unsafe(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(unsafe); i++) {
        struct buffer got = BUFFER_INIT;
        struct error error = {{0}, {0}};
        assert_false(write_one(&unsafe[i].step, nobody_leaves, &got, &error));
        assert_string_equal(error.where, unsafe[i].where);
        assert_non_null(strstr(error.text, unsafe[i].says));
        buffer_free(&got);
    }
}

/* ---- a real HAProxy ---- */

/* Frontends of the HAProxy under test play the hosts: the n-th answers "host<n>". */
struct fixture {
    char dir[64];
    char config[128], socket[100], map[128];
    int port, hosts[HOSTS], tcp, dead;
    struct event_base *base;
    struct log log;
    struct haproxy_settings settings;
    struct child *haproxy;
    struct runtime *runtime;
    struct runtime_facts facts;
};

struct outcome {
    int came;
    bool good;
    struct error error;
    struct runtime_facts facts;
};

static void on_done(void *arg, const struct error *error) {
    struct outcome *outcome = arg;
    outcome->came++;
    outcome->good = !error;
    if (error)
        outcome->error = *error;
}

static void on_probed(void *arg, const struct runtime_facts *facts,
                      const struct error *error) {
    on_done(arg, error);
    if (facts)
        ((struct outcome *)arg)->facts = *facts;
}

static int bound_port(int fd) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static int free_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = bound_port(fd);
    (void)close(fd);
    return port;
}

static int dial(int port) {
    struct timeval patience = {DEADLINE_S, 0};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Sends one request with the header `service`; returns the number of the host that
 * answered, 0 for any other answer. */
static int request(const struct fixture *f, const char *service) {
    char reply[4096];
    size_t len = 0;
    ssize_t got = 0;
    int fd = dial(f->port);
    char *text = mem_printf("GET / HTTP/1.0\r\nservice: %s\r\n\r\n", service);
    assert_true(send(fd, text, strlen(text), MSG_NOSIGNAL) > 0);
    while ((got = recv(fd, reply + len, sizeof reply - 1 - len, 0)) > 0)
        len += (size_t)got;
    (void)close(fd);
    free(text);
    reply[len] = '\0';
    const char *word = strstr(reply, " 200 ") ? strstr(reply, "host") : NULL;
    return word ? (int)strtol(word + 4, NULL, 10) : 0;
}

/* Asks HAProxy past the client. The caller owns the answer. */
static char *ask(const struct fixture *f, const char *command) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct buffer answer = BUFFER_INIT;
    ssize_t got = 0;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", f->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    char *line = mem_printf("%s\n", command);
    assert_true(send(fd, line, strlen(line), MSG_NOSIGNAL) > 0);
    free(line);
    while ((got = read(fd, buffer_reserve(&answer, 4096), 4096)) > 0)
        answer.len += (size_t)got;
    buffer_putc(&answer, '\0');
    (void)close(fd);
    return buffer_steal(&answer);
}

static void assert_asked(const struct fixture *f, const char *command,
                         const char *expected) {
    char *answer = ask(f, command);
    if (!strstr(answer, expected))
        fail_msg("%s: %s", command, answer);
    free(answer);
}

struct wanted {
    const char *name;
    bool found;
    char text[256];
};

static void see(void *arg, const struct answer_server *s) {
    struct wanted *wanted = arg;
    if (strcmp(s->server, wanted->name) != 0)
        return;
    wanted->found = true;
    (void)snprintf(wanted->text, sizeof wanted->text, "%ld weight %ld%s%s", s->port,
                   s->weight, s->maintenance ? " maint" : "",
                   s->draining ? " drain" : "");
}

/* Returns whether HAProxy has the server, and in `wanted` its state in words. */
static bool find_server(const struct fixture *f, const char *backend,
                        struct wanted *wanted) {
    char *command = mem_printf("show servers state %s", backend);
    char *answer = ask(f, command);
    wanted->found = false;
    wanted->text[0] = '\0';
    assert_true(answer_servers(answer, see, wanted));
    free(command);
    free(answer);
    return wanted->found;
}

static void assert_server(const struct fixture *f, const char *backend,
                          const char *server, const char *expected) {
    struct wanted wanted = {.name = server};
    assert_int_equal(find_server(f, backend, &wanted), expected != NULL);
    assert_string_equal(wanted.text, expected ? expected : "");
}

/* The config without its backends. */
static void put_head(const struct fixture *f, struct buffer *text) {
    buffer_printf(text,
                  "global\n    stats socket %s mode 600 level admin\n"
                  "defaults\n    mode http\n    timeout client 60s\n"
                  "    timeout server 60s\n    timeout connect 1s\n"
                  "    timeout queue 1s\n"
                  "frontend front\n    bind 127.0.0.1:%d\n"
                  "    use_backend %%[req.fhdr(service),map_str(%s)]\n",
                  f->socket, f->port, f->map);
    for (int i = 0; i < HOSTS; i++)
        buffer_printf(text,
                      "frontend host%d\n    bind 127.0.0.1:%d\n    http-request return "
                      "status 200 content-type text/plain string host%d\n",
                      i + 1, f->hosts[i], i + 1);
}

/* A server line's address and what follows it; "host<n>" is that host's address. */
static void put_server(const struct fixture *f, struct buffer *text, const char *name,
                       const char *rest) {
    int host = 0;
    if (sscanf(rest, "host%d", &host) == 1)
        buffer_printf(text, "    server %s 127.0.0.1:%d%s\n", name, f->hosts[host - 1],
                      rest + 5);
    else
        buffer_printf(text, "    server %s %s\n", name, rest);
}

static int port_of(const struct fixture *f, int host) {
    return f->hosts[host - 1];
}

static int set_up(void **state) {
    struct fixture *f = mem_zalloc(sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/hatlas-runtime.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->config, sizeof f->config, "%s/haproxy.cfg", f->dir);
    (void)snprintf(f->socket, sizeof f->socket, "%s/stats.sock", f->dir);
    (void)snprintf(f->map, sizeof f->map, "%s/services.map", f->dir);
    f->base = event_base_new();
    f->log = (struct log){.fd = getenv("TEST_LOG") ? 2 : -1, .level = LOG_DEBUG};
    f->settings = (struct haproxy_settings){.socket = f->socket, .stop_timeout = 30000};
    f->port = free_port();
    f->tcp = free_port();
    f->dead = free_port();
    for (int i = 0; i < HOSTS; i++)
        f->hosts[i] = free_port();
    f->runtime = runtime_new(f->base, &f->log, &f->settings);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    const char *argv[] = {"rm", "-rf", f->dir, NULL};
    struct buffer output = BUFFER_INIT;
    runtime_free(f->runtime);
    child_kill(f->haproxy);
    event_base_free(f->base);
    (void)child_run(argv, 10000, &output, NULL, NULL);
    buffer_free(&output);
    free(f);
    return 0;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    *(bool *)arg = true;
}

static void on_pause(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what, (void)arg;
}

/* Runs the loop until the condition holds; it is looked at again every 10 ms. */
static void wait_until(struct fixture *f, bool (*holds)(const void *arg),
                       const void *arg) {
    bool late = false;
    struct event *deadline = event_new(f->base, -1, 0, on_deadline, &late);
    struct event *pause = event_new(f->base, -1, EV_PERSIST, on_pause, NULL);
    (void)event_add(deadline, &(struct timeval){DEADLINE_S, 0});
    (void)event_add(pause, &(struct timeval){0, 10000});
    while (!holds(arg) && !late)
        (void)event_base_loop(f->base, EVLOOP_ONCE);
    event_free(pause);
    event_free(deadline);
    assert_false(late);
}

static bool has_come(const void *arg) {
    return ((const struct outcome *)arg)->came > 0;
}

static bool is_settled(const void *arg) {
    size_t warming = 0;
    size_t leaving = 0;
    runtime_pending(((const struct fixture *)arg)->runtime, &warming, &leaving);
    return !warming && !leaving;
}

static void assert_pending(const struct fixture *f, size_t warming, size_t leaving) {
    size_t got_warming = 0;
    size_t got_leaving = 0;
    runtime_pending(f->runtime, &got_warming, &got_leaving);
    assert_int_equal(got_warming, warming);
    assert_int_equal(got_leaving, leaving);
}

static struct outcome probe(struct fixture *f) {
    struct outcome outcome = {0};
    runtime_probe(f->runtime, on_probed, &outcome);
    assert_int_equal(outcome.came, 0);
    wait_until(f, has_come, &outcome);
    assert_int_equal(outcome.came, 1);
    return outcome;
}

static bool answers(const void *arg) {
    struct fixture *f = *(struct fixture *const *)arg;
    struct outcome outcome = probe(f);
    f->facts = outcome.facts;
    return outcome.good;
}

static void on_haproxy_end(void *arg, const struct child_end *end) {
    ((struct fixture *)arg)->haproxy = NULL;
    print_error("HAProxy ended: %s\n%s", end->reason, end->output);
}

/* Starts HAProxy with these backends, and probes it. */
static void start(struct fixture *f, const char *backends) {
    const char *argv[] = {"haproxy", "-db", "-f", f->config, NULL};
    const char *map = "teams teams\nrand rand\n";
    struct buffer text = BUFFER_INIT;
    struct error error;
    put_head(f, &text);
    buffer_puts(&text, backends);
    assert_true(file_replace(f->config, text.data, text.len, 0600, &error));
    buffer_free(&text);
    assert_true(file_replace(f->map, map, strlen(map), 0600, &error));
    f->haproxy = child_start(f->base, argv, true, 0, on_haproxy_end, f, &error);
    assert_non_null(f->haproxy);
    wait_until(f, answers, &f);
}

static struct outcome execute(struct fixture *f, const struct plan_step *steps,
                              size_t count, const char *config) {
    struct plan plan = {.kind = PLAN_RUNTIME, .count = count};
    struct outcome outcome = {0};
    plan.steps = (struct plan_step *)steps;
    runtime_execute_start(f->runtime, &plan, config, on_done, &outcome);
    assert_int_equal(outcome.came, 0);
    wait_until(f, has_come, &outcome);
    assert_int_equal(outcome.came, 1);
    return outcome;
}

static void execute_well(struct fixture *f, const struct plan_step *steps, size_t count,
                         const char *config) {
    struct outcome outcome = execute(f, steps, count, config);
    if (!outcome.good)
        fail_msg("%s: %s", outcome.error.where, outcome.error.text);
}

static void assert_fails(struct fixture *f, const struct plan_step *step,
                         const char *config, const char *where, const char *says) {
    struct outcome outcome = execute(f, step, 1, config);
    assert_false(outcome.good);
    if (!strstr(outcome.error.text, says))
        fail_msg("%s: %s", outcome.error.where, outcome.error.text);
    assert_string_equal(outcome.error.where, where);
}

/* Returns the text of one backend with up to four servers, "name" and "rest" in turn. */
static char *backend(const struct fixture *f, const char *head, ...) {
    struct buffer text = BUFFER_INIT;
    va_list args;
    buffer_printf(&text, "%s\n", head);
    va_start(args, head);
    for (const char *name = va_arg(args, const char *); name;
         name = va_arg(args, const char *))
        put_server(f, &text, name, va_arg(args, const char *));
    va_end(args);
    return buffer_steal(&text);
}

static char *address(const struct fixture *f, int host) {
    return mem_printf("127.0.0.1:%d", port_of(f, host));
}

#define TEAMS "backend teams\n    balance roundrobin"

static void test_probe(void **state) {
    struct fixture *f = *state;
    char *teams = backend(f, TEAMS, "a", "host1", NULL);
    start(f, teams);
    assert_int_equal(f->facts.pid, child_pid(f->haproxy));
    assert_asked(f, "show info", f->facts.version);
    assert_true(f->facts.abilities.dynamic_servers);
    assert_true(f->facts.abilities.map_versions);
    free(teams);
}

/* Without the level admin HAProxy offers less, and that is what the probe says. */
static void test_probe_low_level(void **state) {
    struct fixture *f = *state;
    char *own = mem_strdup(f->socket);
    char *teams =
        mem_printf("global\n    stats socket %s.low level user\n" TEAMS "\n", f->socket);
    start(f, teams);
    (void)snprintf(f->socket, sizeof f->socket, "%s.low", own);
    struct outcome outcome = probe(f);
    assert_true(outcome.good);
    assert_false(outcome.facts.abilities.dynamic_servers);
    assert_false(outcome.facts.abilities.map_versions);
    free(teams);
    free(own);
}

static void test_set(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", "b", "host2 weight 3 disabled", NULL);
    char *new = backend(f, TEAMS, "a", "host3 weight 0", "b", "host2 weight 256", NULL);
    char *back =
        backend(f, TEAMS, "a", "host3 weight 0 disabled", "b", "host2 weight 256", NULL);
    char *host3 = address(f, 3);
    char expected[64];
    start(f, old);
    assert_int_equal(request(f, "teams"), 1);
    const struct plan_step steps[] = {
        {.kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 0},
        {.kind = PLAN_SET_ADDRESS,
         .backend = S("teams"),
         .server = S("a"),
         .address = host3},
        {.kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("b"), .number = 256},
        {.kind = PLAN_SET_MAXCONN, .backend = S("teams"), .server = S("b"), .number = 77},
        {.kind = PLAN_ENABLE, .backend = S("teams"), .server = S("b")},
    };
    execute_well(f, steps, COUNT(steps), new);
    (void)snprintf(expected, sizeof expected, "%d weight 0", port_of(f, 3));
    assert_server(f, "teams", "a", expected);
    (void)snprintf(expected, sizeof expected, "%d weight 256", port_of(f, 2));
    assert_server(f, "teams", "b", expected);
    char *stat = ask(f, "show stat teams 4 -1");
    assert_non_null(strstr(stat, "teams,b,0,0,0,0,77,"));
    free(stat);
    for (int i = 0; i < 4; i++)
        assert_int_equal(request(f, "teams"), 2);

    const struct plan_step disable = {
        .kind = PLAN_DISABLE, .backend = S("teams"), .server = S("a")};
    execute_well(f, &disable, 1, back);
    (void)snprintf(expected, sizeof expected, "%d weight 0 maint", port_of(f, 3));
    assert_server(f, "teams", "a", expected);
    assert_pending(f, 0, 0);
    free(old);
    free(new);
    free(back);
    free(host3);
}

static void test_add_remove(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    char *both = backend(f, TEAMS, "a", "host1", "b", "host2 weight 5", NULL);
    char *new = backend(f, TEAMS, "b", "host2 weight 5", NULL);
    char *host2 = address(f, 2);
    start(f, old);
    const struct plan_step add = ADD("teams", "b", host2, "maxconn 9", 5);
    execute_well(f, &add, 1, both);
    int sum = 0;
    for (int i = 0; i < 12; i++)
        sum += request(f, "teams");
    assert_int_equal(sum, 2 * 1 + 10 * 2);
    const struct plan_step remove = {
        .kind = PLAN_REMOVE_SERVER, .backend = S("teams"), .server = S("a")};
    execute_well(f, &remove, 1, new);
    for (int i = 0; i < 4; i++)
        assert_int_equal(request(f, "teams"), 2);
    wait_until(f, is_settled, f);
    assert_server(f, "teams", "a", NULL);

    /* Gone for good: the name is free again, and a plan sees no difference. */
    char *host3 = address(f, 3);
    char *last = backend(f, TEAMS, "a", "host3 disabled", "b", "host2 weight 5", NULL);
    struct plan_step again = ADD("teams", "a", host3, "", 1);
    again.disabled = true;
    execute_well(f, &again, 1, last);
    for (int i = 0; i < 4; i++)
        assert_int_equal(request(f, "teams"), 2);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%d weight 1 maint", port_of(f, 3));
    assert_server(f, "teams", "a", expected);
    free(old);
    free(both);
    free(new);
    free(last);
    free(host2);
    free(host3);
}

/* Each of several added servers gets its share of requests (haproxy/haproxy#3413). */
static void test_add_on_random(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, "backend rand\n    balance random", NULL);
    char *new = backend(f, "backend rand\n    balance random", "a", "host1", "b", "host2",
                        "c", "host3", NULL);
    char *hosts[] = {address(f, 1), address(f, 2), address(f, 3)};
    int hits[HOSTS + 1] = {0};
    start(f, old);
    const struct plan_step steps[] = {ADD("rand", "a", hosts[0], "", 1),
                                      ADD("rand", "b", hosts[1], "", 1),
                                      ADD("rand", "c", hosts[2], "", 1)};
    execute_well(f, steps, COUNT(steps), new);
    for (int i = 0; i < 300; i++)
        hits[request(f, "rand")]++;
    assert_int_equal(hits[0], 0);
    for (int i = 1; i <= HOSTS; i++)
        assert_true(hits[i] > 30);
    free(old);
    free(new);
    for (size_t i = 0; i < COUNT(hosts); i++)
        free(hosts[i]);
}

/* No request goes to an added server whose check has not passed, while another serves. */
static void test_add_checked(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    char *dead = mem_printf("127.0.0.1:%d", f->dead);
    char *host2 = address(f, 2);
    char *new = backend(f, TEAMS, "a", "host1", "b", dead, "c", "host2", NULL);
    start(f, old);
    struct plan_step steps[] = {ADD("teams", "b", dead, "check inter 200ms", 1),
                                ADD("teams", "c", host2, "check inter 200ms", 1)};
    steps[0].checked = steps[1].checked = true;
    execute_well(f, steps, 2, new);
    assert_pending(f, 2, 0);
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%d weight 1 drain", f->dead);
    assert_server(f, "teams", "b", expected);
    while (!is_settled(f)) {
        assert_true(request(f, "teams") > 0);
        (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    }
    (void)snprintf(expected, sizeof expected, "%d weight 1", f->dead);
    assert_server(f, "teams", "b", expected);
    int sum = 0;
    for (int i = 0; i < 20; i++) {
        int host = request(f, "teams");
        assert_true(host > 0);
        sum += host;
    }
    assert_int_equal(sum, 30);
    assert_asked(f, "show stat teams 4 -1", ",DOWN,");
    free(old);
    free(new);
    free(dead);
    free(host2);
}

/* With nobody else to serve, an added server is tried before its check has a result. */
static void test_add_checked_alone(void **state) {
    struct fixture *f = *state;
    char *dead = mem_printf("127.0.0.1:%d check inter 50ms fall 1", f->dead);
    char *old = backend(f, TEAMS, "a", "host1 disabled", "d", dead, NULL);
    char *host2 = address(f, 2);
    char *new = backend(f, TEAMS, "a", "host1 disabled", "d", dead, "b", "host2", NULL);
    start(f, old);
    struct plan_step add = ADD("teams", "b", host2, "check inter 1h", 1);
    add.checked = true;
    execute_well(f, &add, 1, new);
    wait_until(f, is_settled, f);
    assert_int_equal(request(f, "teams"), 2);

    /* The check itself is on, as the config says. */
    assert_asked(f, "show servers state teams", " 2 6 0 0 1 ");
    free(dead);
    free(old);
    free(new);
    free(host2);
}

/* When all servers are replaced by one plan, the new ones serve before the old ones are
 * gone: no request finds none. */
static void test_replace_all(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    char *new = backend(f, TEAMS, "b", "host2", NULL);
    char *host2 = address(f, 2);
    struct plan_step steps[] = {
        ADD("teams", "b", host2, "check inter 1h", 1),
        {.kind = PLAN_REMOVE_SERVER, .backend = S("teams"), .server = S("a")}};
    struct plan plan = {.kind = PLAN_RUNTIME, .steps = steps, .count = 2};
    struct outcome outcome = {0};
    steps[0].checked = true;
    start(f, old);
    runtime_execute_start(f->runtime, &plan, new, on_done, &outcome);
    while (!outcome.came) {
        assert_true(request(f, "teams") > 0);
        (void)event_base_loop(f->base, EVLOOP_ONCE);
    }
    assert_true(outcome.good);
    assert_pending(f, 0, 1);
    assert_int_equal(request(f, "teams"), 2);
    wait_until(f, is_settled, f);
    free(old);
    free(new);
    free(host2);
}

/* ---- sessions that last ---- */

#define PIPE "listen pipe\n    mode tcp\n    balance roundrobin\n"

/* A connection through the backend `pipe`, and its other end at a host that we play. */
struct session {
    int listener, client, host;
    char *address;
};

static char *pipe_backend(const struct fixture *f, const char *servers) {
    return mem_printf(PIPE "    bind 127.0.0.1:%d\n%s", f->tcp, servers);
}

static void open_session(const struct fixture *f, struct session *session) {
    char byte = 'x';
    session->client = dial(f->tcp);
    session->host = accept(session->listener, NULL, NULL);
    assert_true(session->host >= 0);
    assert_int_equal(write(session->client, "a", 1), 1);
    assert_int_equal(read(session->host, &byte, 1), 1);
    assert_int_equal(byte, 'a');
}

static void assert_open(const struct session *session) {
    char byte = 'x';
    assert_int_equal(write(session->host, "b", 1), 1);
    assert_int_equal(recv(session->client, &byte, 1, 0), 1);
    assert_int_equal(byte, 'b');
}

static void close_session(struct session *session) {
    (void)close(session->client);
    (void)close(session->host);
    (void)close(session->listener);
    free(session->address);
}

/* Starts HAProxy with one server "s" in `pipe`, and a session on it. */
static struct session start_session(struct fixture *f) {
    struct session session;
    session.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    session.address = mem_printf("127.0.0.1:%d", bound_port(session.listener));
    assert_int_equal(listen(session.listener, 5), 0);
    char *line = mem_printf("    server s %s maxconn 50\n", session.address);
    char *text = pipe_backend(f, line);
    start(f, text);
    open_session(f, &session);
    free(line);
    free(text);
    return session;
}

static const struct plan_step remove_s = {.kind = PLAN_REMOVE_SERVER,
                                          .backend = S("pipe"),
                                          .server = S("s"),
                                          .keywords = S("maxconn 50")};

static void test_remove_drains(void **state) {
    struct fixture *f = *state;
    struct session session = start_session(f);
    char *none = pipe_backend(f, "");
    f->settings.stop_timeout = 1;
    execute_well(f, &remove_s, 1, none);
    assert_pending(f, 0, 1);
    /* It stays through several tries, and a plan does not mind. */
    for (int i = 0; i < 3; i++) {
        execute_well(
            f,
            (struct plan_step[]){
                {.kind = PLAN_REPLACE_MAP, .map = f->map, .text = S("teams teams\n")}},
            1, none);
        assert_open(&session);
        assert_pending(f, 0, 1);
    }
    char *host1 = address(f, 1);
    char *line = mem_printf("    server t %s\n", host1);
    char *other = pipe_backend(f, line);
    const struct plan_step add = ADD("pipe", "t", host1, "", 1);
    execute_well(f, &add, 1, other);
    assert_pending(f, 0, 1);
    close_session(&session);
    wait_until(f, is_settled, f);
    assert_server(f, "pipe", "s", NULL);
    free(none);
    free(host1);
    free(line);
    free(other);
}

/* Added again before its last session has ended, it is used again if it is the same. */
static void test_revive(void **state) {
    struct fixture *f = *state;
    struct session session = start_session(f);
    char *none = pipe_backend(f, "");
    char *host1 = address(f, 1);
    char *line = mem_printf("    server s %s weight 9\n", host1);
    char *other = pipe_backend(f, line);
    char expected[64];
    execute_well(f, &remove_s, 1, none);
    const struct plan_step same = ADD("pipe", "s", host1, "maxconn 50", 9);
    execute_well(f, &same, 1, other);
    assert_pending(f, 0, 0);
    assert_open(&session);
    (void)snprintf(expected, sizeof expected, "%d weight 9", port_of(f, 1));
    assert_server(f, "pipe", "s", expected);

    execute_well(f, &remove_s, 1, none);
    const struct plan_step other_words = ADD("pipe", "s", host1, "maxconn 51", 9);
    assert_fails(f, &other_words, other, "pipe/s", "Server still has connections");
    assert_pending(f, 0, 0);
    assert_open(&session);
    close_session(&session);
    free(none);
    free(host1);
    free(line);
    free(other);
}

/* Removed and added in one plan, with and without a session left. */
static void test_replace(void **state) {
    struct fixture *f = *state;
    struct session session = start_session(f);
    char *host1 = address(f, 1);
    char *line = mem_printf("    server s %s\n", host1);
    char *other = pipe_backend(f, line);
    struct plan_step steps[] = {remove_s, ADD("pipe", "s", host1, "maxconn 50", 1)};
    execute_well(f, steps, 2, other);
    assert_open(&session);
    close_session(&session);
    char *teams = ask(f, "show servers state pipe");
    free(teams);
    steps[1].keywords = S("maxconn 51");
    execute_well(f, steps, 2, other);
    assert_pending(f, 0, 0);
    assert_asked(f, "show stat pipe 4 -1", ",51,");
    free(host1);
    free(line);
    free(other);
}

/* ---- maps ---- */

static void test_map(void **state) {
    struct fixture *f = *state;
    char *teams = backend(f, TEAMS, "a", "host1", NULL);
    char *text =
        mem_printf("%sbackend rand\n    server b 127.0.0.1:%d\n", teams, port_of(f, 2));
    start(f, text);
    assert_int_equal(request(f, "teams"), 1);
    assert_int_equal(request(f, "rand"), 2);
    struct plan_step step = {.kind = PLAN_REPLACE_MAP,
                             .map = f->map,
                             .text = S("# new\nteams  rand \nnew\tteams\nx;y teams\n")};
    execute_well(f, &step, 1, text);
    assert_int_equal(request(f, "teams"), 2);
    assert_int_equal(request(f, "new"), 1);
    assert_int_equal(request(f, "x;y"), 1);
    assert_int_equal(request(f, "rand"), 0);
    struct plan_step set = {
        .kind = PLAN_SET_MAP, .map = f->map, .text = S("teams teams")};
    execute_well(f, &set, 1, text);
    assert_int_equal(request(f, "teams"), 1);
    assert_int_equal(request(f, "new"), 1);
    set.text = S("nobody teams");
    assert_fails(f, &set, text, f->map, "entry not found");
    (void)probe(f);
    step.text = S("");
    execute_well(f, &step, 1, text);
    assert_int_equal(request(f, "teams"), 0);
    step.map = S("no.such.map");
    assert_fails(f, &step, text, "no.such.map", "Unknown map identifier");
    free(teams);
    free(text);
}

static void test_large(void **state) {
    enum { MANY = 2000 };
    struct fixture *f = *state;
    struct buffer map = BUFFER_INIT;
    struct buffer config = BUFFER_INIT;
    struct plan_step *steps = mem_zalloc((MANY + 1) * sizeof *steps);
    char *host1 = address(f, 1);
    char *old = backend(f, TEAMS, "z", "host1", NULL);
    start(f, old);
    buffer_puts(&config, old);
    for (int i = 0; i < MANY; i++) {
        steps[i] = (struct plan_step)ADD("teams", NULL, host1, "check inter 1h", 1);
        steps[i].server = mem_printf("host-%d", i);
        steps[i].checked = i % 2;
        buffer_printf(&map, "service-with-some-name-%d teams\n", i);
        buffer_printf(&config, "    server host-%d %s\n", i, host1);
    }
    steps[MANY] = (struct plan_step){
        .kind = PLAN_REPLACE_MAP, .map = f->map, .text = S(buffer_str(&map))};
    int64_t begun = clock_usec();
    execute_well(f, steps, MANY + 1, buffer_str(&config));
    print_message("    %d servers and map entries: %ld ms\n", MANY,
                  (long)(clock_usec() - begun) / 1000);
    assert_int_equal(request(f, "service-with-some-name-0"), 1);
    assert_int_equal(request(f, "service-with-some-name-1999"), 1);
    assert_pending(f, MANY / 2, 0);

    for (int i = 0; i < MANY; i++)
        steps[i].kind = PLAN_REMOVE_SERVER;
    begun = clock_usec();
    execute_well(f, steps, MANY, old);
    print_message("    %d removals: %ld ms\n", MANY, (long)(clock_usec() - begun) / 1000);
    wait_until(f, is_settled, f);
    print_message("    until all are deleted: %ld ms\n",
                  (long)(clock_usec() - begun) / 1000);
    assert_server(f, "teams", "host-0", NULL);
    for (int i = 0; i < MANY; i++)
        free(steps[i].server);
    free(steps);
    free(host1);
    free(old);
    buffer_free(&map);
    buffer_free(&config);
}

/* ---- what goes wrong ---- */

/* Each is HAProxy's own refusal; the client says it, and believes nothing more. */
static void test_refusals(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    char *text = mem_printf("%sbackend src\n    balance source\n", old);
    const struct {
        struct plan_step step;
        const char *where, *says;
    } cases[] = {
        {{.kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("zz"), .number = 1},
         "teams/zz",
         "No such server"},
        {{.kind = PLAN_DISABLE, .backend = S("none"), .server = S("a")},
         "none/a",
         "No such backend"},
        {{.kind = PLAN_SET_WEIGHT,
          .backend = S("teams"),
          .server = S("a"),
          .number = 999},
         "teams/a",
         "between 0 and 256"},
        {ADD("src", "b", "127.0.0.1:1", "", 1), "src/b", "dynamic load balancing"},
        {ADD("teams", "a", "127.0.0.1:1", "", 1), "teams/a", "Already exists"},
        {ADD("teams", "b", "127.0.0.1:1", "cookie x", 1), "teams/b", "cookie"},
        {ADD("teams", "b", "127.0.0.1:1", "nonsense", 1), "teams/b", "nonsense"},
    };
    start(f, text);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_fails(f, &cases[i].step, text, cases[i].where, cases[i].says);
        /* What HAProxy is like is not known now: it must be asked again. */
        assert_fails(f, &cases[i].step, text, f->socket, "was not asked");
        assert_true(probe(f).good);
    }
    free(old);
    free(text);
}

/* A plan whose commands all go well, with a config that wants something else. */
static void test_differences(void **state) {
    static const struct {
        const char *a, *b, *where, *says;
    } cases[] = {
        {"host1 weight 6", "host2", "teams/a", "the weight 5 instead of 6"},
        {"host2 weight 5", "host2", "teams/a", "instead of 127.0.0.1"},
        {"10.0.0.1:80 weight 5", "host2", "teams/a", "has the address 127.0.0.1"},
        {"host1 weight 5 disabled", "host2", "teams/a", "has it enabled"},
        {"host1 weight 5", "host2 disabled", "teams/b", "has it enabled"},
        {"host1 weight 5", NULL, "teams/b", "that the config has not"},
    };
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", "b", "host2", NULL);
    const struct plan_step step = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 5};
    start(f, old);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *new =
            backend(f, TEAMS, "a", cases[i].a, cases[i].b ? "b" : NULL, cases[i].b, NULL);
        assert_fails(f, &step, new, cases[i].where, cases[i].says);
        assert_true(probe(f).good);
        free(new);
    }
    char *more =
        backend(f, TEAMS, "a", "host1 weight 5", "b", "host2", "c", "host3", NULL);
    assert_fails(f, &step, more, "teams/c", "no such server");
    assert_true(probe(f).good);
    free(ask(f, "set server teams/b state drain"));
    char *right = backend(f, TEAMS, "a", "host1 weight 5", "b", "host2", NULL);
    assert_fails(f, &step, right, "teams/b", "has it drained");
    assert_true(probe(f).good);
    free(ask(f, "set server teams/b state ready"));
    execute_well(f, &step, 1, right);
    free(old);
    free(more);
    free(right);
}

/* Weight and state of a server with an agent are the agent's. */
static void test_agent(void **state) {
    struct fixture *f = *state;
    char *dead = mem_printf("host2 agent-check agent-port %d", f->dead);
    char *old = backend(f, TEAMS, "a", "host1", "b", dead, NULL);
    char *new = backend(f, TEAMS, "a", "host1 weight 5", "b", dead, NULL);
    const struct plan_step step = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 5};
    start(f, old);
    free(ask(f, "set server teams/b weight 77"));
    execute_well(f, &step, 1, new);

    /* An added server's agent check is on. */
    char *host3 = address(f, 3);
    char *words = mem_printf("agent-check agent-port %d agent-inter 1h", f->dead);
    char *last = backend(f, TEAMS, "a", "host1 weight 5", "b", dead, "c", "host3", NULL);
    struct plan_step add = ADD("teams", "c", host3, words, 1);
    add.agent_checked = true;
    execute_well(f, &add, 1, last);
    assert_pending(f, 0, 0);
    free(dead);
    free(old);
    free(new);
    free(host3);
    free(words);
    free(last);
}

static void test_names(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    char *local = mem_printf("localhost:%d", port_of(f, 2));
    char *line = mem_printf("    server b %s\n", local);
    char *new = mem_printf("%s%s", old, line);
    start(f, old);
    const struct plan_step add = ADD("teams", "b", local, "", 1);
    execute_well(f, &add, 1, new);
    int sum = 0;
    for (int i = 0; i < 4; i++)
        sum += request(f, "teams");
    assert_int_equal(sum, 6);
    const struct plan_step never = ADD("teams", "c", "does-not-exist.invalid:80", "", 1);
    struct outcome outcome = execute(f, &never, 1, new);
    assert_false(outcome.good);
    assert_non_null(strstr(outcome.error.text, "can't be resolved"));
    /* Nothing was sent: the client may go on without a new probe. */
    const struct plan_step weight = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 1};
    execute_well(f, &weight, 1, new);
    free(old);
    free(local);
    free(line);
    free(new);
}

static void test_gone(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    const struct plan_step step = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 5};
    struct outcome outcome = probe(f);
    assert_false(outcome.good);
    assert_string_equal(outcome.error.where, f->socket);
    assert_non_null(strstr(outcome.error.text, "No such file"));
    assert_fails(f, &step, old, f->socket, "was not asked");
    start(f, old);
    child_kill(f->haproxy);
    f->haproxy = NULL;
    assert_fails(f, &step, old, f->socket, "Connection refused");
    free(old);
}

/* HAProxy is replaced between the probe and the plan. */
static void test_replaced(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    char *new = backend(f, TEAMS, "a", "host1 weight 5", NULL);
    const struct plan_step step = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 5};
    struct fixture other = *f;
    start(f, old);
    child_kill(f->haproxy);
    other.runtime = runtime_new(f->base, &f->log, &f->settings);
    start(&other, old);
    f->haproxy = other.haproxy;
    assert_fails(f, &step, new, f->socket, "another process");
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%d weight 1", port_of(f, 1));
    assert_server(f, "teams", "a", expected);
    runtime_free(other.runtime);
    free(old);
    free(new);
}

/* Connections to the stats socket, without the one that asks. */
static size_t connections(const struct fixture *f) {
    char *answer = ask(f, "show sess");
    size_t count = 0;
    for (const char *at = answer; (at = strstr(at, "fe=GLOBAL")); at++)
        count++;
    free(answer);
    return count - 1;
}

static bool is_connected(const void *arg) {
    return connections(arg) == 1;
}

static bool is_hung_up(const void *arg) {
    return connections(arg) == 0;
}

/* What is prepared is used, or given up. */
static void test_prepared(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    const struct plan_step step = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 1};
    runtime_prepare(f->runtime); /* nobody was probed */
    start(f, old);
    wait_until(f, is_hung_up, f);
    runtime_prepare(f->runtime);
    runtime_prepare(f->runtime);
    wait_until(f, is_connected, f);
    execute_well(f, &step, 1, old);
    wait_until(f, is_hung_up, f);
    runtime_prepare(f->runtime);
    wait_until(f, is_connected, f);
    wait_until(f, is_hung_up, f);
    runtime_prepare(f->runtime);
    child_kill(f->haproxy);
    f->haproxy = NULL;
    struct outcome outcome = execute(f, &step, 1, old);
    assert_false(outcome.good);
    assert_string_equal(outcome.error.where, f->socket);
    free(old);
}

/* ---- plans of real configs ---- */

/* Pairs of backends, "host<n>" standing for an address. All need no reload, and HAProxy is
 * then, and again on the way back, as the new config says. */
static const struct {
    const char *old, *new;
} planned[] = {
    {"backend teams\n http-reuse never\n"
     " default-server init-addr last,libc,none check inter 1s rise 2 fall "
     "3\n"
     " server a host1 weight 10\n server b host2 weight 10 maxconn 5\n",
     "backend teams\n http-reuse never\n"
     " default-server init-addr last,libc,none check inter 1s rise 2 fall "
     "3\n"
     " server a host1 weight 0\n server b host3 weight 20 maxconn 7\n"
     " server c host2 weight 1 backup\n"},
    {"backend teams\n balance leastconn\n option httpchk GET /\n"
     " server a host1 check slowstart 5s observe layer7 error-limit 5 on-error "
     "mark-down\n",
     "backend teams\n balance leastconn\n option httpchk GET /\n"
     " server b host2 check slowstart 5s observe layer7 error-limit 5 on-error "
     "mark-down\n"
     " server c host3 check disabled\n"},
    {"backend teams\n balance hdr(x)\n hash-type consistent\n server a host1\n"
     " server b host2 disabled\n",
     "backend teams\n balance hdr(x)\n hash-type consistent\n server a host1 disabled\n"
     " server b host2\n server d [::1]:80 weight 256\n"},
    {"backend teams\n balance random\n server a host1 send-proxy-v2\n",
     "backend teams\n balance random\n server a host1 send-proxy-v2\n"
     " server b host2 check agent-check agent-port 1 agent-inter 1h weight 7\n"
     " server c host3 ssl verify none check no-check-ssl\n"},
    {"backend teams\n http-reuse never\n server a host1\nbackend rand\n server x host3\n",
     "backend teams\n http-reuse never\n server a host2\nbackend rand\n server y host3 "
     "source 127.0.0.1\n"},
};

/* Writes the whole config, hosts filled in. */
static char *fill_in(const struct fixture *f, const char *text) {
    struct buffer out = BUFFER_INIT;
    put_head(f, &out);
    for (const char *c = text; *c; c++) {
        if (!strncmp(c, "host", 4) && c[4] >= '1' && c[4] <= '3') {
            buffer_printf(&out, "127.0.0.1:%d", port_of(f, c[4] - '0'));
            c += 4;
        } else {
            buffer_putc(&out, *c);
        }
    }
    return buffer_steal(&out);
}

static void execute_planned(struct fixture *f, const char *from, const char *to) {
    const struct plan_side old = {.config = from};
    const struct plan_side new = {.config = to};
    struct plan *plan = plan_new(&old, &new, &f->facts.abilities);
    if (plan->kind != PLAN_RUNTIME)
        fail_msg("%s", plan->reason ? plan->reason : "nothing");
    execute_well(f, plan->steps, plan->count, to);
    plan_free(plan);
}

static void test_planned(void **state) {
    struct fixture *f = *state;
    struct buffer head = BUFFER_INIT;
    put_head(f, &head);
    for (size_t i = 0; i < COUNT(planned); i++) {
        char *old = fill_in(f, planned[i].old);
        char *new = fill_in(f, planned[i].new);
        print_message("    %s", planned[i].new);
        start(f, old + head.len);
        execute_planned(f, old, new);
        execute_planned(f, new, old);
        execute_planned(f, old, new);
        child_kill(f->haproxy);
        f->haproxy = NULL;
        runtime_reset(f->runtime);
        free(old);
        free(new);
    }
    buffer_free(&head);
}

/* ---- servers that play HAProxy ---- */

enum play {
    PLAY_SILENT,  /* takes connections, says nothing */
    PLAY_GARBAGE, /* speaks another protocol */
    PLAY_BINARY,  /* sends bytes that are no text */
    PLAY_CLOSES,  /* closes at the first command */
    PLAY_ENDLESS, /* answers without an end */
    PLAY_ODD,     /* says "What?" to everything but `prompt` */
    PLAY_STOPS,   /* is HAProxy until the first `set` command, then says nothing */
    PLAY_REFUSES, /* is HAProxy, but closes at the first `set` command */
    PLAY_TURNS,   /* is HAProxy, another process on each connection after the second */
    PLAY_AGREES,  /* is HAProxy, agrees to everything and does nothing */
};

struct player {
    struct event_base *base;
    enum play play;
    int listener, connections;
    struct event *event;
    struct {
        int fd, number;
        struct event *event;
        struct player *player;
    } ends[16];
};

static void say(int fd, const char *text) {
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void play_haproxy(const struct player *player, int fd, int number,
                         const char *line) {
    char info[128];
    int pid = player->play == PLAY_TURNS && number > 1 ? 999 : 12;
    (void)snprintf(info, sizeof info, "Name: HAProxy\nVersion: 2.6.12\nPid: %d\n\n> ",
                   pid);
    if (!strncmp(line, "show info", 9))
        say(fd, info);
    else if (!strncmp(line, "show servers", 12))
        say(fd, "1\n" HEADING
                "3 teams 1 a 10.0.0.1 2 0 1 1 1 6 3 3 6 0 0 0 - 80 - 0 0 - - 0\n\n> ");
    else if (strncmp(line, "set", 3) != 0 || player->play == PLAY_AGREES ||
             player->play == PLAY_TURNS)
        say(fd, "\n> ");
    else if (player->play == PLAY_REFUSES)
        (void)shutdown(fd, SHUT_RDWR);
}

static void play_line(const struct player *player, int fd, int number, const char *line) {
    switch (player->play) {
    case PLAY_SILENT:
        break;
    case PLAY_GARBAGE:
        say(fd, "HTTP/1.1 400 Bad Request\r\n\r\n> ");
        break;
    case PLAY_BINARY:
        (void)send(fd, "\n\0> ", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
    case PLAY_CLOSES:
        (void)shutdown(fd, SHUT_RDWR);
        break;
    case PLAY_ENDLESS:
        if (!strncmp(line, "prompt", 6))
            say(fd, "\n> ");
        for (int i = 0; i < 100; i++)
            say(fd, "0x1 and so on, and so on, and so on\n");
        break;
    case PLAY_ODD:
        say(fd, !strncmp(line, "prompt", 6) ? "\n> " : "What?\n\n> ");
        break;
    case PLAY_STOPS:
    case PLAY_REFUSES:
    case PLAY_TURNS:
    case PLAY_AGREES:
        play_haproxy(player, fd, number, line);
        break;
    }
}

static void on_command(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct player *player = arg;
    char line[4096];
    ssize_t got = recv(fd, line, sizeof line - 1, MSG_DONTWAIT);
    for (int i = 0; i < player->connections; i++) {
        if (player->ends[i].fd != fd)
            continue;
        if (got <= 0)
            (void)event_del(player->ends[i].event);
        line[got > 0 ? got : 0] = '\0';
        const char *rest = line;
        if (got > 7 && !memcmp(line, "prompt\n", 7)) {
            play_line(player, fd, i, "prompt\n");
            rest = line + 7;
        }
        if (got > 0)
            play_line(player, fd, i, rest);
    }
}

static void on_connection(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct player *player = arg;
    int end = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    int i = player->connections;
    assert_true(end >= 0 && i < (int)COUNT(player->ends));
    player->connections++;
    player->ends[i].fd = end;
    player->ends[i].event =
        event_new(player->base, end, EV_READ | EV_PERSIST, on_command, player);
    (void)event_add(player->ends[i].event, NULL);
}

static void start_playing(const struct fixture *f, struct player *player,
                          enum play play) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    *player = (struct player){.base = f->base, .play = play};
    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s", f->socket);
    (void)unlink(f->socket);
    player->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(player->listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(player->listener, 5), 0);
    player->event =
        event_new(f->base, player->listener, EV_READ | EV_PERSIST, on_connection, player);
    (void)event_add(player->event, NULL);
}

static void stop_playing(struct player *player) {
    for (int i = 0; i < player->connections; i++) {
        event_free(player->ends[i].event);
        (void)close(player->ends[i].fd);
    }
    event_free(player->event);
    (void)close(player->listener);
}

static void test_no_haproxy(void **state) {
    static const struct {
        enum play play;
        const char *says;
    } cases[] = {
        {PLAY_SILENT, "no answer in time"},
        {PLAY_GARBAGE, "does not greet like HAProxy"},
        {PLAY_BINARY, "bytes that are no text"},
        {PLAY_CLOSES, "closed before the answer was whole"},
        {PLAY_ENDLESS, "no answer in time"},
        {PLAY_ODD, "no HAProxy answers to `show info`: What?"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct player player;
        start_playing(f, &player, cases[i].play);
        struct outcome outcome = probe(f);
        assert_false(outcome.good);
        assert_string_equal(outcome.error.where, f->socket);
        if (!strstr(outcome.error.text, cases[i].says))
            fail_msg("%s", outcome.error.text);
        stop_playing(&player);
    }
}

static void test_fails_midway(void **state) {
    static const struct {
        enum play play;
        const char *where, *says; /* where: NULL for the socket */
    } cases[] = {
        {PLAY_STOPS, NULL, "no answer in time"},
        {PLAY_REFUSES, NULL, "closed before the answer was whole"},
        {PLAY_TURNS, NULL, "another process, 999 instead of 12"},
        {PLAY_AGREES, "teams/a", "the weight 1 instead of 5"},
    };
    struct fixture *f = *state;
    const struct plan_step step = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 5};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct player player;
        start_playing(f, &player, cases[i].play);
        assert_true(probe(f).good);
        assert_fails(f, &step, TEAMS "\n    server a 10.0.0.1:80 weight 5\n",
                     cases[i].where ? cases[i].where : f->socket, cases[i].says);
        stop_playing(&player);
    }
}

/* ---- one at a time, reset, freed midway ---- */

static void test_one_at_a_time(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    char *new = backend(f, TEAMS, "a", "host1 weight 5", NULL);
    struct plan_step step = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 5};
    struct plan plan = {.kind = PLAN_RUNTIME, .steps = &step, .count = 1};
    struct outcome first = {0};
    struct outcome second = {0};
    start(f, old);
    runtime_execute_start(f->runtime, &plan, new, on_done, &first);
    runtime_execute_start(f->runtime, &plan, new, on_done, &second);
    assert_int_equal(second.came, 0);
    wait_until(f, has_come, &first);
    wait_until(f, has_come, &second);
    assert_true(first.good);
    assert_false(second.good);
    plan.kind = PLAN_RELOAD;
    second.came = 0;
    runtime_execute_start(f->runtime, &plan, new, on_done, &second);
    wait_until(f, has_come, &second);
    assert_false(second.good);
    plan = (struct plan){.kind = PLAN_NOTHING};
    second.came = 0;
    runtime_execute_start(f->runtime, &plan, new, on_done, &second);
    wait_until(f, has_come, &second);
    assert_true(second.good);

    /* A probe that is overtaken by another is forgotten. */
    struct outcome early = {0};
    runtime_probe(f->runtime, on_probed, &early);
    assert_true(probe(f).good);
    assert_int_equal(early.came, 0);
    free(old);
    free(new);
}

static void test_reset(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", "b", "host1", NULL);
    char *new = backend(f, TEAMS, "a", "host1", "b", "host1", "c", "host2", NULL);
    char *host2 = address(f, 2);
    struct plan_step steps[] = {ADD("teams", "c", host2, "check inter 1h", 1)};
    struct plan plan = {.kind = PLAN_RUNTIME, .steps = steps, .count = 1};
    struct outcome outcome = {0};
    steps[0].checked = true;
    start(f, old);
    execute_well(f, steps, 1, new);
    assert_pending(f, 1, 0);
    runtime_reset(f->runtime);
    assert_pending(f, 0, 0);
    runtime_execute_start(f->runtime, &plan, new, on_done, &outcome);
    wait_until(f, has_come, &outcome);
    assert_non_null(strstr(outcome.error.text, "was not asked"));

    assert_true(probe(f).good);
    outcome = (struct outcome){0};
    runtime_execute_start(f->runtime, &plan, new, on_done, &outcome);
    runtime_reset(f->runtime);
    assert_int_equal(outcome.came, 0);
    wait_until(f, has_come, &outcome);
    assert_int_equal(outcome.came, 1);
    assert_non_null(strstr(outcome.error.text, "was reloaded"));
    free(old);
    free(new);
    free(host2);
}

static void turn(struct fixture *f, int turns) {
    while (turns--)
        (void)event_base_loop(f->base, EVLOOP_NONBLOCK);
}

/* Freed while names are being looked up. */
static void test_freed_resolving(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    struct plan_step steps[] = {ADD("teams", "b", "does-not-exist.invalid:80", "", 1),
                                ADD("teams", "c", "neither-does-this.invalid:80", "", 1)};
    struct plan plan = {.kind = PLAN_RUNTIME, .steps = steps, .count = 2};
    struct outcome outcome = {0};
    start(f, old);
    for (int turns = 0; turns < 4; turns++) {
        runtime_execute_start(f->runtime, &plan, old, on_done, &outcome);
        turn(f, turns);
        runtime_free(f->runtime);
        turn(f, 5 * turns);
        f->runtime = runtime_new(f->base, &f->log, &f->settings);
        assert_true(probe(f).good);
    }
    free(old);
}

/* Freed at any point it leaves nothing behind and calls nobody. */
static void test_freed_midway(void **state) {
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", NULL);
    char *local = mem_printf("localhost:%d", port_of(f, 2));
    struct plan_step steps[] = {
        ADD("teams", "b", local, "", 1),
        {.kind = PLAN_REMOVE_SERVER, .backend = S("teams"), .server = S("a")}};
    struct plan plan = {.kind = PLAN_RUNTIME, .steps = steps, .count = 2};
    struct outcome outcome = {0};
    start(f, old);
    for (int turns = 0; turns < 20; turns++) {
        runtime_execute_start(f->runtime, &plan, old, on_done, &outcome);
        turn(f, turns);
        runtime_free(f->runtime);
        outcome = (struct outcome){0};
        turn(f, 5);
        assert_int_equal(outcome.came, 0);
        f->runtime = runtime_new(f->base, &f->log, &f->settings);
        runtime_probe(f->runtime, on_probed, &outcome);
        turn(f, turns);
        runtime_free(f->runtime);
        f->runtime = runtime_new(f->base, &f->log, &f->settings);
        assert_true(probe(f).good);
        outcome = (struct outcome){0};
    }
    free(old);
    free(local);
}

/* HAProxy ends while servers wait in the background: the client notices by itself. */
static void test_background_replaced(void **state) {
    struct fixture *f = *state;
    struct session session = start_session(f);
    char *none = pipe_backend(f, "");
    execute_well(f, &remove_s, 1, none);
    assert_pending(f, 0, 1);
    child_kill(f->haproxy);
    struct fixture other = *f;
    other.runtime = runtime_new(f->base, &f->log, &f->settings);
    start(&other, none);
    f->haproxy = other.haproxy;
    wait_until(f, is_settled, f);
    runtime_free(other.runtime);
    close_session(&session);
    free(none);
}

/* ---- figures ---- */

static void test_speed(void **state) {
    enum { ROUNDS = 50 };
    struct fixture *f = *state;
    char *old = backend(f, TEAMS, "a", "host1", "b", "host2", NULL);
    char *with = backend(f, TEAMS, "a", "host1", "b", "host2", "c", "host3", NULL);
    char *host3 = address(f, 3);
    struct plan_step weight = {
        .kind = PLAN_SET_WEIGHT, .backend = S("teams"), .server = S("a"), .number = 1};
    struct plan_step change = ADD("teams", "c", host3, "", 1);
    start(f, old);
    int64_t begun = clock_usec();
    for (int i = 0; i < ROUNDS; i++)
        execute_well(f, &weight, 1, old);
    int64_t weights = clock_usec();
    for (int i = 0; i < ROUNDS; i++) {
        change.kind = i % 2 ? PLAN_REMOVE_SERVER : PLAN_ADD_SERVER;
        execute_well(f, &change, 1, i % 2 ? old : with);
    }
    print_message("    one weight: %ld us, one server added or removed: %ld us\n",
                  (long)(weights - begun) / ROUNDS,
                  (long)(clock_usec() - weights) / ROUNDS);
    free(old);
    free(with);
    free(host3);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_map_version),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_map_read),
        cmocka_unit_test(test_map_equal),
        cmocka_unit_test(test_map_pieces),
        cmocka_unit_test(test_script),
        cmocka_unit_test(test_script_unsafe),
        WITH_FIXTURE(test_probe),
        WITH_FIXTURE(test_probe_low_level),
        WITH_FIXTURE(test_set),
        WITH_FIXTURE(test_add_remove),
        WITH_FIXTURE(test_add_on_random),
        WITH_FIXTURE(test_add_checked),
        WITH_FIXTURE(test_add_checked_alone),
        WITH_FIXTURE(test_replace_all),
        WITH_FIXTURE(test_remove_drains),
        WITH_FIXTURE(test_revive),
        WITH_FIXTURE(test_replace),
        WITH_FIXTURE(test_map),
        WITH_FIXTURE(test_large),
        WITH_FIXTURE(test_refusals),
        WITH_FIXTURE(test_differences),
        WITH_FIXTURE(test_agent),
        WITH_FIXTURE(test_names),
        WITH_FIXTURE(test_gone),
        WITH_FIXTURE(test_replaced),
        WITH_FIXTURE(test_prepared),
        WITH_FIXTURE(test_planned),
        WITH_FIXTURE(test_no_haproxy),
        WITH_FIXTURE(test_fails_midway),
        WITH_FIXTURE(test_one_at_a_time),
        WITH_FIXTURE(test_reset),
        WITH_FIXTURE(test_freed_midway),
        WITH_FIXTURE(test_freed_resolving),
        WITH_FIXTURE(test_background_replaced),
        WITH_FIXTURE(test_speed),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
