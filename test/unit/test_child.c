/* Tests of base/child.h on real processes. Nothing is timed: every wait is for an event,
 * with a deadline far beyond what it takes. */
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_S = 40 };

struct watcher {
    struct event_base *base;
    int ended, lines;
    int status;
    bool timed_out;
    char reason[64];
    struct buffer output, seen; /* `seen`: the lines, each followed by '|' */
};

static void on_ended(void *arg, const struct child_end *end) {
    struct watcher *w = arg;
    w->ended++;
    w->status = end->status;
    w->timed_out = end->timed_out;
    (void)snprintf(w->reason, sizeof w->reason, "%s", end->reason);
    buffer_puts(&w->output, end->output);
}

static void on_line(void *arg, const char *line) {
    struct watcher *w = arg;
    w->lines++;
    buffer_printf(&w->seen, "%s|", line);
}

static int set_up(void **state) {
    struct watcher *w = mem_zalloc(sizeof *w);
    w->base = event_base_new();
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct watcher *w = *state;
    event_base_free(w->base);
    buffer_free(&w->output);
    buffer_free(&w->seen);
    free(w);
    return 0;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    *(bool *)arg = true;
}

static void wait_for(struct watcher *w, const int *count, int wanted) {
    bool late = false;
    struct event *deadline = event_new(w->base, -1, 0, on_deadline, &late);
    (void)event_add(deadline, &(struct timeval){DEADLINE_S, 0});
    while (*count < wanted && !late)
        (void)event_base_loop(w->base, EVLOOP_ONCE);
    event_free(deadline);
    assert_false(late);
}

/* Lets the loop do all that is ready now. */
static void turn(struct watcher *w) {
    for (int i = 0; i < 10; i++)
        (void)event_base_loop(w->base, EVLOOP_NONBLOCK);
}

static struct child *launch(struct watcher *w, const char *script,
                            enum child_output output, bool own_group,
                            int64_t timeout_ms) {
    const char *argv[] = {"sh", "-c", script, NULL};
    struct child_options options = {.argv = argv,
                                    .output = output,
                                    .own_group = own_group,
                                    .timeout_ms = timeout_ms,
                                    .ended = on_ended,
                                    .line = on_line,
                                    .arg = w};
    struct error error;
    struct child *child = child_launch(w->base, &options, &error);
    assert_non_null(child);
    return child;
}

/* Waits until a process that is not a child of ours is gone. */
static void wait_gone(pid_t pid) {
    int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        assert_int_equal(errno, ESRCH);
        return;
    }
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    int gone = poll(&poller, 1, DEADLINE_S * 1000);
    (void)close(fd);
    assert_int_equal(gone, 1);
}

static const struct {
    const char *script, *reason, *output;
    bool exited;
    int code; /* exit status, or signal */
} ends[] = {
    {"exit 0", "exit status 0", "", true, 0},
    {"exit 3", "exit status 3", "", true, 3},
    {"echo out; echo err >&2; exit 1", "exit status 1", "out\nerr\n", true, 1},
    {"printf 'no newline'", "exit status 0", "no newline", true, 0},
    {"printf 'a\\000b\\n'", "exit status 0", "a b\n", true, 0},
    {"kill -9 $$", "killed by signal 9", "", false, 9},
    {"echo before; kill -TERM $$", "killed by signal 15", "before\n", false, 15},
    {"cat; echo read", "exit status 0", "read\n", true, 0},
};

static void test_ends(void **state) {
    struct watcher *w = *state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        print_message("    %s\n", ends[i].script);
        buffer_clear(&w->output);
        w->ended = 0;
        (void)launch(w, ends[i].script, CHILD_CAPTURE, false, 0);
        wait_for(w, &w->ended, 1);
        assert_string_equal(w->reason, ends[i].reason);
        assert_string_equal(buffer_str(&w->output), ends[i].output);
        assert_int_equal(WIFEXITED(w->status), ends[i].exited);
        assert_int_equal(ends[i].exited ? WEXITSTATUS(w->status) : WTERMSIG(w->status),
                         ends[i].code);
        assert_false(w->timed_out);
    }
}

static void test_cannot_start(void **state) {
    struct watcher *w = *state;
    const char *argv[] = {"no-such-program", NULL};
    struct error error;
    assert_null(child_start(w->base, argv, true, 0, on_ended, w, &error));
    assert_string_equal(error.where, "no-such-program");
    assert_non_null(strstr(error.text, "No such file"));
    assert_null(child_start(w->base, (const char *[]){"/etc/passwd", NULL}, false, 0,
                            on_ended, w, &error));
    assert_non_null(strstr(error.text, "Permission denied"));
    turn(w);
    assert_int_equal(w->ended, 0);
}

/* A line is handed on as soon as it is whole, long before the end. */
static void test_lines(void **state) {
    struct watcher *w = *state;
    struct child *child = launch(w, "echo one; printf tw; echo o; exec sleep 1000",
                                 CHILD_CAPTURE, false, 0);
    wait_for(w, &w->lines, 2);
    assert_string_equal(buffer_str(&w->seen), "one|two|");
    assert_int_equal(w->ended, 0);
    child_signal(child, SIGTERM);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->lines, 2);
    assert_string_equal(buffer_str(&w->output), "one\ntwo\n");

    buffer_clear(&w->seen);
    w->ended = 0;
    (void)launch(w, "echo whole; printf part", CHILD_CAPTURE, false, 0);
    wait_for(w, &w->ended, 1);
    assert_string_equal(buffer_str(&w->seen), "whole|part|");
}

/* Only the end of a long output is kept, but every line is handed on. */
static void test_long_output(void **state) {
    struct watcher *w = *state;
    (void)launch(w, "seq 1 100000", CHILD_CAPTURE, false, 0);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->output.len, 65536);
    assert_string_equal(w->output.data + w->output.len - 14, "\n99999\n100000\n");
    assert_int_equal(w->lines, 100000);
    assert_int_equal(w->seen.len, 588895);
    assert_string_equal(w->seen.data + w->seen.len - 13, "99999|100000|");
}

static void test_only_stderr(void **state) {
    struct watcher *w = *state;
    (void)launch(w, "echo kept >&2", CHILD_CAPTURE_STDERR, false, 0);
    wait_for(w, &w->ended, 1);
    assert_string_equal(buffer_str(&w->output), "kept\n");
    w->ended = 0;
    buffer_clear(&w->output);
    /* Standard output must be the same file as that of this process. */
    char *script = mem_printf("test /proc/self/fd/1 -ef /proc/%ld/fd/1", (long)getpid());
    (void)launch(w, script, CHILD_CAPTURE_STDERR, false, 0);
    wait_for(w, &w->ended, 1);
    assert_string_equal(w->reason, "exit status 0");
    free(script);
}

static void test_drain(void **state) {
    struct watcher *w = *state;
    struct child *child = launch(w, "echo here", CHILD_CAPTURE, false, 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child_pid(child), &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(w->lines, 0);
    child_drain(child);
    assert_int_equal(w->lines, 1);
    wait_for(w, &w->ended, 1);
    assert_int_equal(w->lines, 1);
}

static void test_timeout(void **state) {
    struct watcher *w = *state;
    (void)launch(w, "exec sleep 1000", CHILD_CAPTURE, false, 50);
    wait_for(w, &w->ended, 1);
    assert_true(w->timed_out);
    assert_string_equal(w->reason, "killed because it ran too long");
}

/* In a group of its own a timeout reaches the child's children, and a signal to our group
 * does not reach the child. */
static void test_own_group(void **state) {
    struct watcher *w = *state;
    struct child *child =
        launch(w, "sleep 1000 & echo $!; wait", CHILD_CAPTURE, true, 500);
    assert_int_equal(getpgid(child_pid(child)), child_pid(child));
    wait_for(w, &w->lines, 1);
    pid_t grandchild = (pid_t)strtol(buffer_str(&w->seen), NULL, 10);
    assert_true(grandchild > 0);
    wait_for(w, &w->ended, 1);
    assert_true(w->timed_out);
    wait_gone(grandchild);

    child = launch(w, "exec sleep 1000", CHILD_CAPTURE, false, 0);
    assert_int_equal(getpgid(child_pid(child)), getpgid(0));
    child_kill(child);
}

/* What this process ignores or blocks, a child does not inherit. */
static void test_signals_reset(void **state) {
    struct watcher *w = *state;
    sigset_t block;
    sigset_t before;
    (void)sigemptyset(&block);
    (void)sigaddset(&block, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &block, &before), 0);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old;
    assert_int_equal(sigaction(SIGTERM, &ignore, &old), 0);
    struct child *child = launch(w, "exec sleep 1000", CHILD_CAPTURE, false, 0);
    child_signal(child, SIGTERM);
    wait_for(w, &w->ended, 1);
    assert_int_equal(sigaction(SIGTERM, &old, NULL), 0);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    assert_string_equal(w->reason, "killed by signal 15");
}

static void test_kill(void **state) {
    struct watcher *w = *state;
    struct child *child = launch(w, "exec sleep 1000", CHILD_CAPTURE, false, 60000);
    pid_t pid = child_pid(child);
    child_kill(child);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    child_kill(NULL);
    turn(w);
    assert_int_equal(w->ended, 0);
}

static void test_detach(void **state) {
    struct watcher *w = *state;
    struct child *child = launch(w, "exec sleep 1000", CHILD_CAPTURE, true, 60000);
    pid_t pid = child_pid(child);
    child_detach(child);
    child_detach(NULL);
    turn(w);
    assert_int_equal(w->ended, 0);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* No descriptor of ours is left in a child: it has 0, 1, 2 and the folder it reads. */
static void test_no_stray_descriptors(void **state) {
    struct watcher *w = *state;
    struct child *other = launch(w, "exec sleep 1000", CHILD_CAPTURE, false, 0);
    const char *argv[] = {"ls", "/proc/self/fd", NULL};
    struct error error;
    (void)child_start(w->base, argv, true, 0, on_ended, w, &error);
    wait_for(w, &w->ended, 1);
    assert_string_equal(buffer_str(&w->output), "0\n1\n2\n3\n");
    child_kill(other);
}

/* Only descriptors 0 to 2 are open in the copy, and what it writes to memory is its own. */
static bool work_on_copy(void *arg) {
    int *number = arg;
    bool closed = fcntl(*number, F_GETFD) < 0 && fcntl(2, F_GETFD) >= 0;
    *number = -1;
    return closed;
}

static bool work_in_vain(void *arg) {
    (void)arg;
    return false;
}

static void test_work(void **state) {
    struct watcher *w = *state;
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    int number = pair[0];
    assert_non_null(child_work(w->base, work_on_copy, &number, on_ended, w, NULL));
    wait_for(w, &w->ended, 1);
    assert_string_equal(w->reason, "exit status 0");
    assert_int_equal(number, pair[0]);
    assert_non_null(child_work(w->base, work_in_vain, NULL, on_ended, w, NULL));
    wait_for(w, &w->ended, 2);
    assert_string_equal(w->reason, "exit status 1");
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static bool write_byte(void *arg) {
    return file_replace(arg, "x", 1, 0600, NULL);
}

static void test_wait(void **state) {
    struct watcher *w = *state;
    char path[] = "/tmp/test_child.XXXXXX";
    int fd = mkstemp(path);
    struct stat file;
    child_wait(child_work(w->base, write_byte, path, on_ended, w, NULL));
    child_wait(NULL);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_size, 1);
    turn(w);
    assert_int_equal(w->ended, 0);
    (void)close(fd);
    (void)unlink(path);
}

static void test_run(void **state) {
    (void)state;
    struct buffer output = BUFFER_INIT;
    struct error error = {{0}, {0}};
    int code = 7;
    assert_true(
        child_run((const char *[]){"echo", "hi", NULL}, 0, &output, &code, &error));
    assert_int_equal(code, 0);
    assert_string_equal(buffer_str(&output), "hi\n");
    const char *three[] = {"sh", "-c", "exit 3", NULL};
    assert_false(child_run(three, 0, &output, &code, &error));
    assert_int_equal(code, 3);
    assert_string_equal(error.text, "");
    const char *killed[] = {"sh", "-c", "kill -9 $$", NULL};
    assert_false(child_run(killed, 0, &output, &code, &error));
    assert_int_equal(code, -1);
    assert_string_equal(error.where, "sh");
    assert_string_equal(error.text, "killed by signal 9");
    const char *slow[] = {"sleep", "1000", NULL};
    assert_false(child_run(slow, 50, &output, &code, &error));
    assert_int_equal(code, -1);
    assert_string_equal(error.text, "killed because it ran too long");
    const char *missing[] = {"no-such-program", NULL};
    assert_false(child_run(missing, 0, &output, NULL, &error));
    assert_string_equal(error.where, "no-such-program");
    buffer_free(&output);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_ends),          WITH_LOOP(test_cannot_start),
        WITH_LOOP(test_lines),         WITH_LOOP(test_long_output),
        WITH_LOOP(test_only_stderr),   WITH_LOOP(test_drain),
        WITH_LOOP(test_timeout),       WITH_LOOP(test_own_group),
        WITH_LOOP(test_signals_reset), WITH_LOOP(test_kill),
        WITH_LOOP(test_detach),        WITH_LOOP(test_no_stray_descriptors),
        WITH_LOOP(test_work),          WITH_LOOP(test_wait),
        cmocka_unit_test(test_run),
    };
    /* What the caller of this program left open is not to be taken for ours. */
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
