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

enum { OUTPUT_MAX = 65536, CHUNK = 4096, CHUNKS_MAX = 32 };

struct child {
    pid_t pid;
    int pidfd;
    int output_fd;
    bool timed_out;
    bool own_group;
    struct event *end_event, *output_event, *timer;
    struct buffer output;
    size_t line_start; /* of the first line that was not handed on */
    child_ended *ended;
    child_line *line;
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

/* Hands whole lines on; at the end of the output also one without a newline. */
static void hand_on(struct child *child, bool at_end) {
    if (!child->line || !child->output.data)
        return;
    char *newline = NULL;
    while ((newline = strchr(child->output.data + child->line_start, '\n'))) {
        *newline = '\0';
        child->line(child->arg, child->output.data + child->line_start);
        *newline = '\n';
        child->line_start = (size_t)(newline - child->output.data) + 1;
    }
    if (at_end && child->line_start < child->output.len) {
        child->line(child->arg, child->output.data + child->line_start);
        child->line_start = child->output.len;
    }
}

static void keep_last(struct child *child) {
    struct buffer *output = &child->output;
    if (output->len <= OUTPUT_MAX)
        return;
    size_t gone = output->len - OUTPUT_MAX;
    memmove(output->data, output->data + gone, OUTPUT_MAX + 1);
    output->len = OUTPUT_MAX;
    child->line_start = child->line_start > gone ? child->line_start - gone : 0;
}

/* Reads what is there; returns false at the end of the output. Bounded, so that a child
 * that never stops writing does not keep the loop from its other work. */
static bool drain(struct child *child) {
    for (int i = 0; i < CHUNKS_MAX; i++) {
        char *end = buffer_reserve(&child->output, CHUNK);
        *end = '\0';
        ssize_t got = read(child->output_fd, end, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 && errno == EAGAIN;
        for (ssize_t j = 0; j < got; j++)
            if (!end[j])
                end[j] = ' '; /* the output is a string */
        end[got] = '\0';
        child->output.len += (size_t)got;
        hand_on(child, false);
        if (child->output.len > (size_t)2 * OUTPUT_MAX)
            keep_last(child);
    }
    return true;
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
    (void)kill(child->own_group ? -child->pid : child->pid, SIGKILL);
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
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (child->output_fd >= 0)
        (void)drain(child);
    hand_on(child, true);
    keep_last(child);
    char reason[64];
    describe(status, child->timed_out, reason, sizeof reason);
    struct child_end end = {status, child->timed_out, buffer_str(&child->output), reason};
    child_ended *ended = child->ended;
    void *ended_arg = child->arg;
    (void)event_del(child->end_event);
    ended(ended_arg, &end);
    release(child);
}

/* The environment without hatlas's secrets: a new array of borrowed strings. */
static char **child_environment(void) {
    static const char secret[] = "HATLAS_SECRET";
    size_t count = 0;
    while (environ[count])
        count++;
    char **kept = mem_resize(NULL, count + 1, sizeof *kept);
    size_t out = 0;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], secret, sizeof secret - 1) != 0)
            kept[out++] = environ[i];
    kept[out] = NULL;
    return kept;
}

/* Signals that hatlas handles or ignores must mean to a child what they mean by default.
 */
static int spawn(pid_t *pid, const struct child_options *options, int output_fd) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    sigset_t none;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (options->output == CHILD_CAPTURE)
        (void)posix_spawn_file_actions_adddup2(&actions, output_fd, 1);
    if (options->output != CHILD_INHERIT)
        (void)posix_spawn_file_actions_adddup2(&actions, output_fd, 2);
    /* Libraries make sockets that would stay open in a child, ZooKeeper's among them. */
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if (options->own_group)
        flags |= POSIX_SPAWN_SETPGROUP;
    (void)posix_spawnattr_setflags(&attributes, flags);
    char **environment = child_environment();
    int fault = posix_spawnp(pid, options->argv[0], &actions, &attributes,
                             (char *const *)options->argv, environment);
    free(environment);
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

struct child *child_launch(struct event_base *base, const struct child_options *options,
                           struct error *error) {
    struct child *child = mem_zalloc(sizeof *child);
    int ends[2] = {-1, -1};
    child->pidfd = -1;
    child->own_group = options->own_group;
    child->ended = options->ended;
    child->line = options->line;
    child->arg = options->arg;
    int fault = options->output && pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;
    child->output_fd = ends[0];
    if (ends[0] >= 0)
        (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    if (!fault)
        fault = spawn(&child->pid, options, ends[1]);
    if (ends[1] >= 0)
        (void)close(ends[1]);
    if (fault) {
        (void)error_set(error, options->argv[0], "can't start: %s", strerror(fault));
        release(child);
        return NULL;
    }
    if (!watch(child, base, options->timeout_ms)) {
        (void)error_set(error, options->argv[0], "can't watch the process: %s",
                        strerror(errno));
        child_kill(child);
        return NULL;
    }
    return child;
}

struct child *child_start(struct event_base *base, const char *const *argv, bool capture,
                          int64_t timeout_ms, child_ended *ended, void *arg,
                          struct error *error) {
    struct child_options options = {.argv = argv,
                                    .output = capture ? CHILD_CAPTURE : CHILD_INHERIT,
                                    .timeout_ms = timeout_ms,
                                    .ended = ended,
                                    .arg = arg};
    return child_launch(base, &options, error);
}

/* What the parent shares by its files, such as locks, must not outlive it here. */
static void start_work(void) {
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        (void)signal(signals[i], SIG_DFL);
}

struct child *child_work(struct event_base *base, bool (*work)(void *work_arg),
                         void *work_arg, child_ended *ended, void *arg,
                         struct error *error) {
    struct child *child = mem_zalloc(sizeof *child);
    child->pidfd = child->output_fd = -1;
    child->ended = ended;
    child->arg = arg;
    child->pid = fork();
    if (!child->pid) {
        start_work();
        _exit(work(work_arg) ? 0 : 1);
    }
    if (child->pid < 0) {
        (void)error_set(error, "", "can't fork: %s", strerror(errno));
        release(child);
        return NULL;
    }
    if (!watch(child, base, 0)) {
        (void)error_set(error, "", "can't watch the process: %s", strerror(errno));
        child_kill(child);
        return NULL;
    }
    return child;
}

void child_drain(struct child *child) {
    if (child->output_fd >= 0)
        (void)drain(child);
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
    child_wait(child);
}

void child_wait(struct child *child) {
    if (!child)
        return;
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
