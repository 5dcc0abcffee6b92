/* The client that others see: probes, executes one plan at a time, and lets the background
 * work in between. */
#include "haproxy/runtime.h"
#include "base/mem.h"
#include "haproxy/answer.h"
#include "haproxy/background.h"
#include "haproxy/execute.h"
#include "haproxy/later.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct runtime {
    struct event_base *base;
    const struct log *log;
    const struct haproxy_settings *settings;
    pid_t pid; /* of the probed process; 0: none since the last reset */
    size_t next_id;
    struct background *background;
    struct later *later;
    struct execution *execution;
    haproxy_done *done;
    void *done_arg;
    struct greeting *probe; /* a probe is under way */
    struct greeting *early; /* for what will be executed; NULL: none was prepared */
    struct event *early_timer;
    struct runtime_facts facts;
    runtime_probed *probed;
    void *probed_arg;
};

/* Servers that an earlier hatlas added have other numbers than those that we shall add. */
static size_t first_id(void) {
    return 1000000 + (size_t)(time(NULL) % 1000000) * 1000;
}

static void drop_early(struct runtime *runtime) {
    greeting_close(runtime->early);
    runtime->early = NULL;
}

static void on_early_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    drop_early(arg);
}

struct runtime *runtime_new(struct event_base *base, const struct log *log,
                            const struct haproxy_settings *settings) {
    struct runtime *runtime = mem_zalloc(sizeof *runtime);
    runtime->base = base;
    runtime->log = log;
    runtime->settings = settings;
    runtime->next_id = first_id();
    runtime->background = background_new(base, log, settings);
    runtime->early_timer = event_new(base, -1, 0, on_early_timer, runtime);
    return runtime;
}

void runtime_free(struct runtime *runtime) {
    if (!runtime)
        return;
    execution_cancel(runtime->execution);
    greeting_close(runtime->probe);
    drop_early(runtime);
    event_free(runtime->early_timer);
    background_free(runtime->background);
    later_free(&runtime->later);
    free(runtime);
}

/* ---- probe ---- */

static void finish_probe(struct runtime *runtime, const struct error *error) {
    struct runtime_facts facts = runtime->facts;
    runtime_probed *probed = runtime->probed;
    greeting_close(runtime->probe);
    runtime->probe = NULL;
    if (!error && facts.pid != runtime->pid) {
        background_forget(runtime->background);
        runtime->pid = facts.pid;
    }
    probed(runtime->probed_arg, error ? NULL : &facts, error);
}

static void ask(struct runtime *runtime, const char *question, cli_answered *answered) {
    cli_ask(greeting_cli(runtime->probe), question, answered, runtime);
}

static void on_map_help(void *arg, const char *answer, const struct error *error) {
    struct runtime *runtime = arg;
    runtime->facts.abilities.map_versions =
        answer && answer_offers(answer, "prepare map");
    finish_probe(runtime, error);
}

static void on_server_help(void *arg, const char *answer, const struct error *error) {
    struct runtime *runtime = arg;
    if (error) {
        finish_probe(runtime, error);
        return;
    }
    runtime->facts.abilities.dynamic_servers = answer_offers(answer, "add server");
    ask(runtime, "help prepare map", on_map_help);
}

static void on_level(void *arg, const char *answer, const struct error *error) {
    struct runtime *runtime = arg;
    if (error) {
        finish_probe(runtime, error);
    } else if (strcmp(answer, "admin") != 0) {
        log_warning(runtime->log,
                    "the stats socket has not the level admin, every change is a reload",
                    LOG_STR("socket", runtime->settings->socket),
                    LOG_STR("level", answer));
        finish_probe(runtime, NULL);
    } else {
        ask(runtime, "help add server", on_server_help);
    }
}

static void on_greeted(void *arg, pid_t pid, const struct error *error) {
    struct runtime *runtime = arg;
    if (error) {
        finish_probe(runtime, error);
        return;
    }
    runtime->facts.pid = pid;
    (void)snprintf(runtime->facts.version, sizeof runtime->facts.version, "%s",
                   greeting_version(runtime->probe));
    ask(runtime, "show cli level", on_level);
}

void runtime_probe(struct runtime *runtime, runtime_probed *probed, void *arg) {
    greeting_close(runtime->probe);
    runtime->facts = (struct runtime_facts){0};
    runtime->probed = probed;
    runtime->probed_arg = arg;
    runtime->probe = greeting_start(runtime->base, runtime->settings->socket);
    greeting_await(runtime->probe, on_greeted, runtime);
}

/* ---- execute ---- */

void runtime_prepare(struct runtime *runtime) {
    const struct timeval enough = {1, 0};
    if (!runtime->pid || runtime->execution || runtime->early)
        return;
    runtime->early = greeting_start(runtime->base, runtime->settings->socket);
    (void)event_add(runtime->early_timer, &enough);
}

static void on_ended(void *arg, const struct execution_end *end) {
    struct runtime *runtime = arg;
    haproxy_done *done = runtime->done;
    runtime->execution = NULL;
    runtime->next_id = end->next_id;
    if (end->error && end->touched) {
        background_forget(runtime->background);
        runtime->pid = 0;
    } else {
        background_resume(runtime->background, runtime->pid);
    }
    done(runtime->done_arg, end->error);
}

static bool may_execute(const struct runtime *runtime, const struct plan *plan,
                        struct error *error) {
    const char *where = runtime->settings->socket;
    if (runtime->execution)
        return error_set(error, where, "another plan is being executed");
    if (!runtime->pid)
        return error_set(error, where, "HAProxy was not asked what it is able to do");
    if (plan->kind == PLAN_RELOAD)
        return error_set(error, where, "the plan can't be executed without a reload");
    return true;
}

void runtime_execute_start(struct runtime *runtime, const struct plan *plan,
                           const char *config, haproxy_done *done, void *arg) {
    struct error error;
    if (!may_execute(runtime, plan, &error)) {
        later_call(&runtime->later, runtime->base, done, arg, &error);
        return;
    }
    struct execution_options options = {.base = runtime->base,
                                        .log = runtime->log,
                                        .socket = runtime->settings->socket,
                                        .background = runtime->background,
                                        .pid = runtime->pid,
                                        .next_id = runtime->next_id,
                                        .greeting = runtime->early};
    runtime->early = NULL;
    background_pause(runtime->background);
    runtime->done = done;
    runtime->done_arg = arg;
    runtime->execution = execution_start(&options, plan, config, on_ended, runtime);
}

void runtime_reset(struct runtime *runtime) {
    if (runtime->execution) {
        struct error error;
        (void)error_set(&error, runtime->settings->socket,
                        "HAProxy was reloaded while the plan was executed");
        later_call(&runtime->later, runtime->base, runtime->done, runtime->done_arg,
                   &error);
        execution_cancel(runtime->execution);
        runtime->execution = NULL;
    }
    background_forget(runtime->background);
    drop_early(runtime);
    runtime->pid = 0;
}

void runtime_pending(const struct runtime *runtime, size_t *warming, size_t *leaving) {
    background_count(runtime->background, warming, leaving);
}
