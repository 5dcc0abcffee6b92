/* The loop of `hatlas run`: waits until what changed is due, renders it and hands it to
 * apply; signals, and the swap of one setup for the next. */
#include "agent/agent.h"
#include "agent/apply.h"
#include "agent/history.h"
#include "agent/notify.h"
#include "agent/overview.h"
#include "agent/ports.h"
#include "agent/reporter.h"
#include "agent/setup.h"
#include "base/clock.h"
#include "base/limit.h"
#include "base/mem.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNALS = 4 };

struct agent {
    const struct settings *settings; /* of the start: outputs and HAProxy never change */
    const struct log *log;
    const struct agent_options *options;
    struct event_base *base;
    struct setup now;
    struct setup next; /* read on SIGHUP, waits for its first catalog; else zeroed */
    struct apply *apply;
    struct reporter *reporter;
    struct notifier *notifier;
    struct history *history;
    struct overview *overview;
    struct ports *ports;
    struct status *status; /* NULL: not shown */
    struct event *timer;
    struct event *flush; /* says what the log held back */
    struct event *signals[SIGNALS];

    bool changed;         /* something changed that is not rendered yet */
    bool insist;          /* try again what was refused */
    int64_t first_change; /* when `changed` became true */
    int64_t last_change;
    const struct catalog *catalog; /* what was rendered last */
    const struct outputs *shown;   /* by the dry run */
    struct error last_error;       /* of rendering, so that it is said once */
    struct error failure;          /* why what is wanted is not in place */
    bool settled;                  /* something was applied */
    bool reread_failed;            /* settings or templates read last were wrong */
    bool stopping;
    bool failed;
    struct error *error;
};

/* The first change after a quiet time is taken at once, a storm as one: when it has been
 * quiet for `coalesce`, or at the latest after `max_wait`. */
static int64_t due(const struct agent *agent, int64_t previous_change) {
    int64_t coalesce = agent->now.settings->apply.coalesce * 1000;
    int64_t latest = agent->first_change + agent->now.settings->apply.max_wait * 1000;
    if (agent->first_change - previous_change >= coalesce &&
        agent->last_change == agent->first_change)
        return agent->first_change;
    int64_t quiet = agent->last_change + coalesce;
    return quiet < latest ? quiet : latest;
}

static void on_change(void *arg) {
    struct agent *agent = arg;
    int64_t previous = agent->last_change;
    agent->last_change = clock_usec();
    if (!agent->changed)
        agent->first_change = agent->last_change;
    agent->changed = true;
    struct timeval after = clock_timeval(due(agent, previous) - agent->last_change);
    (void)event_add(agent->timer, &after);
    overview_note(agent->overview, agent->now.feed);
    status_changed(agent->status);
}

static void stop_loop(struct agent *agent, const struct error *error) {
    agent->failed = error != NULL;
    if (error)
        *agent->error = *error;
    (void)event_base_loopbreak(agent->base);
}

static void render_failed(struct agent *agent, const struct error *error) {
    bool known = !strcmp(agent->last_error.where, error->where) &&
                 !strcmp(agent->last_error.text, error->text);
    agent->last_error = *error;
    agent->failure = *error;
    history_add_unrendered(agent->history, error);
    status_changed(agent->status);
    if (!known)
        log_error(agent->log, "can't render; the old files keep serving",
                  LOG_STR("template", error->where), LOG_STR("error", error->text));
    if (agent->options->once)
        stop_loop(agent, error);
}

static void deliver(struct agent *agent, const struct outputs *outputs) {
    if (agent->options->show) {
        agent->options->show(agent->options->arg, agent->shown, outputs);
        outputs_unref(agent->shown);
        agent->shown = outputs_ref(outputs);
        if (agent->options->once)
            stop_loop(agent, NULL);
    } else {
        apply_want(agent->apply, outputs, agent->insist);
    }
    agent->insist = false;
}

static void take_catalog(struct agent *agent, const struct catalog *catalog) {
    reporter_changes(agent->reporter, agent->catalog, catalog);
    history_registry(agent->history, agent->now.feed, agent->catalog, catalog);
    catalog_unref(agent->catalog);
    agent->catalog = catalog_ref(catalog);
}

/* Whether the config wants ports that another program holds; templates know them then. */
static bool wants_held_ports(struct agent *agent, const struct outputs *outputs) {
    const struct output *wanted = outputs ? outputs_config(outputs) : NULL;
    if (!wanted || !agent->apply)
        return false;
    const struct output *placed = outputs_config(apply_outputs(agent->apply));
    return ports_look(agent->ports, buffer_str(&wanted->text), buffer_str(&placed->text));
}

static const struct outputs *render(struct agent *agent, const struct setup *setup,
                                    const struct catalog *catalog, struct error *error) {
    int64_t started = clock_usec();
    (void)json_object_set(json_object_get(setup->globals, "node"), "taken_ports",
                          ports_taken(agent->ports));
    ports_forget(agent->ports);
    const struct outputs *outputs =
        outputs_render(agent->settings, setup->renderer, catalog, error);
    if (wants_held_ports(agent, outputs)) {
        outputs_unref(outputs);
        outputs = outputs_render(agent->settings, setup->renderer, catalog, error);
    }
    int64_t took = clock_usec() - started;
    if (outputs)
        log_debug(agent->log, "rendered", LOG_USEC("ms", took));
    status_histogram_add(&history_totals(agent->history)->render, took);
    return outputs;
}

static void render_changes(struct agent *agent) {
    struct problems problems = {0};
    struct error error;
    const struct catalog *catalog = feed_catalog(agent->now.feed, &problems);
    if (!catalog) {
        reporter_problems(agent->reporter, &problems);
        return;
    }
    take_catalog(agent, catalog);
    const struct outputs *outputs = render(agent, &agent->now, catalog, &error);
    ports_report(agent->ports, &problems);
    reporter_problems(agent->reporter, &problems);
    if (outputs) {
        agent->last_error = (struct error){0};
        deliver(agent, outputs);
    } else {
        render_failed(agent, &error);
    }
    outputs_unref(outputs);
    catalog_unref(catalog);
}

/* Takes up the setup that was read on SIGHUP, if its sources have answered and its
 * templates render: all of it or nothing. Returns false as long as it has to wait. */
static bool take_next(struct agent *agent) {
    struct problems problems = {0};
    struct error error;
    const struct catalog *catalog = feed_catalog(agent->next.feed, &problems);
    problems_free(&problems);
    if (!catalog)
        return false;
    const struct outputs *outputs = render(agent, &agent->next, catalog, &error);
    if (outputs) {
        struct setup old = agent->now;
        agent->now = agent->next;
        agent->next = (struct setup){0};
        if (agent->apply)
            apply_set_settings(agent->apply, agent->now.settings);
        setup_close(&old);
        agent->reread_failed = false;
        history_note(agent->history, "settings and templates were read again");
        log_notice(agent->log, "settings and templates were read again");
    } else {
        agent->reread_failed = true;
        log_error(agent->log, "the templates can't be used; the old ones stay",
                  LOG_STR("template", error.where), LOG_STR("error", error.text));
        setup_close(&agent->next);
    }
    notifier_ready(agent->notifier);
    outputs_unref(outputs);
    catalog_unref(catalog);
    return true;
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct agent *agent = arg;
    agent->changed = false;
    if (agent->apply)
        apply_expect(agent->apply);
    if (agent->next.feed)
        (void)take_next(agent);
    render_changes(agent);
}

/* One line says all of a change: what changed, how it was applied, how long it took. */
static void on_ended(void *arg, const struct apply_report *report) {
    static const char *const said[] = {
        [APPLY_DONE] = "applied",
        [APPLY_REFUSED] = "HAProxy refuses the new config; the old one keeps serving",
        [APPLY_NOT_WRITTEN] = "can't write the files; the old ones are in place",
        [APPLY_ROLLED_BACK] = "the reload failed; the old files are in place again",
        [APPLY_NOT_LOADED] = "HAProxy does not use the files in place; it is tried again",
    };
    const struct agent *agent = arg;
    const struct status_change *change = history_add(agent->history, report);
    const struct error *error = report->error;
    bool done = report->result == APPLY_DONE;
    char headline[512];
    log_write(agent->log, done ? LOG_NOTICE : LOG_ERROR, said[report->result],
              (struct log_field[]){
                  LOG_STR("where", done ? NULL : error->where),
                  LOG_STR("error", done ? NULL : error->text),
                  LOG_STR("way", status_way_name(change->way)),
                  LOG_STR("reason", change->reason),
                  LOG_INT("steps", change->steps),
                  LOG_STR("what", history_headline(change, headline, sizeof headline)),
                  LOG_STR("who", change->who),
                  LOG_INT("changes", change->count),
                  LOG_USEC("ms", report->usec),
                  {0},
              });
    status_changed(agent->status);
}

static void on_settled(void *arg, const struct error *error) {
    struct agent *agent = arg;
    char status[128];
    if (agent->options->once)
        stop_loop(agent, error);
    (void)snprintf(status, sizeof status, "%zu services, %zu hosts%s%s",
                   agent->catalog->service_count, catalog_host_count(agent->catalog),
                   feed_is_stale(agent->now.feed) ? ", stale" : "",
                   error ? "; the last change failed, see the log" : "");
    notifier_status(agent->notifier, status);
    agent->failure = error ? *error : (struct error){{0}, {0}};
    agent->settled = agent->settled || !error;
    status_changed(agent->status);
    if (!error)
        notifier_ready(agent->notifier);
}

static void on_stopped(void *arg) {
    stop_loop(arg, NULL);
}

/* Who asks is answered each time: no line of it is one too many. */
static void log_state(const struct agent *agent) {
    struct log log = *agent->log;
    log.limit = NULL;
    pid_t pid = 0;
    bool running = agent->apply && apply_haproxy_running(agent->apply, &pid);
    log_notice(&log, "state",
               LOG_INT("services", agent->catalog ? agent->catalog->service_count : 0),
               LOG_INT("hosts", agent->catalog ? catalog_host_count(agent->catalog) : 0),
               LOG_STR("catalog", !agent->catalog                  ? "none"
                                  : feed_is_stale(agent->now.feed) ? "stale"
                                                                   : "in step"),
               LOG_STR("haproxy", running ? "running" : "not known to run"),
               LOG_INT("haproxy_pid", pid));
    struct source *source;
    for (size_t i = 0; (source = feed_source(agent->now.feed, i)); i++) {
        struct source_status status;
        source_status(source, &status);
        log_notice(&log, "source", LOG_STR("source", source_name(source)),
                   LOG_STR("status", status.text), LOG_INT("records", status.records),
                   LOG_INT("watches", status.watches));
    }
}

static struct feed_options feed_options_of(struct agent *agent,
                                           const struct settings *settings) {
    return (struct feed_options){
        .base = agent->base,
        .log = agent->log,
        .settings = settings,
        .served = agent->catalog,
        .read_only = agent->options->show != NULL,
        .changed = on_change,
        .arg = agent,
    };
}

/* A bad file changes nothing; nor does one that this process can't take up. */
static struct settings *reread(struct agent *agent) {
    struct settings *settings = agent->options->reread(agent->options->arg);
    struct buffer keys = BUFFER_INIT;
    if (!settings) {
        log_error(agent->log, "the settings are wrong; the old ones stay");
    } else if (setup_needs_restart(agent->settings, settings, &keys)) {
        log_error(agent->log, "these settings need a restart; all the old ones stay",
                  LOG_STR("keys", buffer_str(&keys)));
        settings_free(settings);
        settings = NULL;
    }
    buffer_free(&keys);
    return settings;
}

static void reload(struct agent *agent) {
    struct error error;
    notifier_reloading(agent->notifier);
    setup_close(&agent->next);
    agent->insist = true;
    struct settings *settings = reread(agent);
    if (settings) {
        struct feed_options options = feed_options_of(agent, settings);
        if (!setup_open(&agent->next, &options, &error))
            log_error(agent->log, "the settings can't be used; the old ones stay",
                      LOG_STR("where", error.where), LOG_STR("error", error.text));
        agent->next.owned = settings;
        if (!agent->next.feed)
            setup_close(&agent->next);
    }
    if (!agent->next.feed) {
        agent->reread_failed = true;
        notifier_ready(agent->notifier);
    }
    on_change(agent);
}

/* Who asks twice does not want to wait for open connections. */
static void stop(struct agent *agent) {
    bool twice = agent->stopping;
    agent->stopping = true;
    notifier_stopping(agent->notifier);
    if (agent->apply && !twice)
        apply_stop(agent->apply);
    else
        stop_loop(agent, NULL);
}

static void on_flush(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    const struct agent *agent = arg;
    log_limit_flush(agent->log->limit, agent->log, clock_usec());
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    (void)what;
    struct agent *agent = arg;
    if (number == SIGUSR1) {
        log_state(agent);
    } else if (number == SIGHUP) {
        log_notice(agent->log, "reading settings and templates again",
                   LOG_STR("signal", "SIGHUP"));
        reload(agent);
    } else {
        log_notice(agent->log, "stopping", LOG_STR("signal", strsignal((int)number)));
        stop(agent);
    }
}

static void watch_signals(struct agent *agent) {
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (int i = 0; i < SIGNALS; i++) {
        agent->signals[i] = evsignal_new(agent->base, numbers[i], on_signal, agent);
        (void)event_add(agent->signals[i], NULL);
    }
}

static bool open_place(struct agent *agent, struct error *error) {
    if (agent->options->show) {
        agent->shown = outputs_load(agent->settings, error);
        return agent->shown;
    }
    struct apply_options options = {
        .base = agent->base,
        .log = agent->log,
        .settings = agent->settings,
        .leave = agent->options->once,
        .ended = on_ended,
        .settled = on_settled,
        .stopped = on_stopped,
        .arg = agent,
    };
    agent->apply = apply_open(&options, error);
    return agent->apply;
}

static void view(void *arg, struct status_view *out) {
    struct agent *agent = arg;
    struct overview_parts parts = {
        .settings = agent->settings,
        .feed = agent->now.feed,
        .apply = agent->apply,
        .history = agent->history,
        .catalog = agent->catalog,
        .problems = reporter_known(agent->reporter),
        .failure = &agent->failure,
        .settled = agent->settled,
        .reread_failed = agent->reread_failed,
    };
    overview_fill(agent->overview, &parts, out);
}

static void show_status(struct agent *agent) {
    struct status_options options = {
        .base = agent->base,
        .log = agent->log,
        .settings = agent->settings,
        .view = view,
        .arg = agent,
    };
    bool stays = !agent->options->once && !agent->options->show;
    if (stays && agent->settings->status_enabled)
        agent->status = status_open(&options);
}

static void flush_log(struct agent *agent) {
    const struct timeval often = {LOG_LIMIT_WINDOW_S / 2, 0};
    agent->flush = event_new(agent->base, -1, EV_PERSIST, on_flush, agent);
    if (agent->log->limit)
        (void)event_add(agent->flush, &often);
}

static bool open_agent(struct agent *agent, struct error *error) {
    struct feed_options options = feed_options_of(agent, agent->settings);
    agent->timer = event_new(agent->base, -1, 0, on_timer, agent);
    agent->history = history_new();
    agent->overview = overview_new();
    agent->ports = ports_new(agent->base, on_change, agent);
    agent->reporter = reporter_new(agent->log);
    agent->notifier = notifier_new(agent->base);
    if (!open_place(agent, error) || !setup_open(&agent->now, &options, error))
        return false;
    watch_signals(agent);
    flush_log(agent);
    show_status(agent);
    return true;
}

static void close_agent(struct agent *agent) {
    status_close(agent->status);
    setup_close(&agent->next);
    setup_close(&agent->now);
    apply_close(agent->apply);
    history_free(agent->history);
    overview_free(agent->overview);
    ports_free(agent->ports);
    reporter_free(agent->reporter);
    notifier_free(agent->notifier);
    catalog_unref(agent->catalog);
    outputs_unref(agent->shown);
    for (int i = 0; i < SIGNALS; i++)
        if (agent->signals[i])
            event_free(agent->signals[i]);
    if (agent->timer)
        event_free(agent->timer);
    if (agent->flush)
        event_free(agent->flush);
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
