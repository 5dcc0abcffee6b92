/* The controller that others see: hands each request to the supervisor, or to a reload of
 * an HAProxy that something else runs. */
#include "haproxy/haproxy.h"
#include "base/mem.h"
#include "haproxy/check.h"
#include "haproxy/later.h"
#include "haproxy/reload.h"
#include "haproxy/supervise.h"

#include <stdlib.h>

struct haproxy {
    struct supervisor_options options;
    char *config;
    struct supervisor *supervisor; /* NULL in the other modes */
    struct later *later;
    struct check *check;
    haproxy_done *check_done;
    void *check_arg;
    struct reload *reload; /* in the other modes */
    haproxy_done *reload_done;
    void *reload_arg;
    const char *command[4]; /* systemd: what reloads the unit */
    bool running, known;    /* in the other modes: as the last reload showed */
    bool unclear;           /* in the other modes: so was the end of the last reload */
    pid_t pid;
};

struct haproxy *haproxy_new(struct event_base *base, const struct log *log,
                            const struct haproxy_settings *settings, const char *config,
                            const struct haproxy_events *events) {
    struct haproxy *haproxy = mem_zalloc(sizeof *haproxy);
    haproxy->config = mem_strdup(config);
    haproxy->options = (struct supervisor_options){
        .base = base, .log = log, .settings = settings, .config = haproxy->config};
    if (events)
        haproxy->options.events = *events;
    haproxy->command[0] = "systemctl";
    haproxy->command[1] = "reload";
    haproxy->command[2] = settings->unit;
    if (settings->control == CONTROL_SUPERVISE)
        haproxy->supervisor = supervisor_new(&haproxy->options);
    return haproxy;
}

void haproxy_free(struct haproxy *haproxy) {
    if (!haproxy)
        return;
    supervisor_free(haproxy->supervisor);
    check_cancel(haproxy->check);
    reload_cancel(haproxy->reload);
    later_free(&haproxy->later);
    free(haproxy->config);
    free(haproxy);
}

void haproxy_detach(struct haproxy *haproxy) {
    if (haproxy->supervisor)
        supervisor_detach(haproxy->supervisor);
}

static void answer_later(struct haproxy *haproxy, haproxy_done *done, void *arg,
                         const struct error *error) {
    later_call(&haproxy->later, haproxy->options.base, done, arg, error);
}

static void on_checked(void *arg, const struct error *error) {
    struct haproxy *haproxy = arg;
    haproxy->check = NULL;
    haproxy->check_done(haproxy->check_arg, error);
}

void haproxy_check_start(struct haproxy *haproxy, const char *path, haproxy_done *done,
                         void *arg) {
    struct error error;
    if (haproxy->check) {
        (void)error_set(&error, path, "another check is under way");
        answer_later(haproxy, done, arg, &error);
        return;
    }
    haproxy->check = check_start(haproxy->options.base, haproxy->options.settings->binary,
                                 path, on_checked, haproxy, &error);
    haproxy->check_done = done;
    haproxy->check_arg = arg;
    if (!haproxy->check)
        answer_later(haproxy, done, arg, &error);
}

void haproxy_check_cancel(struct haproxy *haproxy) {
    check_cancel(haproxy->check);
    haproxy->check = NULL;
}

/* Tells what changed since the last reload. One that was refused shows that HAProxy runs,
 * but not with the file in place. */
static void note_running(struct haproxy *haproxy, bool running, pid_t pid,
                         const struct error *error) {
    const struct haproxy_events *events = &haproxy->options.events;
    bool was_running = haproxy->running;
    bool was_known = haproxy->known;
    haproxy->running = running;
    haproxy->known = true;
    haproxy->pid = pid;
    if (was_running && !running && events->down)
        events->down(events->arg, error->text);
    else if (was_known && !was_running && running && !error && events->up)
        events->up(events->arg);
}

/* A refusal on the socket of an HAProxy that is not ours comes without its message. */
static void add_hint(const struct reload_end *end, struct error *error) {
    if (end->outcome == RELOAD_REFUSED && !end->explained)
        (void)error_set(error, end->error->where,
                        "%s, the old worker serves on; its message is where that HAProxy "
                        "logs (standard error, or journalctl of its unit)",
                        end->error->text);
}

static void on_reloaded(void *arg, const struct reload_end *end) {
    struct haproxy *haproxy = arg;
    haproxy_done *done = haproxy->reload_done;
    void *done_arg = haproxy->reload_arg;
    bool reached = end->outcome == RELOAD_DONE || end->state.worker;
    struct error error;
    haproxy->reload = NULL;
    haproxy->unclear = end->outcome == RELOAD_UNCLEAR;
    if (end->error)
        error = *end->error;
    if (end->error)
        add_hint(end, &error);
    if (end->outcome == RELOAD_UNREACHABLE)
        note_running(haproxy, false, 0, &error);
    else if (reached)
        note_running(haproxy, true, end->state.master, end->error ? &error : NULL);
    done(done_arg, end->error ? &error : NULL);
}

static const char *const *command_of(const struct haproxy *haproxy) {
    switch (haproxy->options.settings->control) {
    case CONTROL_SYSTEMD:
        return haproxy->command;
    case CONTROL_COMMAND:
        return (const char *const *)haproxy->options.settings->command;
    case CONTROL_SUPERVISE:
    case CONTROL_MASTER_SOCKET:
        break;
    }
    return NULL;
}

static bool begin_reload(struct haproxy *haproxy, haproxy_done *done, void *arg,
                         struct error *error) {
    const struct haproxy_settings *settings = haproxy->options.settings;
    if (haproxy->supervisor)
        return supervisor_reload(haproxy->supervisor, done, arg, error);
    if (haproxy->reload)
        return error_set(error, haproxy->config, "HAProxy is already being reloaded");
    struct reload_options options = {.base = haproxy->options.base,
                                     .socket = settings->master_socket,
                                     .argv = command_of(haproxy),
                                     .timeout_ms = settings->reload_timeout};
    haproxy->reload_done = done;
    haproxy->reload_arg = arg;
    haproxy->reload = reload_start(&options, on_reloaded, haproxy);
    return true;
}

void haproxy_reload_start(struct haproxy *haproxy, haproxy_done *done, void *arg) {
    struct error error;
    if (!begin_reload(haproxy, done, arg, &error))
        answer_later(haproxy, done, arg, &error);
}

bool haproxy_may_follow(const struct haproxy *haproxy) {
    return haproxy->supervisor ? supervisor_may_follow(haproxy->supervisor)
                               : haproxy->unclear;
}

void haproxy_stop_start(struct haproxy *haproxy, haproxy_done *done, void *arg) {
    struct error error;
    if (!haproxy->supervisor)
        answer_later(haproxy, done, arg, NULL);
    else if (!supervisor_stop(haproxy->supervisor, done, arg, &error))
        answer_later(haproxy, done, arg, &error);
}

bool haproxy_running(const struct haproxy *haproxy, pid_t *pid) {
    if (haproxy->supervisor)
        return supervisor_running(haproxy->supervisor, pid);
    if (pid)
        *pid = haproxy->pid;
    return haproxy->running;
}
