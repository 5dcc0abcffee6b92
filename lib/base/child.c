/* Child processes as events of the loop. */
#include "base/child.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { OUTPUT_MAX = 65536 };

struct child {
    pid_t pid;
    int pidfd;
    int output_fd;
    bool timed_out;
    struct event *end_event, *output_event, *timer;
    struct buffer output;
    child_ended *ended;
    void *arg;
};

static void release(struct child *child) {
    if (child->end_event)
        event_free(child->end_event);
    if (child->output_event)
        event_free(child->output_event);
    if (child->timer)
        event_free(child->timer);
    if (child->pidfd >= 0)
        (void)close(child->pidfd);
    if (child->output_fd >= 0)
        (void)close(child->output_fd);
    buffer_free(&child->output);
    free(child);
}

/* Reads what is there; returns false at the end of the output. */
static bool drain(struct child *child) {
    for (;;) {
        char *end = buffer_reserve(&child->output, 4096);
        ssize_t got = read(child->output_fd, end, 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 && errno == EAGAIN;
        end[got] = '\0';
        child->output.len += (size_t)got;
        if (child->output.len > 2 * OUTPUT_MAX) {
            memmove(child->output.data,
                    child->output.data + child->output.len - OUTPUT_MAX, OUTPUT_MAX + 1);
            child->output.len = OUTPUT_MAX;
        }
    }
}

static void on_output(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct child *child = arg;
    if (!drain(child))
        (void)event_del(child->output_event);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct child *child = arg;
    child->timed_out = true;
    (void)kill(child->pid, SIGKILL);
}

static void describe(int status, bool timed_out, char *out, size_t size) {
    if (timed_out)
        (void)snprintf(out, size, "killed because it ran too long");
    else if (WIFEXITED(status))
        (void)snprintf(out, size, "exit status %d", WEXITSTATUS(status));
    else
        (void)snprintf(out, size, "killed by signal %d", WTERMSIG(status));
}

static void on_end(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct child *child = arg;
    int status = 0;
    if (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        return;
    if (child->output_fd >= 0)
        (void)drain(child);
    char reason[64];
    describe(status, child->timed_out, reason, sizeof reason);
    struct child_end end = {status, child->timed_out, buffer_str(&child->output), reason};
    child_ended *ended = child->ended;
    void *ended_arg = child->arg;
    (void)event_del(child->end_event);
    ended(ended_arg, &end);
    release(child);
}

/* Signals that hatlas handles or ignores must mean to a child what they mean by default.
 */
static int spawn(pid_t *pid, const char *const *argv, int output_fd) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    sigset_t none;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (output_fd >= 0) {
        (void)posix_spawn_file_actions_adddup2(&actions, output_fd, 1);
        (void)posix_spawn_file_actions_adddup2(&actions, output_fd, 2);
    }
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes,
                                   POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int fault =
        posix_spawnp(pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return fault;
}

static bool watch(struct child *child, struct event_base *base, int64_t timeout_ms) {
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0)
        return false;
    child->end_event = event_new(base, child->pidfd, EV_READ, on_end, child);
    (void)event_add(child->end_event, NULL);
    if (child->output_fd >= 0) {
        child->output_event =
            event_new(base, child->output_fd, EV_READ | EV_PERSIST, on_output, child);
        (void)event_add(child->output_event, NULL);
    }
    if (timeout_ms) {
        struct timeval after = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
        child->timer = event_new(base, -1, 0, on_timeout, child);
        (void)event_add(child->timer, &after);
    }
    return true;
}

struct child *child_start(struct event_base *base, const char *const *argv, bool capture,
                          int64_t timeout_ms, child_ended *ended, void *arg,
                          struct error *error) {
    struct child *child = mem_zalloc(sizeof *child);
    int ends[2] = {-1, -1};
    child->pidfd = -1;
    child->ended = ended;
    child->arg = arg;
    int fault = capture && pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;
    child->output_fd = ends[0];
    if (ends[0] >= 0)
        (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    if (!fault)
        fault = spawn(&child->pid, argv, ends[1]);
    if (ends[1] >= 0)
        (void)close(ends[1]);
    if (fault) {
        (void)error_set(error, argv[0], "can't start: %s", strerror(fault));
        release(child);
        return NULL;
    }
    if (!watch(child, base, timeout_ms)) {
        (void)error_set(error, argv[0], "can't watch the process: %s", strerror(errno));
        child_kill(child);
        return NULL;
    }
    return child;
}

pid_t child_pid(const struct child *child) {
    return child->pid;
}

void child_signal(struct child *child, int signal) {
    (void)kill(child->pid, signal);
}

void child_kill(struct child *child) {
    if (!child)
        return;
    (void)kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    release(child);
}

void child_detach(struct child *child) {
    if (child)
        release(child);
}

struct run {
    struct buffer *output;
    int exit_code;
    char reason[64];
};

static void on_run_end(void *arg, const struct child_end *end) {
    struct run *run = arg;
    buffer_puts(run->output, end->output);
    run->exit_code =
        !end->timed_out && WIFEXITED(end->status) ? WEXITSTATUS(end->status) : -1;
    (void)snprintf(run->reason, sizeof run->reason, "%s", end->reason);
}

bool child_run(const char *const *argv, int64_t timeout_ms, struct buffer *output,
               int *exit_code, struct error *error) {
    struct run run = {.output = output, .exit_code = -1};
    struct event_base *base = event_base_new();
    if (!base)
        return error_set(error, argv[0], "can't make an event loop");
    bool started = child_start(base, argv, true, timeout_ms, on_run_end, &run, error);
    if (started)
        (void)event_base_dispatch(base);
    event_base_free(base);
    if (exit_code)
        *exit_code = run.exit_code;
    if (started && run.exit_code < 0)
        (void)error_set(error, argv[0], "%s", run.reason);
    return started && run.exit_code == 0;
}
