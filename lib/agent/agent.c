/* The loop of `hatlas run`.
 *
 *   WAITING ──due──► rendered ──the same──► WAITING
 *      ▲                 │ differs
 *      └──────done── APPLYING
 *
 * A change while APPLYING is remembered and taken up when that is done. */
#include "agent/agent.h"
#include "agent/apply.h"
#include "agent/inputs.h"
#include "agent/reporter.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIGNALS = 4 };
enum { RETRY_MIN = 1000000, RETRY_MAX = 60000000 };

struct agent {
    const struct settings *settings;
    const struct log *log;
    const struct agent_options *options;
    struct event_base *base;
    struct inputs *inputs;
    struct renderer *renderer;
    json_t *globals;
    struct haproxy *haproxy;
    struct apply *apply;
    struct reporter *reporter;
    struct event *timer;
    struct event *signals[SIGNALS];
    int *locks;
    size_t lock_count;

    enum { WAITING, APPLYING, STOPPING } state;
    bool changed;         /* something changed that is not rendered yet */
    int64_t first_change; /* when `changed` became true */
    int64_t last_change;
    int64_t last_reload;    /* end of the last one */
    int64_t retry_after;    /* back-off after what may get better by itself; 0: none */
    bool reload_owed;       /* HAProxy may not use what the disk holds */
    struct outputs place;   /* what the disk holds */
    struct outputs next;    /* what is being applied */
    struct outputs refused; /* not to be tried again */
    const struct catalog *catalog; /* what `next`, then `place` was rendered from */
    int64_t started;               /* of the apply under way */
    struct error last_error;       /* of rendering, so that it is said once */
    bool failed;
    struct error *error;
};

static void set_timer(struct agent *agent, int64_t at) {
    struct timeval after = clock_timeval(at - clock_usec());
    (void)event_add(agent->timer, &after);
}

/* The first change after a quiet time is taken at once, a storm as one: when it has been
 * quiet for `coalesce`, or at the latest after `max_wait`. */
static int64_t due(const struct agent *agent, int64_t previous_change) {
    int64_t coalesce = agent->settings->apply.coalesce * 1000;
    int64_t latest = agent->first_change + agent->settings->apply.max_wait * 1000;
    if (agent->first_change - previous_change >= coalesce &&
        agent->last_change == agent->first_change)
        return agent->first_change;
    int64_t quiet = agent->last_change + coalesce;
    return quiet < latest ? quiet : latest;
}

static void on_inputs(void *arg) {
    struct agent *agent = arg;
    int64_t previous = agent->last_change;
    agent->last_change = clock_usec();
    if (!agent->changed)
        agent->first_change = agent->last_change;
    agent->changed = true;
    if (agent->state == WAITING)
        set_timer(agent, due(agent, previous));
}

static void stop_loop(struct agent *agent, const struct error *error) {
    agent->failed = error != NULL;
    if (error && agent->error)
        *agent->error = *error;
    (void)event_base_loopbreak(agent->base);
}

/* Tries again later what failed for reasons outside the registry. */
static void retry(struct agent *agent) {
    agent->retry_after = agent->retry_after ? agent->retry_after * 2 : RETRY_MIN;
    if (agent->retry_after > RETRY_MAX)
        agent->retry_after = RETRY_MAX;
    agent->changed = true;
    agent->first_change = clock_usec();
    set_timer(agent, agent->first_change + agent->retry_after);
}

static void take_place(struct agent *agent) {
    outputs_free(&agent->place);
    agent->place = agent->next;
    agent->next = (struct outputs){0};
}

static void refuse(struct agent *agent) {
    outputs_free(&agent->refused);
    agent->refused = agent->next;
    agent->next = (struct outputs){0};
}

static void log_result(struct agent *agent, enum apply_result result,
                       const struct error *error) {
    static const char *const kept[] = {
        [APPLY_REFUSED] = "HAProxy refuses the new config; the old one keeps serving",
        [APPLY_NOT_WRITTEN] = "can't write the files; the old ones are in place",
        [APPLY_ROLLED_BACK] = "the reload failed; the old files are in place again",
        [APPLY_NOT_LOADED] = "HAProxy is out of reach; the new files are in place for it",
    };
    int64_t took = clock_usec() - agent->started;
    if (result == APPLY_DONE)
        log_notice(agent->log, "applied", LOG_USEC("ms", took));
    else
        log_error(agent->log, kept[result], LOG_STR("where", error->where),
                  LOG_STR("error", error->text), LOG_USEC("ms", took));
}

static void on_applied(void *arg, enum apply_result result, const struct error *error) {
    struct agent *agent = arg;
    log_result(agent, result, error);
    agent->state = WAITING;
    agent->last_reload = clock_usec();
    if (result == APPLY_DONE || result == APPLY_NOT_LOADED)
        agent->reload_owed = result == APPLY_NOT_LOADED;
    if (result == APPLY_DONE || result == APPLY_NOT_LOADED)
        take_place(agent);
    else if (result == APPLY_NOT_WRITTEN)
        outputs_free(&agent->next);
    else
        refuse(agent);
    if (agent->options->once) {
        stop_loop(agent, error);
        return;
    }
    if (result == APPLY_NOT_WRITTEN || result == APPLY_NOT_LOADED)
        retry(agent);
    else
        agent->retry_after = 0;
    if (agent->changed && !agent->retry_after)
        set_timer(agent, due(agent, 0));
}

static void render_failed(struct agent *agent, const struct error *error) {
    bool known = !strcmp(agent->last_error.where, error->where) &&
                 !strcmp(agent->last_error.text, error->text);
    agent->last_error = *error;
    if (!known)
        log_error(agent->log, "can't render; the old files keep serving",
                  LOG_STR("template", error->where), LOG_STR("error", error->text));
    if (agent->options->once)
        stop_loop(agent, error);
}

static void show(struct agent *agent) {
    agent->options->show(agent->options->arg, &agent->place, &agent->next);
    take_place(agent);
    if (agent->options->once)
        stop_loop(agent, NULL);
}

/* Whether what was rendered has to be applied now. */
static bool wanted(struct agent *agent) {
    if (outputs_equal(&agent->next, &agent->refused))
        return false;
    if (outputs_equal(&agent->next, &agent->place) && !agent->reload_owed) {
        if (agent->options->once)
            stop_loop(agent, NULL);
        return false;
    }
    return true;
}

/* Reloads keep their distance: returns when this one may be, 0 for now. */
static int64_t too_early(const struct agent *agent) {
    int64_t earliest =
        agent->last_reload + agent->settings->apply.min_reload_interval * 1000;
    if (!agent->last_reload || clock_usec() >= earliest || agent->options->show ||
        !outputs_touch_haproxy(&agent->place, &agent->next))
        return 0;
    return earliest;
}

static void apply_next(struct agent *agent) {
    int64_t earliest = too_early(agent);
    if (!wanted(agent)) {
        outputs_free(&agent->next);
    } else if (agent->options->show) {
        show(agent);
    } else if (earliest) {
        agent->changed = true;
        outputs_free(&agent->next);
        set_timer(agent, earliest);
    } else {
        agent->state = APPLYING;
        apply_start(agent->apply, &agent->next, &agent->place, agent->reload_owed,
                    on_applied, agent);
    }
}

static void render_changes(struct agent *agent) {
    struct problems problems = {0};
    struct error error;
    const struct catalog *catalog = inputs_catalog(agent->inputs, &problems);
    reporter_problems(agent->reporter, &problems);
    if (!catalog)
        return;
    reporter_changes(agent->reporter, agent->catalog, catalog);
    catalog_unref(agent->catalog);
    agent->catalog = catalog;
    agent->started = clock_usec();
    if (!outputs_render(&agent->next, agent->settings, agent->renderer, catalog,
                        &error)) {
        render_failed(agent, &error);
        return;
    }
    agent->last_error = (struct error){0};
    log_debug(agent->log, "rendered", LOG_USEC("ms", clock_usec() - agent->started));
    apply_next(agent);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct agent *agent = arg;
    if (agent->state != WAITING || !agent->changed)
        return;
    agent->changed = false;
    render_changes(agent);
}

static void on_stopped(void *arg, const struct error *error) {
    struct agent *agent = arg;
    if (error)
        log_error(agent->log, "HAProxy did not stop", LOG_STR("error", error->text));
    else if (agent->settings->haproxy.control == CONTROL_SUPERVISE)
        apply_settle(agent->apply);
    stop_loop(agent, NULL);
}

static void stop(struct agent *agent) {
    if (agent->state == STOPPING || !agent->haproxy || agent->options->show) {
        stop_loop(agent, NULL);
        return;
    }
    agent->state = STOPPING;
    apply_abandon(agent->apply);
    haproxy_stop_start(agent->haproxy, on_stopped, agent);
}

static void log_state(struct agent *agent) {
    pid_t pid = 0;
    bool running = agent->haproxy && haproxy_running(agent->haproxy, &pid);
    log_notice(agent->log, "state",
               LOG_INT("services", agent->catalog ? agent->catalog->service_count : 0),
               LOG_INT("hosts", agent->catalog ? catalog_host_count(agent->catalog) : 0),
               LOG_STR("haproxy", running ? "running" : "not known to run"),
               LOG_INT("haproxy_pid", pid));
    struct source *source;
    for (size_t i = 0; (source = inputs_source(agent->inputs, i)); i++) {
        struct source_status status;
        source_status(source, &status);
        log_notice(agent->log, "source", LOG_STR("source", source_name(source)),
                   LOG_STR("status", status.text), LOG_INT("records", status.records),
                   LOG_INT("watches", status.watches));
    }
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    (void)what;
    struct agent *agent = arg;
    if (number == SIGUSR1) {
        log_state(agent);
    } else if (number == SIGHUP) {
        log_notice(agent->log, "rendering again", LOG_STR("signal", "SIGHUP"));
        outputs_free(&agent->refused);
        on_inputs(agent);
    } else {
        log_notice(agent->log, "stopping", LOG_STR("signal", strsignal((int)number)));
        stop(agent);
    }
}

static void on_haproxy_down(void *arg, const char *reason) {
    const struct agent *agent = arg;
    log_error(agent->log, "HAProxy is down", LOG_STR("reason", reason));
}

static void on_haproxy_up(void *arg) {
    const struct agent *agent = arg;
    pid_t pid = 0;
    (void)haproxy_running(agent->haproxy, &pid);
    log_notice(agent->log, "HAProxy runs", LOG_INT("pid", pid));
}

/* A start with the files of the last run must not wait for a registry. */
static void on_first_start(void *arg, const struct error *error) {
    struct agent *agent = arg;
    if (error)
        log_error(agent->log, "HAProxy does not start with the config in place",
                  LOG_STR("where", error->where), LOG_STR("error", error->text));
    agent->reload_owed = error != NULL;
    if (agent->state != APPLYING)
        return;
    agent->state = WAITING;
    if (agent->changed)
        set_timer(agent, 0);
}

static void start_haproxy(struct agent *agent) {
    const struct output *config = outputs_config(&agent->place);
    agent->reload_owed = apply_was_interrupted(agent->settings);
    if (!agent->haproxy || agent->settings->haproxy.control != CONTROL_SUPERVISE)
        return;
    if (!config->exists) {
        agent->reload_owed = true;
        return;
    }
    agent->state = APPLYING;
    haproxy_reload_start(agent->haproxy, on_first_start, agent);
}

static bool lock_outputs(struct agent *agent, struct error *error) {
    const struct settings *settings = agent->settings;
    agent->locks = mem_zalloc(settings->output_count * sizeof *agent->locks);
    for (size_t i = 0; i < settings->output_count; i++) {
        char *dir = file_dir(settings->outputs[i].path);
        char *path = mem_printf("%s.lock", settings->outputs[i].path);
        int lock = file_make_dirs(dir, 0755, error) ? file_lock(path, error) : -1;
        free(path);
        free(dir);
        if (lock < 0)
            return false;
        agent->locks[agent->lock_count++] = lock;
    }
    return true;
}

static void watch_signals(struct agent *agent) {
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (int i = 0; i < SIGNALS; i++) {
        agent->signals[i] = evsignal_new(agent->base, numbers[i], on_signal, agent);
        (void)event_add(agent->signals[i], NULL);
    }
}

struct renderer *agent_renderer(const struct settings *settings, const char *order_seed,
                                json_t **globals) {
    json_t *services = json_object_get(settings->tree, "services");
    *globals = settings_globals(settings);
    struct render_options options = {
        .dirs = (const char *const *)settings->template_dirs,
        .globals = *globals,
        .defaults = json_object_get(services, "defaults"),
        .overrides = json_object_get(services, "overrides"),
        .order_seed = order_seed,
    };
    return renderer_new(&options);
}

static bool open_agent(struct agent *agent, struct error *error) {
    const struct settings *settings = agent->settings;
    const struct output_settings *config = settings_haproxy_output(settings);
    if (!agent->options->show && !lock_outputs(agent, error))
        return false;
    if (!outputs_load(&agent->place, settings, error))
        return false;
    agent->timer = event_new(agent->base, -1, 0, on_timer, agent);
    agent->reporter = reporter_new(agent->log);
    agent->renderer = agent_renderer(settings, settings->node_name, &agent->globals);
    if (config && !agent->options->show) {
        struct haproxy_events events = {on_haproxy_down, on_haproxy_up, agent};
        agent->haproxy = haproxy_new(agent->base, agent->log, &settings->haproxy,
                                     config->path, &events);
    }
    agent->apply = apply_new(agent->base, agent->log, settings, agent->haproxy);
    agent->inputs =
        inputs_open(agent->base, agent->log, settings, on_inputs, agent, error);
    if (!agent->inputs)
        return false;
    watch_signals(agent);
    start_haproxy(agent);
    return true;
}

static void close_agent(struct agent *agent) {
    inputs_close(agent->inputs);
    apply_free(agent->apply);
    if (agent->haproxy)
        haproxy_free(agent->haproxy);
    renderer_free(agent->renderer);
    json_decref(agent->globals);
    reporter_free(agent->reporter);
    catalog_unref(agent->catalog);
    outputs_free(&agent->place);
    outputs_free(&agent->next);
    outputs_free(&agent->refused);
    for (int i = 0; i < SIGNALS; i++)
        if (agent->signals[i])
            event_free(agent->signals[i]);
    if (agent->timer)
        event_free(agent->timer);
    while (agent->lock_count)
        (void)close(agent->locks[--agent->lock_count]);
    free(agent->locks);
    if (agent->base)
        event_base_free(agent->base);
}

bool agent_run(const struct settings *settings, const struct log *log,
               const struct agent_options *options, struct error *error) {
    struct agent agent = {
        .settings = settings,
        .log = log,
        .options = options,
        .base = event_base_new(),
        .error = error,
    };
    bool done = false;
    if (!agent.base) {
        (void)error_set(error, "", "can't make an event loop");
    } else if (open_agent(&agent, error)) {
        log_notice(log, "hatlas runs", LOG_STR("version", HATLAS_VERSION),
                   LOG_STR("config", settings->file), LOG_STR("realm", settings->realm));
        (void)event_base_dispatch(agent.base);
        done = !agent.failed;
    }
    close_agent(&agent);
    return done;
}
