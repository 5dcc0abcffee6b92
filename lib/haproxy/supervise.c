/* Keeps one HAProxy in master-worker mode running: starts it or adopts the one that a
 * predecessor of this process left behind, reloads it, brings it back when it dies. */
#include "haproxy/supervise.h"
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "haproxy/later.h"
#include "haproxy/message.h"
#include "haproxy/orphan.h"
#include "haproxy/reload.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

/*   IDLE ──reload──► PROBING ──nobody is there──► STARTING ──a worker serves──► RUNNING
 *                    ▲     └──ours answers: adopted──► RELOADING ──done──► RUNNING
 *              timer │         RUNNING ──reload──► RELOADING
 *                 BACKOFF ◄── it can't be started, or it died: from any but STOPPING
 *   any ──stop──► STOPPING ──it is gone──► IDLE
 */
enum state { IDLE, PROBING, STARTING, RUNNING, RELOADING, BACKOFF, STOPPING };

enum {
    STEP_MS = 50,
    ASK_MS = 2000,
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10000,
    STEADY_MS = 10000, /* who ran that long starts again at once */
    TERM_MS = 2000,
    ASK_TO_STOP_MS = 500,
    ALERTS_MAX = 32768,
    LOOKS_MAX = 3,
};

/* Who asked, and is to be answered. Taken out before any callback runs, since a callback
 * may ask for the next thing, and after the answer the supervisor may be gone. */
struct asked {
    haproxy_done *done;
    void *arg;
};

struct supervisor {
    struct supervisor_options options;
    char *listen; /* what -S takes */
    enum state state;
    /* The process: a child of ours, or an adopted one, watched through its pidfd. */
    struct child *child;
    pid_t adopted;
    int pidfd;
    struct event *gone;
    /* What is under way. */
    struct master_ask *ask;
    struct reload *reload;
    struct event *timer, *deadline;
    int stop_signal; /* STOPPING: what the timer sends next */
    int64_t stop_by; /* monotonic milliseconds, when asking gently ends */
    struct asked asked;
    struct later *later;
    bool detached;
    unsigned looks; /* PROBING: how often no orphan was found in a row */
    bool again;     /* asked for a reload while an older file may have been read */
    bool unclear;   /* the end of the last reload */
    /* Its past. */
    bool down_told;
    unsigned failures; /* starts and short lives in a row */
    int64_t up_since;  /* monotonic milliseconds; 0 while it does not serve */
    struct buffer alerts;
    bool alert; /* the line before was an alert */
    enum log_level level;
};

static void enter(struct supervisor *s, enum state state);

static int64_t now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void after(struct event *event, int64_t ms) {
    struct timeval time = {ms / 1000, (ms % 1000) * 1000};
    (void)event_add(event, &time);
}

static const char *config_of(const struct supervisor *s) {
    return s->options.config;
}

static pid_t pid_of(const struct supervisor *s) {
    return s->child ? child_pid(s->child) : s->adopted;
}

/* Forgets everything that could still call back. */
static void settle(struct supervisor *s) {
    master_forget(s->ask);
    reload_cancel(s->reload);
    s->ask = NULL;
    s->reload = NULL;
    (void)event_del(s->timer);
    (void)event_del(s->deadline);
}

static void release_adopted(struct supervisor *s) {
    if (s->gone)
        event_free(s->gone);
    if (s->pidfd >= 0)
        (void)close(s->pidfd);
    s->gone = NULL;
    s->pidfd = -1;
    s->adopted = 0;
}

static struct asked take_asked(struct supervisor *s) {
    struct asked asked = s->asked;
    s->asked = (struct asked){NULL, NULL};
    return asked;
}

static void answer(const struct asked *asked, const struct error *error) {
    if (asked->done)
        asked->done(asked->arg, error);
}

static void finish(struct supervisor *s, const struct error *error) {
    struct asked asked = take_asked(s);
    answer(&asked, error);
}

/* HAProxy's own words since the last start or reload, if there are any. */
static void explain(struct supervisor *s, const char *otherwise, struct error *error) {
    if (s->child)
        child_drain(s->child);
    (void)message_error(buffer_str(&s->alerts), config_of(s), otherwise, error);
}

static void on_line(void *arg, const char *line) {
    struct supervisor *s = arg;
    s->level = message_level(line, s->level);
    s->alert = message_is_alert(line, s->alert);
    if (s->alert && s->alerts.len < ALERTS_MAX)
        buffer_printf(&s->alerts, "%s\n", line);
    log_write(s->options.log, s->level, "HAProxy says",
              LOG_FIELDS_(LOG_STR("line", message_text(line))));
}

/* It serves, with the file that was there when it was asked last. */
static void serving(struct supervisor *s) {
    if (s->again) {
        enter(s, RELOADING);
        return;
    }
    struct asked asked = take_asked(s);
    bool tell = (s->down_told || !asked.done) && s->options.events.up;
    s->down_told = false;
    enter(s, RUNNING);
    if (tell)
        s->options.events.up(s->options.events.arg);
    answer(&asked, NULL);
}

static void fail_start(struct supervisor *s, const struct error *error) {
    log_warning(s->options.log, "HAProxy can't be started, will be tried again",
                LOG_STR("where", error->where), LOG_STR("error", error->text));
    child_kill(s->child);
    s->child = NULL;
    s->failures++;
    struct error copy = *error;
    enter(s, BACKOFF);
    finish(s, &copy);
}

/* The process ended, in any state. */
static void on_gone(struct supervisor *s, const char *reason) {
    struct error error;
    bool was_serving = s->state == RUNNING || s->state == RELOADING;
    char otherwise[128];
    (void)snprintf(otherwise, sizeof otherwise, "HAProxy ended: %s", reason);
    explain(s, otherwise, &error);
    settle(s);
    release_adopted(s);
    if (s->state == STOPPING) {
        enter(s, IDLE);
        log_notice(s->options.log, "HAProxy stopped", LOG_STR("reason", reason));
        finish(s, NULL);
        return;
    }
    if (!was_serving) {
        fail_start(s, &error);
        return;
    }
    if (now_ms() - s->up_since >= STEADY_MS)
        s->failures = 0;
    log_error(s->options.log, "HAProxy died, it is started again",
              LOG_STR("reason", reason), LOG_STR("error", error.text));
    enter(s, BACKOFF);
    s->failures++;
    s->down_told = true;
    struct asked asked = take_asked(s);
    if (s->options.events.down)
        s->options.events.down(s->options.events.arg, error.text);
    answer(&asked, &error);
}

static void on_child_end(void *arg, const struct child_end *end) {
    struct supervisor *s = arg;
    s->child = NULL;
    on_gone(s, end->reason);
}

static void on_pidfd(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    on_gone(arg, "the adopted process is gone");
}

static void start(struct supervisor *s) {
    const struct haproxy_settings *settings = s->options.settings;
    /* -db: in the foreground, even if the config says `daemon`. */
    const char *argv[] = {settings->binary, "-W", "-db",        "-S",
                          s->listen,        "-f", config_of(s), NULL};
    struct child_options options = {.argv = argv,
                                    .output = s->detached ? CHILD_CAPTURE
                                                          : CHILD_CAPTURE_STDERR,
                                    .own_group = true,
                                    .ended = on_child_end,
                                    .line = on_line,
                                    .arg = s};
    struct error error;
    s->again = false;
    s->unclear = false;
    buffer_clear(&s->alerts);
    s->child = child_launch(s->options.base, &options, &error);
    if (!s->child) {
        fail_start(s, &error);
        return;
    }
    after(s->deadline, settings->reload_timeout);
    after(s->timer, STEP_MS);
}

/* An HAProxy that a hatlas which was killed left behind goes on serving, and so must not
 * get a rival: two share the ports without noticing. */
static void adopt(struct supervisor *s, pid_t pid) {
    struct error error;
    if (!orphan_is(pid, config_of(s), NULL)) {
        (void)error_set(&error, s->options.settings->master_socket,
                        "process %ld answers there with another config: stop it, or "
                        "choose another haproxy.master_socket",
                        (long)pid);
        fail_start(s, &error);
        return;
    }
    s->pidfd = pidfd_open(pid, 0);
    if (s->pidfd < 0) {
        (void)error_set(&error, s->options.settings->master_socket,
                        "can't watch HAProxy, process %ld: %s", (long)pid,
                        strerror(errno));
        fail_start(s, &error);
        return;
    }
    s->adopted = pid;
    s->gone = event_new(s->options.base, s->pidfd, EV_READ, on_pidfd, s);
    (void)event_add(s->gone, NULL);
    log_notice(s->options.log, "adopted the HAProxy of an earlier hatlas",
               LOG_INT("pid", pid));
    s->up_since = now_ms();
    enter(s, RELOADING);
}

/* It may be starting, or executing itself anew, and answer soon. */
static void await_orphan(struct supervisor *s, pid_t pid) {
    if (!evtimer_pending(s->deadline, NULL)) {
        log_info(s->options.log, "an earlier HAProxy is there but silent, waiting for it",
                 LOG_INT("pid", pid));
        after(s->deadline, s->options.settings->reload_timeout);
    }
    after(s->timer, STEP_MS);
}

static void kill_orphan(struct supervisor *s) {
    struct error error;
    pid_t pid = orphan_find(config_of(s), s->listen);
    if (pid && kill(pid, SIGKILL) < 0 && errno != ESRCH) {
        (void)error_set(&error, s->options.settings->master_socket,
                        "an earlier HAProxy, process %ld, gives no answer and can't be "
                        "killed: %s",
                        (long)pid, strerror(errno));
        fail_start(s, &error);
        return;
    }
    if (pid)
        log_warning(s->options.log, "an earlier HAProxy gave no answer, killed",
                    LOG_INT("pid", pid));
    enter(s, PROBING);
}

static void on_probed(struct supervisor *s, const struct master_state *state, int fault) {
    if (state->master) {
        (void)event_del(s->deadline);
        adopt(s, state->master);
        return;
    }
    pid_t orphan = orphan_find(config_of(s), s->listen);
    if (orphan) {
        s->looks = 0;
        await_orphan(s, orphan);
        return;
    }
    /* A process that is just executing itself anew has no command line for a moment. */
    if (fault != ENOENT && s->looks++ < LOOKS_MAX) {
        after(s->timer, STEP_MS);
        return;
    }
    if (fault != ENOENT && fault != ECONNREFUSED)
        log_warning(s->options.log,
                    "the master socket is there but gives no answer, "
                    "HAProxy is started anew",
                    LOG_STR("socket", s->options.settings->master_socket));
    enter(s, STARTING);
}

static void on_proc(void *arg, const char *answer, int fault, const struct error *error) {
    (void)error;
    struct supervisor *s = arg;
    struct master_state state = {0};
    s->ask = NULL;
    if (answer)
        (void)master_parse_proc(answer, &state);
    if (s->state == PROBING) {
        on_probed(s, &state, fault);
    } else if (state.master == pid_of(s) && state.worker) {
        (void)event_del(s->deadline);
        s->up_since = now_ms();
        log_notice(s->options.log, "HAProxy started", LOG_INT("pid", state.master),
                   LOG_INT("worker", state.worker));
        serving(s);
    } else {
        after(s->timer, STEP_MS);
    }
}

static void ask_proc(struct supervisor *s) {
    s->ask = master_ask(s->options.base, s->options.settings->master_socket, "show proc",
                        ASK_MS, on_proc, s);
}

static void on_reloaded(void *arg, const struct reload_end *end) {
    struct supervisor *s = arg;
    s->reload = NULL;
    s->unclear = end->outcome != RELOAD_DONE && end->outcome != RELOAD_REFUSED;
    if (end->outcome == RELOAD_DONE) {
        log_info(s->options.log, "HAProxy reloaded",
                 LOG_INT("worker", end->state.worker));
        serving(s);
        return;
    }
    struct error error = *end->error;
    if (end->outcome == RELOAD_REFUSED && !end->explained)
        explain(s,
                "HAProxy refused to reload; its message went to the hatlas that started "
                "it, `haproxy -c` may tell",
                &error);
    enter(s, RUNNING);
    if (!s->asked.done)
        log_error(s->options.log, "HAProxy did not reload", LOG_STR("where", error.where),
                  LOG_STR("error", error.text));
    finish(s, &error);
}

static void reload(struct supervisor *s) {
    const struct haproxy_settings *settings = s->options.settings;
    struct reload_options options = {.base = s->options.base,
                                     .socket = settings->master_socket,
                                     .timeout_ms = settings->reload_timeout};
    s->again = false;
    s->unclear = false;
    buffer_clear(&s->alerts);
    s->reload = reload_start(&options, on_reloaded, s);
}

static void send_signal(struct supervisor *s, int signal) {
    if (s->child)
        child_signal(s->child, signal);
    else if (s->pidfd >= 0)
        (void)pidfd_send_signal(s->pidfd, signal, NULL, 0);
}

/* A master that is only starting, or executes itself anew, loses signals: so it is asked
 * again and again. One that heard it before takes no harm. */
static void ask_to_stop(struct supervisor *s) {
    int64_t left = s->stop_by - now_ms();
    send_signal(s, SIGUSR1);
    after(s->timer, left > 0 && left < ASK_TO_STOP_MS ? left : ASK_TO_STOP_MS);
}

static void stop(struct supervisor *s) {
    s->stop_signal = SIGTERM;
    s->stop_by = now_ms() + s->options.settings->stop_timeout;
    /* Without a process there is nothing to wait for but the loop. */
    if (pid_of(s))
        ask_to_stop(s);
    else
        after(s->timer, 0);
}

static void on_stop_timer(struct supervisor *s) {
    if (!pid_of(s)) {
        enter(s, IDLE);
        finish(s, NULL);
        return;
    }
    if (now_ms() < s->stop_by) {
        ask_to_stop(s);
        return;
    }
    log_warning(s->options.log, "HAProxy does not stop, gets a signal",
                LOG_INT("signal", s->stop_signal), LOG_INT("pid", pid_of(s)));
    send_signal(s, s->stop_signal);
    s->stop_signal = SIGKILL;
    after(s->timer, TERM_MS);
}

static int64_t backoff(const struct supervisor *s) {
    if (!s->failures)
        return 0;
    unsigned doublings = s->failures - 1 < 10 ? s->failures - 1 : 10;
    int64_t ms = (int64_t)BACKOFF_FIRST_MS << doublings;
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

/* Begins a state. */
static void enter(struct supervisor *s, enum state state) {
    s->state = state;
    switch (state) {
    case IDLE:
    case RUNNING:
        settle(s);
        break;
    case PROBING:
        settle(s);
        s->looks = 0;
        ask_proc(s);
        break;
    case STARTING:
        start(s);
        break;
    case RELOADING:
        reload(s);
        break;
    case BACKOFF:
        settle(s);
        after(s->timer, backoff(s));
        break;
    case STOPPING:
        settle(s);
        stop(s);
        break;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct supervisor *s = arg;
    if (s->state == STARTING || s->state == PROBING)
        ask_proc(s);
    else if (s->state == BACKOFF)
        enter(s, PROBING);
    else if (s->state == STOPPING)
        on_stop_timer(s);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct supervisor *s = arg;
    struct error error;
    if (s->state == PROBING) {
        kill_orphan(s);
        return;
    }
    explain(s, "HAProxy was started, but no worker serves in time: killed", &error);
    fail_start(s, &error);
}

struct supervisor *supervisor_new(const struct supervisor_options *options) {
    struct supervisor *s = mem_zalloc(sizeof *s);
    s->options = *options;
    s->listen = mem_printf("%s,mode,600", options->settings->master_socket);
    s->pidfd = -1;
    s->level = LOG_INFO;
    s->timer = event_new(options->base, -1, 0, on_timer, s);
    s->deadline = event_new(options->base, -1, 0, on_deadline, s);
    return s;
}

void supervisor_free(struct supervisor *s) {
    if (!s)
        return;
    bool leave = s->detached && (s->state == RUNNING || s->state == RELOADING);
    settle(s);
    if (leave)
        child_detach(s->child);
    else if (s->adopted)
        send_signal(s, SIGKILL);
    else
        child_kill(s->child);
    release_adopted(s);
    later_free(&s->later);
    event_free(s->timer);
    event_free(s->deadline);
    buffer_free(&s->alerts);
    free(s->listen);
    free(s);
}

void supervisor_detach(struct supervisor *s) {
    s->detached = true;
}

bool supervisor_reload(struct supervisor *s, haproxy_done *done, void *arg,
                       struct error *error) {
    if (s->asked.done || s->state == STOPPING)
        return error_set(error, config_of(s), "HAProxy is already being %s",
                         s->state == STOPPING ? "stopped" : "started or reloaded");
    s->asked = (struct asked){done, arg};
    if (s->state == IDLE || s->state == BACKOFF)
        enter(s, PROBING);
    else if (s->state == RUNNING)
        enter(s, RELOADING);
    else
        s->again = true;
    return true;
}

bool supervisor_may_follow(const struct supervisor *s) {
    return s->unclear;
}

bool supervisor_stop(struct supervisor *s, haproxy_done *done, void *arg,
                     struct error *error) {
    if (s->state == STOPPING)
        return error_set(error, config_of(s), "HAProxy is already being stopped");
    if (s->asked.done) {
        struct error instead;
        (void)error_set(&instead, config_of(s), "HAProxy is being stopped instead");
        later_call(&s->later, s->options.base, s->asked.done, s->asked.arg, &instead);
    }
    s->asked = (struct asked){done, arg};
    enter(s, STOPPING);
    return true;
}

bool supervisor_running(const struct supervisor *s, pid_t *pid) {
    bool runs = s->state == RUNNING || s->state == RELOADING || s->state == STOPPING;
    if (pid)
        *pid = pid_of(s);
    return runs && pid_of(s);
}
