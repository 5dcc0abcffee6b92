/* Tests of lib/haproxy: the texts it reads, and the controller on the real HAProxy.
 * Nothing is timed: every wait is for an event, with a deadline far beyond what it takes.
 */
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "haproxy/haproxy.h"
#include "haproxy/master.h"
#include "haproxy/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_S = 40 };

/* ---- texts ---- */

#define HEAD_26                                                                          \
    "#<PID>          <type>          <reloads>       <uptime>        <version>\n"

static const struct {
    const char *name, *text;
    bool good;
    struct master_state state;
} procs[] = {
    {"2.6, just started",
     HEAD_26 "5801            master          0 [failed: 0]   0d00h00m01s     2.6.12-1\n"
             "# workers\n"
             "5804            worker          0               0d00h00m01s     2.6.12-1\n"
             "# programs\n\n",
     true,
     {5801, 0, 0, 5804, 0, 0}},
    {"2.6, a reload failed: the old worker is still the current one",
     HEAD_26 "5801            master          2 [failed: 1]   0d00h00m02s     2.6.12-1\n"
             "# workers\n"
             "5891            worker          1               0d00h00m01s     2.6.12-1\n"
             "# programs\n\n",
     true,
     {5801, 2, 1, 5891, 0, 0}},
    {"2.6, an old worker finishes its connections",
     HEAD_26 "1162            master          5 [failed: 0]   0d00h02m07s     2.6.12-1\n"
             "# workers\n"
             "1271            worker          0               0d00h00m00s     2.6.12-1\n"
             "# old workers\n"
             "1233            worker          3               0d00h00m43s     2.6.12-1\n"
             "# programs\n"
             "1244            foo             0               0d00h00m00s     -\n"
             "# old programs\n"
             "1235            foo             1               0d00h00m43s     -\n\n",
     true,
     {1162, 5, 0, 1271, 1, 1233}},
    {"2.8 and 3.0, wider columns",
     "#<PID>          <type>          <reloads>       <uptime>        <version>       \n"
     "7                master           12 [failed: 3]   12d03h04m05s    2.8.5-1ppa1\n"
     "# workers\n"
     "4194301          worker          4               0d00h00m09s     2.8.5-1ppa1\n"
     "# programs\n\n",
     true,
     {7, 12, 3, 4194301, 0, 0}},
    {"two workers while the newer one starts",
     HEAD_26 "10              master          1 [failed: 0]   0d00h00m09s     3.1.0\n"
             "# workers\n"
             "11              worker          1               0d00h00m09s     3.1.0\n"
             "12              worker          0               0d00h00m00s     3.1.0\n\n",
     true,
     {10, 1, 0, 12, 0, 0}},
    {"before 2.5: no counter of failures, columns in another order are no numbers",
     HEAD_26 "10              master          4               0d00h00m09s     2.4.0\n"
             "# workers\n"
             "11              worker          0               0d00h00m09s     2.4.0\n\n",
     true,
     {10, 4, -1, 11, 0, 0}},
    {"two old workers: the one that outlived more reloads is the oldest",
     HEAD_26 "10              master          7 [failed: 0]   0d00h00m09s     2.6.12\n"
             "# workers\n"
             "14              worker          0               0d00h00m09s     2.6.12\n"
             "# old workers\n"
             "13              worker          2               0d00h00m09s     2.6.12\n"
             "11              worker          6               0d00h00m09s     2.6.12\n\n",
     true,
     {10, 7, 0, 14, 2, 11}},
    {"no worker yet",
     HEAD_26 "10              master          0 [failed: 0]   0d00h00m09s     2.6.12\n"
             "# workers\n# programs\n\n",
     true,
     {10, 0, 0, 0, 0, 0}},
    {"nothing at all", "", false, {0, 0, -1, 0, 0, 0}},
    {"an error", "Unknown command: 'show proc'\n", false, {0, 0, -1, 0, 0, 0}},
    {"cut short", HEAD_26 "5801            mast", false, {0, 0, -1, 0, 0, 0}},
};

static void test_proc(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof procs / sizeof procs[0]; i++) {
        struct master_state got;
        print_message("    %s\n", procs[i].name);
        assert_int_equal(master_parse_proc(procs[i].text, &got), procs[i].good);
        assert_int_equal(got.master, procs[i].state.master);
        assert_int_equal(got.reloads, procs[i].state.reloads);
        assert_int_equal(got.failed, procs[i].state.failed);
        assert_int_equal(got.worker, procs[i].state.worker);
        assert_int_equal(got.old, procs[i].state.old);
        assert_int_equal(got.oldest, procs[i].state.oldest);
    }
}

static void test_reload_answer(void **state) {
    (void)state;
    bool success = false;
    const char *log = NULL;
    assert_true(
        master_parse_reload("Success=1\n--\n[NOTICE] (1) : ok\n", &success, &log));
    assert_true(success);
    assert_true(master_parse_reload("Success=0\n--\n[ALERT] (1) : no\n", &success, &log));
    assert_false(success);
    assert_string_equal(log, "[ALERT] (1) : no\n");
    assert_true(master_parse_reload("Success=0\n", &success, &log));
    assert_string_equal(log, "");
    assert_false(master_parse_reload("", &success, &log));
    assert_false(master_parse_reload("Success=", &success, &log));
}

#define NOISE                                                                            \
    "[NOTICE]   (1) : haproxy version is 2.6.12-1+deb12u4\n"                             \
    "[NOTICE]   (1) : path to executable is /usr/sbin/haproxy\n"

static const struct {
    const char *output, *where, *text;
} messages[] = {
    {NOISE "[ALERT]    (1) : config : parsing [a.cfg:2] : unknown keyword 'foo'\n"
           "[ALERT]    (1) : config : Error(s) found in configuration file : a.cfg\n"
           "[ALERT]    (1) : config : Fatal errors found in configuration.\n",
     "a.cfg:2", "unknown keyword 'foo'"},
    {"[ALERT]    (1) : config : parsing [a.cfg:2] : one\n"
     "[ALERT]    (1) : config : parsing [a.cfg:7]: two\n",
     "a.cfg:2", "one; a.cfg:7: two"},
    {"[ALERT]    (1) : config : [c.cfg:9] : 'server b/s' : invalid port '99999'\n",
     "c.cfg:9", "'server b/s' : invalid port '99999'"},
    {"[ALERT]    (1) : Binding [a.cfg:11] for frontend f: cannot bind socket (Address "
     "already in use) for [127.0.0.1:18432]\n",
     "a.cfg:11",
     "Binding [a.cfg:11] for frontend f: cannot bind socket (Address already in use) for "
     "[127.0.0.1:18432]"},
    {"[ALERT]    (1) : config : Proxy 'f': unable to find required use_backend: 'x'.\n",
     "file", "Proxy 'f': unable to find required use_backend: 'x'."},
    {"[WARNING]  (1) : config : missing timeouts for frontend 'f'.\n"
     "   | While not properly invalid, you will\n"
     "[ALERT]    (1) : config : [a.cfg:3] : bad thing\n"
     "   | explained here\n"
     "[WARNING]  (1) : Loading failure!\n",
     "a.cfg:3", "bad thing explained here"},
    {"Usage : haproxy [-f <cfgfile|cfgdir>]*\n", "file", "otherwise"},
    {"", "file", "otherwise"},
    {"[ALERT]", "file", "[ALERT]"},
    {"[ALERT] (1) : [:1] [x:] ]", "file", "[:1] [x:] ]"},
};

static void test_messages(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct error error;
        assert_false(message_error(messages[i].output, "file", "otherwise", &error));
        assert_string_equal(error.where, messages[i].where);
        assert_string_equal(error.text, messages[i].text);
    }
}

static void test_levels(void **state) {
    (void)state;
    assert_int_equal(message_level("[ALERT]    (1) : x", LOG_INFO), LOG_ERROR);
    assert_int_equal(message_level("[WARNING]  (1) : x", LOG_INFO), LOG_WARNING);
    assert_int_equal(message_level("   | more", LOG_WARNING), LOG_WARNING);
    assert_int_equal(message_level("[NOTICE]   (1) : x", LOG_INFO), LOG_DEBUG);
    assert_int_equal(message_level("anything else", LOG_ERROR), LOG_INFO);
    assert_int_equal(
        message_level("[WARNING]  (1) : Former worker (2) exited with code 0 "
                      "(Exit)",
                      LOG_INFO),
        LOG_DEBUG);
    assert_int_equal(message_level("[WARNING]  (1) : Former worker (2) exited with code "
                                   "139 (Segmentation fault)",
                                   LOG_INFO),
                     LOG_WARNING);
    assert_string_equal(message_text("[ALERT]    (12) : text"), "text");
    assert_string_equal(message_text("   | text"), "text");
    assert_string_equal(message_text("[no level"), "[no level");
}

/* ---- a folder, a loop, a controller ---- */

struct fixture {
    char dir[64];
    char config[128], socket[128];
    int port;
    struct event_base *base;
    struct log log;
    struct haproxy_settings settings;
    struct haproxy *haproxy;
    pid_t orphan; /* left behind by leave_orphan */
    int ups, downs;
    char reason[1024];
};

struct answer {
    int came;
    bool good;
    struct error error;
};

static void on_done(void *arg, const struct error *error) {
    struct answer *answer = arg;
    answer->came++;
    answer->good = !error;
    if (error)
        answer->error = *error;
}

static void on_up(void *arg) {
    ((struct fixture *)arg)->ups++;
}

static void on_down(void *arg, const char *reason) {
    struct fixture *f = arg;
    f->downs++;
    (void)snprintf(f->reason, sizeof f->reason, "%s", reason);
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
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int port = bound_port(fd);
    (void)close(fd);
    return port;
}

/* A port that HAProxy can't have: somebody listens there without sharing it. */
static int taken_port(int *fd) {
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = bound_port(*fd);
    assert_int_equal(listen(*fd, 1), 0);
    return port;
}

static void write_text(const char *path, const char *text) {
    struct error error;
    assert_true(file_replace(path, text, strlen(text), 0644, &error));
}

static void write_config(const struct fixture *f, int port, const char *word) {
    char *text = mem_printf("global\n    hard-stop-after 5s\n"
                            "defaults\n    mode http\n    option idle-close-on-response\n"
                            "    timeout client 5s\n    timeout server 5s\n"
                            "    timeout connect 1s\n"
                            "frontend f\n    bind 127.0.0.1:%d\n"
                            "    http-request return status 200 content-type text/plain "
                            "string \"%s\"\n",
                            port, word);
    write_text(f->config, text);
    free(text);
}

static struct haproxy *controller(struct fixture *f) {
    struct haproxy_events events = {on_down, on_up, f};
    return haproxy_new(f->base, &f->log, &f->settings, f->config, &events);
}

static int set_up(void **state) {
    struct fixture *f = mem_zalloc(sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/hatlas-haproxy.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->config, sizeof f->config, "%s/haproxy.cfg", f->dir);
    (void)snprintf(f->socket, sizeof f->socket, "%s/master.sock", f->dir);
    f->base = event_base_new();
    f->log = (struct log){.fd = getenv("TEST_LOG") ? 2 : -1, .level = LOG_DEBUG};
    f->settings = (struct haproxy_settings){.control = CONTROL_SUPERVISE,
                                            .binary = (char *)"haproxy",
                                            .master_socket = f->socket,
                                            .reload_timeout = 30000,
                                            .stop_timeout = 30000};
    f->port = free_port();
    write_config(f, f->port, "one");
    f->haproxy = controller(f);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    const char *argv[] = {"rm", "-rf", f->dir, NULL};
    struct buffer output = BUFFER_INIT;
    haproxy_free(f->haproxy);
    event_base_free(f->base);
    if (f->orphan)
        (void)kill(f->orphan, SIGKILL);
    (void)child_run(argv, 10000, &output, NULL, NULL);
    buffer_free(&output);
    free(f);
    return 0;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    *(bool *)arg = true;
}

/* Runs the loop until *count has reached `wanted`. */
static void wait_for(struct fixture *f, const int *count, int wanted) {
    bool late = false;
    struct event *deadline = event_new(f->base, -1, 0, on_deadline, &late);
    (void)event_add(deadline, &(struct timeval){DEADLINE_S, 0});
    while (*count < wanted && !late)
        (void)event_base_loop(f->base, EVLOOP_ONCE);
    event_free(deadline);
    assert_false(late);
}

static struct answer reload(struct fixture *f) {
    struct answer answer = {0};
    haproxy_reload_start(f->haproxy, on_done, &answer);
    assert_int_equal(answer.came, 0);
    wait_for(f, &answer.came, 1);
    return answer;
}

static void reload_well(struct fixture *f) {
    struct answer answer = reload(f);
    if (!answer.good)
        print_error("%s: %s\n", answer.error.where, answer.error.text);
    assert_true(answer.good);
}

static void stop_well(struct fixture *f) {
    struct answer answer = {0};
    haproxy_stop_start(f->haproxy, on_done, &answer);
    assert_int_equal(answer.came, 0);
    wait_for(f, &answer.came, 1);
    assert_true(answer.good);
    assert_false(haproxy_running(f->haproxy, NULL));
}

struct proc_answer {
    int came;
    struct master_state state;
};

static void on_proc(void *arg, const char *text, int fault, const struct error *error) {
    (void)fault, (void)error;
    struct proc_answer *proc = arg;
    proc->came++;
    if (text)
        (void)master_parse_proc(text, &proc->state);
}

static struct master_state processes(struct fixture *f) {
    struct proc_answer proc = {0};
    (void)master_ask(f->base, f->socket, "show proc", 30000, on_proc, &proc);
    wait_for(f, &proc.came, 1);
    return proc.state;
}

/* Whether HAProxy answers on the port with that word. */
static bool serves(int port, const char *word) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    struct timeval patience = {30, 0};
    const char *request = "GET / HTTP/1.0\r\n\r\n";
    char reply[4096];
    size_t len = 0;
    ssize_t got = 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (!connect(fd, (struct sockaddr *)&address, sizeof address) &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        while ((got = recv(fd, reply + len, sizeof reply - 1 - len, 0)) > 0)
            len += (size_t)got;
    (void)close(fd);
    reply[len] = '\0';
    return strstr(reply, " 200 ") && strstr(reply, word);
}

/* ---- haproxy -c ---- */

static const struct {
    const char *text;
    bool good;
    const char *place, *says;
} checks[] = {
    {"defaults\n mode http\nfrontend f\n bind 127.0.0.1:1\n", true, NULL, NULL},
    {"frontend f\n bind 127.0.0.1:1\n nonsense here\n", false, "haproxy.cfg:3",
     "unknown keyword 'nonsense'"},
    {"defaults\n mode http\n timeout client 1s\nbackend b\n", false, "haproxy.cfg",
     "nothing listens"},
    {"frontend f\n bind 127.0.0.1:1", false, "haproxy.cfg:2", "Missing LF"},
    {"frontend f\n bind 127.0.0.1:1\n use_backend none\n", false, "haproxy.cfg",
     "unable to find required"},
};

static void test_check(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        struct error error = {{0}, {0}};
        struct answer answer = {0};
        write_text(f->config, checks[i].text);
        assert_int_equal(haproxy_check("haproxy", f->config, &error), checks[i].good);
        haproxy_check_start(f->haproxy, f->config, on_done, &answer);
        assert_int_equal(answer.came, 0);
        wait_for(f, &answer.came, 1);
        assert_int_equal(answer.good, checks[i].good);
        if (checks[i].good)
            continue;
        assert_non_null(strstr(error.where, checks[i].place));
        assert_non_null(strstr(error.text, checks[i].says));
        assert_null(strstr(error.text, "NOTICE"));
        assert_string_equal(answer.error.where, error.where);
        assert_string_equal(answer.error.text, error.text);
    }
}

static void test_check_missing(void **state) {
    struct fixture *f = *state;
    struct error error;
    struct answer answer = {0};
    assert_false(haproxy_check("haproxy", "/nonexistent/file", &error));
    assert_string_equal(error.where, "/nonexistent/file");
    assert_non_null(strstr(error.text, "No such file"));
    assert_false(haproxy_check("no-such-haproxy", f->config, &error));
    assert_string_equal(error.where, "no-such-haproxy");
    assert_non_null(strstr(error.text, "No such file"));
    f->settings.binary = (char *)"no-such-haproxy";
    haproxy_check_start(f->haproxy, f->config, on_done, &answer);
    assert_int_equal(answer.came, 0);
    wait_for(f, &answer.came, 1);
    assert_false(answer.good);
    assert_string_equal(answer.error.where, "no-such-haproxy");
}

static void test_check_one_at_a_time(void **state) {
    struct fixture *f = *state;
    struct answer first = {0};
    struct answer second = {0};
    haproxy_check_start(f->haproxy, f->config, on_done, &first);
    haproxy_check_start(f->haproxy, f->config, on_done, &second);
    assert_int_equal(second.came, 0);
    wait_for(f, &second.came, 1);
    wait_for(f, &first.came, 1);
    assert_false(second.good);
    assert_true(first.good);
}

/* ---- supervise ---- */

static void test_start_reload_stop(void **state) {
    struct fixture *f = *state;
    pid_t pid = 0;
    assert_false(haproxy_running(f->haproxy, &pid));
    reload_well(f);
    assert_true(haproxy_running(f->haproxy, &pid));
    assert_true(serves(f->port, "one"));
    struct master_state before = processes(f);
    assert_int_equal(before.master, pid);
    assert_int_equal(getpgid(pid), pid);

    write_config(f, f->port, "two");
    reload_well(f);
    struct master_state after = processes(f);
    assert_int_equal(after.master, pid);
    assert_int_not_equal(after.worker, before.worker);
    assert_true(serves(f->port, "two"));

    stop_well(f);
    assert_int_equal(kill(pid, 0), -1);
    assert_false(serves(f->port, "two"));
    assert_int_equal(f->ups + f->downs, 0);
    reload_well(f);
    assert_true(serves(f->port, "two"));
    stop_well(f);
}

static void test_reload_invalid(void **state) {
    struct fixture *f = *state;
    reload_well(f);
    pid_t worker = processes(f).worker;
    write_text(f->config, "frontend f\n nonsense here\n");
    struct answer answer = reload(f);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.where, "haproxy.cfg:2"));
    assert_non_null(strstr(answer.error.text, "unknown keyword 'nonsense'"));
    assert_int_equal(processes(f).worker, worker);
    assert_true(serves(f->port, "one"));
    assert_true(haproxy_running(f->haproxy, NULL));

    write_config(f, f->port, "two");
    reload_well(f);
    assert_true(serves(f->port, "two"));
    stop_well(f);
}

static void test_reload_bind_conflict(void **state) {
    struct fixture *f = *state;
    int fd = -1;
    reload_well(f);
    pid_t worker = processes(f).worker;
    write_config(f, taken_port(&fd), "two");
    struct answer answer = reload(f);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.where, "haproxy.cfg:10"));
    assert_non_null(strstr(answer.error.text, "cannot bind socket"));
    assert_int_equal(processes(f).worker, worker);
    assert_true(serves(f->port, "one"));
    (void)close(fd);
    stop_well(f);
}

static void test_start_fails_then_recovers(void **state) {
    struct fixture *f = *state;
    write_text(f->config, "frontend f\n nonsense here\n");
    struct answer answer = reload(f);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.where, "haproxy.cfg:2"));
    assert_false(haproxy_running(f->haproxy, NULL));
    write_config(f, f->port, "one");
    wait_for(f, &f->ups, 1);
    assert_true(serves(f->port, "one"));
    assert_int_equal(f->downs, 0);
    stop_well(f);
}

static void test_missing_binary(void **state) {
    struct fixture *f = *state;
    f->settings.binary = (char *)"no-such-haproxy";
    struct answer answer = reload(f);
    assert_false(answer.good);
    assert_string_equal(answer.error.where, "no-such-haproxy");
    stop_well(f);
}

static void test_killed(void **state) {
    struct fixture *f = *state;
    pid_t first = 0;
    pid_t second = 0;
    reload_well(f);
    for (int i = 1; i <= 3; i++) {
        assert_true(haproxy_running(f->haproxy, &first));
        assert_int_equal(kill(first, SIGKILL), 0);
        wait_for(f, &f->downs, i);
        assert_non_null(strstr(f->reason, "signal 9"));
        wait_for(f, &f->ups, i);
        assert_true(haproxy_running(f->haproxy, &second));
        assert_int_not_equal(first, second);
        assert_true(serves(f->port, "one"));
    }
    write_config(f, f->port, "two");
    reload_well(f);
    assert_true(serves(f->port, "two"));
    stop_well(f);
}

/* A worker that crashes takes its master along; the controller brings both back. */
static void test_worker_killed(void **state) {
    struct fixture *f = *state;
    reload_well(f);
    assert_int_equal(kill(processes(f).worker, SIGKILL), 0);
    wait_for(f, &f->ups, 1);
    assert_int_equal(f->downs, 1);
    assert_true(serves(f->port, "one"));
    stop_well(f);
}

static void test_killed_while_reloading(void **state) {
    struct fixture *f = *state;
    struct answer answer = {0};
    pid_t pid = 0;
    reload_well(f);
    assert_true(haproxy_running(f->haproxy, &pid));
    haproxy_reload_start(f->haproxy, on_done, &answer);
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_for(f, &answer.came, 1);
    assert_false(answer.good);
    wait_for(f, &f->ups, 1);
    assert_true(serves(f->port, "one"));
    stop_well(f);
    assert_int_equal(answer.came, 1);
}

static void test_one_at_a_time(void **state) {
    struct fixture *f = *state;
    struct answer first = {0};
    struct answer second = {0};
    struct answer stop = {0};
    haproxy_reload_start(f->haproxy, on_done, &first);
    haproxy_reload_start(f->haproxy, on_done, &second);
    wait_for(f, &second.came, 1);
    assert_false(second.good);
    wait_for(f, &first.came, 1);
    assert_true(first.good);
    first = (struct answer){0};
    haproxy_reload_start(f->haproxy, on_done, &first);
    haproxy_stop_start(f->haproxy, on_done, &stop);
    assert_int_equal(first.came, 0);
    wait_for(f, &first.came, 1);
    wait_for(f, &stop.came, 1);
    assert_false(first.good);
    assert_true(stop.good);
    assert_false(serves(f->port, "one"));
}

/* Does what a hatlas that is killed does: starts HAProxy and leaves it behind. */
static void leave_orphan(struct fixture *f) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        struct fixture other = *f;
        struct answer answer = {0};
        other.base = event_base_new();
        other.haproxy = controller(&other);
        haproxy_reload_start(other.haproxy, on_done, &answer);
        while (!answer.came)
            (void)event_base_loop(other.base, EVLOOP_ONCE);
        _exit(answer.good ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    f->orphan = processes(f).master;
}

static void test_orphan(void **state) {
    struct fixture *f = *state;
    pid_t pid = 0;
    leave_orphan(f);
    struct master_state orphan = processes(f);
    assert_true(orphan.master > 0);
    assert_true(serves(f->port, "one"));
    write_config(f, f->port, "two");
    reload_well(f);
    assert_true(haproxy_running(f->haproxy, &pid));
    assert_int_equal(pid, orphan.master);
    assert_int_not_equal(processes(f).worker, orphan.worker);
    assert_true(serves(f->port, "two"));

    write_text(f->config, "frontend f\n nonsense here\n");
    struct answer answer = reload(f);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.text, "haproxy -c"));
    assert_true(serves(f->port, "two"));

    write_config(f, f->port, "three");
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_for(f, &f->ups, 1);
    assert_int_equal(f->downs, 1);
    assert_true(serves(f->port, "three"));
    stop_well(f);
}

static void test_orphan_stopped(void **state) {
    struct fixture *f = *state;
    leave_orphan(f);
    reload_well(f);
    stop_well(f);
    assert_false(serves(f->port, "one"));
}

static bool pid_known(const struct fixture *f) {
    pid_t pid = 0;
    (void)haproxy_running(f->haproxy, &pid);
    return pid != 0;
}

/* A config whose HAProxy writes to standard error for every request. */
static void write_talkative_config(const struct fixture *f, const char *word) {
    struct buffer text = BUFFER_INIT;
    struct error error;
    write_config(f, f->port, word);
    assert_true(file_read(f->config, 65536, &text, &error));
    buffer_puts(&text, "    option httplog\n    log stderr format raw local0\n");
    write_text(f->config, buffer_str(&text));
    buffer_free(&text);
}

/* With nobody left who reads its standard error, HAProxy goes on: it is told so by every
 * request and by refused reloads. */
static void use_unread(struct fixture *f, const struct master_state *before) {
    for (int i = 0; i < 200; i++)
        assert_true(serves(f->port, "one"));
    assert_int_equal(processes(f).worker, before->worker);
    for (int i = 0; i < 2; i++) {
        write_text(f->config, "frontend f\n nonsense here\n");
        assert_false(reload(f).good);
        write_talkative_config(f, "one");
        assert_true(serves(f->port, "one"));
        reload_well(f);
        assert_int_equal(processes(f).master, before->master);
        assert_true(serves(f->port, "one"));
    }
}

static void test_orphan_unread(void **state) {
    struct fixture *f = *state;
    write_talkative_config(f, "one");
    leave_orphan(f);
    struct master_state before = processes(f);
    use_unread(f, &before);
    stop_well(f);
}

static void test_detach(void **state) {
    struct fixture *f = *state;
    write_talkative_config(f, "one");
    reload_well(f);
    struct master_state before = processes(f);
    haproxy_detach(f->haproxy);
    haproxy_free(f->haproxy);
    f->haproxy = controller(f);
    use_unread(f, &before);

    /* The adopted one can be left behind again. */
    haproxy_detach(f->haproxy);
    haproxy_free(f->haproxy);
    f->haproxy = controller(f);
    assert_int_equal(processes(f).master, before.master);
    reload_well(f);
    assert_int_equal(processes(f).master, before.master);
    stop_well(f);
    assert_int_equal(waitpid(before.master, NULL, 0), before.master);
    assert_int_equal(f->ups + f->downs, 0);
}

/* What is not known to serve is not left behind. */
static void test_detach_while_starting(void **state) {
    struct fixture *f = *state;
    struct answer answer = {0};
    haproxy_detach(f->haproxy);
    haproxy_reload_start(f->haproxy, on_done, &answer);
    while (!pid_known(f))
        (void)event_base_loop(f->base, EVLOOP_ONCE);
    haproxy_free(f->haproxy);
    f->haproxy = controller(f);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(answer.came, 0);
    assert_false(serves(f->port, "one"));
}

/* Somebody else's HAProxy on our master socket is neither driven nor doubled. */
static void test_foreign(void **state) {
    struct fixture *f = *state;
    struct answer answer = {0};
    reload_well(f);
    char *config = mem_printf("%s/other.cfg", f->dir);
    struct haproxy_events none = {NULL, NULL, NULL};
    struct haproxy *other = haproxy_new(f->base, &f->log, &f->settings, config, &none);
    haproxy_reload_start(other, on_done, &answer);
    wait_for(f, &answer.came, 1);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.text, "another config"));
    haproxy_free(other);
    free(config);
    assert_true(serves(f->port, "one"));
    stop_well(f);
}

/* ---- HAProxy run by something else ---- */

/* The fixture's own HAProxy plays the foreign one; the second controller drives it. */
static struct haproxy *outsider(struct fixture *f, struct haproxy_settings *settings,
                                enum control_mode control) {
    struct haproxy_events events = {on_down, on_up, f};
    *settings = f->settings;
    settings->control = control;
    return haproxy_new(f->base, &f->log, settings, f->config, &events);
}

static struct answer reload_by(struct fixture *f, struct haproxy *haproxy) {
    struct answer answer = {0};
    haproxy_reload_start(haproxy, on_done, &answer);
    assert_int_equal(answer.came, 0);
    wait_for(f, &answer.came, 1);
    return answer;
}

static void test_master_socket(void **state) {
    struct fixture *f = *state;
    struct haproxy_settings settings;
    struct haproxy *other = outsider(f, &settings, CONTROL_MASTER_SOCKET);
    pid_t pid = 0;
    reload_well(f);
    assert_false(haproxy_running(other, &pid));
    write_config(f, f->port, "two");
    assert_true(reload_by(f, other).good);
    assert_true(haproxy_running(other, &pid));
    assert_int_equal(pid, processes(f).master);
    assert_true(serves(f->port, "two"));

    write_text(f->config, "nonsense\n");
    struct answer answer = reload_by(f, other);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.text, "refused"));
    assert_true(haproxy_running(other, NULL));
    assert_true(serves(f->port, "two"));

    answer = (struct answer){0};
    haproxy_stop_start(other, on_done, &answer);
    wait_for(f, &answer.came, 1);
    assert_true(serves(f->port, "two"));
    stop_well(f);

    settings.reload_timeout = 300;
    answer = reload_by(f, other);
    assert_false(answer.good);
    assert_string_equal(answer.error.where, f->socket);
    assert_false(haproxy_running(other, NULL));
    assert_int_equal(f->downs, 1);
    haproxy_free(other);
}

static void test_command(void **state) {
    static const struct {
        const char *script;
        bool good;
        const char *says;
    } cases[] = {
        {"true", true, ""},
        {"echo first; echo last >&2; exit 3", false, "exit status 3: first last"},
        {"kill -9 $$", false, "killed by signal 9"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct haproxy_settings settings;
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)cases[i].script, NULL};
        struct haproxy *other = outsider(f, &settings, CONTROL_COMMAND);
        settings.command = argv;
        settings.master_socket = i ? f->socket : NULL;
        struct answer answer = reload_by(f, other);
        assert_int_equal(answer.good, cases[i].good);
        assert_non_null(strstr(answer.error.text, cases[i].says));
        assert_int_equal(haproxy_running(other, NULL), cases[i].good);
        haproxy_free(other);
    }
}

static void test_command_missing(void **state) {
    struct fixture *f = *state;
    struct haproxy_settings settings;
    char *argv[] = {(char *)"no-such-command", NULL};
    struct haproxy *other = outsider(f, &settings, CONTROL_COMMAND);
    settings.command = argv;
    struct answer answer = reload_by(f, other);
    assert_false(answer.good);
    assert_string_equal(answer.error.where, "no-such-command");
    haproxy_free(other);
}

static void test_command_times_out(void **state) {
    struct fixture *f = *state;
    struct haproxy_settings settings;
    char *argv[] = {(char *)"sleep", (char *)"1000", NULL};
    struct haproxy *other = outsider(f, &settings, CONTROL_COMMAND);
    settings.command = argv;
    settings.reload_timeout = 100;
    struct answer answer = reload_by(f, other);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.text, "ran too long"));
    haproxy_free(other);
}

/* Where the master socket answers, a command that returns at once is not believed. */
static void test_command_verified(void **state) {
    struct fixture *f = *state;
    struct haproxy_settings settings;
    pid_t pid = 0;
    reload_well(f);
    assert_true(haproxy_running(f->haproxy, &pid));
    pid_t worker = processes(f).worker;
    char *script = mem_printf("kill -USR2 %ld", (long)pid);
    char *argv[] = {(char *)"sh", (char *)"-c", script, NULL};
    struct haproxy *other = outsider(f, &settings, CONTROL_COMMAND);
    settings.command = argv;
    write_config(f, f->port, "two");
    assert_true(reload_by(f, other).good);
    assert_int_not_equal(processes(f).worker, worker);
    assert_true(serves(f->port, "two"));

    write_text(f->config, "nonsense\n");
    struct answer answer = reload_by(f, other);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.text, "refused"));
    argv[2] = (char *)"true";
    settings.reload_timeout = 500;
    answer = reload_by(f, other);
    assert_false(answer.good);
    assert_non_null(strstr(answer.error.text, "no new worker"));
    haproxy_free(other);
    free(script);
    stop_well(f);
}

/* The unit's own command, which something that plays systemctl gets to see. */
static void test_systemd(void **state) {
    struct fixture *f = *state;
    struct haproxy_settings settings;
    struct error error;
    pid_t pid = 0;
    reload_well(f);
    assert_true(haproxy_running(f->haproxy, &pid));
    char *path = mem_strdup(getenv("PATH"));
    char *mine = mem_printf("%s:%s", f->dir, path);
    char *program = mem_printf("%s/systemctl", f->dir);
    char *script =
        mem_printf("#!/bin/sh\ntest \"$*\" = 'reload my.service' && kill -USR2 "
                   "%ld\n",
                   (long)pid);
    assert_true(file_replace(program, script, strlen(script), 0755, &error));
    f->settings.unit = (char *)"my.service";
    struct haproxy *other = outsider(f, &settings, CONTROL_SYSTEMD);
    assert_int_equal(setenv("PATH", mine, 1), 0);
    write_config(f, f->port, "two");
    struct answer answer = reload_by(f, other);
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_true(answer.good);
    assert_true(serves(f->port, "two"));
    haproxy_free(other);
    free(script);
    free(program);
    free(mine);
    free(path);
    stop_well(f);
}

/* A client that never ends its request does not keep HAProxy from stopping. */
static void test_stop_is_bounded(void **state) {
    struct fixture *f = *state;
    struct buffer log = BUFFER_INIT;
    struct error error;
    char *path = mem_printf("%s/log", f->dir);
    f->settings.stop_timeout = 100;
    reload_well(f);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)f->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(client, "GET / HT", 8, MSG_NOSIGNAL), 8);
    assert_true(serves(f->port, "one"));
    f->log.fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    stop_well(f);
    (void)close(f->log.fd);
    f->log.fd = -1;
    assert_true(file_read(path, 65536, &log, &error));
    assert_non_null(strstr(buffer_str(&log), "HAProxy does not stop, gets a signal"));
    assert_non_null(strstr(buffer_str(&log), "signal=15"));
    (void)close(client);
    buffer_free(&log);
    free(path);
}

/* A controller freed in the middle of something leaves nothing behind and calls nobody.
 */
static void test_freed_midway(void **state) {
    struct fixture *f = *state;
    struct answer answer = {0};
    haproxy_reload_start(f->haproxy, on_done, &answer);
    haproxy_check_start(f->haproxy, f->config, on_done, &answer);
    haproxy_check_start(f->haproxy, f->config, on_done, &answer);
    haproxy_free(f->haproxy);
    f->haproxy = controller(f);
    reload_well(f);
    assert_int_equal(answer.came, 0);
    haproxy_reload_start(f->haproxy, on_done, &answer);
    haproxy_free(f->haproxy);
    f->haproxy = controller(f);
    reload_well(f);
    assert_int_equal(answer.came, 0);
    stop_well(f);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proc),
        cmocka_unit_test(test_reload_answer),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_levels),
        WITH_FIXTURE(test_check),
        WITH_FIXTURE(test_check_missing),
        WITH_FIXTURE(test_check_one_at_a_time),
        WITH_FIXTURE(test_start_reload_stop),
        WITH_FIXTURE(test_reload_invalid),
        WITH_FIXTURE(test_reload_bind_conflict),
        WITH_FIXTURE(test_start_fails_then_recovers),
        WITH_FIXTURE(test_missing_binary),
        WITH_FIXTURE(test_killed),
        WITH_FIXTURE(test_worker_killed),
        WITH_FIXTURE(test_killed_while_reloading),
        WITH_FIXTURE(test_one_at_a_time),
        WITH_FIXTURE(test_orphan),
        WITH_FIXTURE(test_orphan_stopped),
        WITH_FIXTURE(test_orphan_unread),
        WITH_FIXTURE(test_detach),
        WITH_FIXTURE(test_detach_while_starting),
        WITH_FIXTURE(test_foreign),
        WITH_FIXTURE(test_master_socket),
        WITH_FIXTURE(test_command),
        WITH_FIXTURE(test_command_missing),
        WITH_FIXTURE(test_command_times_out),
        WITH_FIXTURE(test_command_verified),
        WITH_FIXTURE(test_systemd),
        WITH_FIXTURE(test_stop_is_bounded),
        WITH_FIXTURE(test_freed_midway),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
