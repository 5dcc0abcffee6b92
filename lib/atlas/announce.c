/* The loop of `hatlas announce`.
 *
 *   RUNNING ──signal──► LEAVING ──taken off──► SETTLING ──time──► STOPPING ──► ENDED
 *      └──command ended──► LEAVING, and then no command is left to stop */
#include "atlas/announce.h"
#include "atlas/health.h"
#include "atlas/layout.h"
#include "atlas/registration.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/mem.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { LEAVE_MAX = 5000 }; /* for the registry to answer; the session's end does it too */

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
enum { SIGNALS = sizeof signals / sizeof signals[0] };

struct announce {
    const struct announce_options *options;
    struct event_base *base;
    struct event *signal_events[SIGNALS];
    struct event *next_probe; /* the pause between two probes */
    struct event *timer;      /* of the states after RUNNING */
    struct registration *registration;
    struct probe *probe;
    struct child *child;
    struct health health;
    enum { RUNNING, LEAVING, SETTLING, STOPPING, ENDED } state;
    int exit_code;
    char why[256]; /* the last bad answer */
    char host[300];
};

static void say(const struct announce *announce, enum log_level level,
                const char *message, struct log_field more) {
    const struct log_field fields[] = {
        LOG_STR("service", announce->options->service),
        LOG_STR("host", announce->host),
        more,
        {0},
    };
    log_write(announce->options->log, level, message, fields);
}

static void wait_ms(struct announce *announce, int64_t ms) {
    struct timeval wait = clock_timeval(ms * 1000);
    (void)evtimer_add(announce->timer, &wait);
}

/* --- the end --- */

static void finish(struct announce *announce) {
    announce->state = ENDED;
    (void)event_base_loopbreak(announce->base);
}

static void stop_command(struct announce *announce) {
    announce->state = STOPPING;
    if (!announce->child) {
        finish(announce);
        return;
    }
    child_signal(announce->child, SIGTERM);
    wait_ms(announce, announce->options->stop_ms);
}

static void settle(struct announce *announce) {
    announce->state = SETTLING;
    if (announce->child)
        wait_ms(announce, announce->options->settle_ms);
    else
        stop_command(announce);
}

static void leave(struct announce *announce) {
    announce->state = LEAVING;
    probe_cancel(announce->probe);
    announce->probe = NULL;
    (void)event_del(announce->next_probe);
    registration_want(announce->registration, false);
    if (!registration_stands(announce->registration))
        settle(announce);
    else
        wait_ms(announce, LEAVE_MAX);
}

static void kill_command(struct announce *announce) {
    say(announce, LOG_WARNING, "the command did not end in time; it is killed",
        (struct log_field){0});
    child_signal(announce->child, SIGKILL);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct announce *announce = arg;
    if (announce->state == LEAVING) {
        say(announce, LOG_WARNING,
            "the registry does not answer; the host is taken off with the session",
            (struct log_field){0});
        settle(announce);
    } else if (announce->state == SETTLING) {
        stop_command(announce);
    } else if (announce->state == STOPPING && announce->child) {
        kill_command(announce);
    }
}

/* A second signal means: now. */
static void on_stop(struct announce *announce) {
    (void)event_del(announce->timer);
    if (announce->state == RUNNING)
        leave(announce);
    else if (announce->state == STOPPING)
        kill_command(announce);
    else if (announce->state != ENDED)
        stop_command(announce);
}

static void on_signal(evutil_socket_t number, short what, void *arg) {
    (void)what;
    struct announce *announce = arg;
    if (number == SIGTERM || number == SIGINT)
        on_stop(announce);
    else if (announce->child)
        child_signal(announce->child, number);
}

static void on_command_end(void *arg, const struct child_end *end) {
    struct announce *announce = arg;
    announce->child = NULL;
    announce->exit_code =
        WIFEXITED(end->status) ? WEXITSTATUS(end->status) : 128 + WTERMSIG(end->status);
    say(announce, announce->state == RUNNING ? LOG_WARNING : LOG_INFO,
        "the command ended", LOG_STR("end", end->reason));
    if (announce->state == RUNNING) {
        leave(announce);
    } else if (announce->state != LEAVING) {
        (void)event_del(announce->timer);
        finish(announce);
    }
}

/* --- health --- */

static void on_registration(void *arg) {
    struct announce *announce = arg;
    bool stands = registration_stands(announce->registration);
    say(announce, LOG_NOTICE, stands ? "announced" : "no longer announced",
        (struct log_field){0});
    if (announce->state == LEAVING && !stands) {
        (void)event_del(announce->timer);
        settle(announce);
    }
}

static void probe_later(struct announce *announce) {
    struct timeval wait = clock_timeval(announce->options->interval_ms * 1000);
    (void)evtimer_add(announce->next_probe, &wait);
}

static void tell_verdict(struct announce *announce, int64_t now) {
    bool up = announce->health.up;
    int64_t hold = health_hold(&announce->health, now);
    say(announce, up ? LOG_NOTICE : LOG_WARNING,
        up ? "the check passes" : "the check fails",
        up ? (struct log_field){0} : LOG_STR("why", announce->why));
    if (!up && announce->health.falls > 1)
        say(announce, LOG_WARNING, "it comes and goes; it is held back",
            LOG_INT("milliseconds", hold));
}

static void on_probe(void *arg, bool good, const char *why) {
    struct announce *announce = arg;
    int64_t now = clock_usec() / 1000;
    announce->probe = NULL;
    (void)snprintf(announce->why, sizeof announce->why, "%s", why);
    if (health_note(&announce->health, good, now)) {
        tell_verdict(announce, now);
        registration_want(announce->registration, announce->health.up);
    }
    probe_later(announce);
}

static void on_next_probe(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct announce *announce = arg;
    announce->probe =
        probe_start(announce->base, announce->options->check, on_probe, announce);
}

/* --- the beginning --- */

static bool start_command(struct announce *announce, struct error *error) {
    struct child_options options = {.argv = announce->options->command,
                                    .output = CHILD_INHERIT,
                                    .own_group = true,
                                    .ended = on_command_end,
                                    .arg = announce};
    if (!options.argv)
        return true;
    announce->child = child_launch(announce->base, &options, error);
    return announce->child;
}

static void start_health(struct announce *announce) {
    if (announce->options->check)
        on_next_probe(-1, 0, announce);
    else
        registration_want(announce->registration, true);
}

static void open_registration(struct announce *announce) {
    const struct announce_options *options = announce->options;
    struct atlas_layout layout;
    (void)snprintf(
        announce->host, sizeof announce->host, "%s:%lld",
        json_string_value(json_object_get(options->record, "host")),
        (long long)json_integer_value(json_object_get(options->record, "port")));
    atlas_layout_init(&layout, options->source);
    char *path = atlas_host_path(&layout, options->service, announce->host);
    announce->registration =
        registration_open(announce->base, options->log, options->source, path,
                          options->record, on_registration, announce);
    free(path);
    atlas_layout_free(&layout);
}

static void begin(struct announce *announce) {
    announce->base = event_base_new();
    announce->timer = evtimer_new(announce->base, on_timer, announce);
    announce->next_probe = evtimer_new(announce->base, on_next_probe, announce);
    for (int i = 0; i < SIGNALS; i++) {
        announce->signal_events[i] =
            evsignal_new(announce->base, signals[i], on_signal, announce);
        (void)event_add(announce->signal_events[i], NULL);
    }
    open_registration(announce);
}

static void end(struct announce *announce) {
    probe_cancel(announce->probe);
    child_kill(announce->child);
    registration_close(announce->registration);
    for (int i = 0; i < SIGNALS; i++)
        event_free(announce->signal_events[i]);
    event_free(announce->next_probe);
    event_free(announce->timer);
    event_base_free(announce->base);
}

int announce_run(const struct announce_options *options, struct error *error) {
    struct announce announce = {
        .options = options,
        .health = {.rise = options->rise,
                   .fall = options->fall,
                   .interval_ms = options->interval_ms},
    };
    int code = -1;
    begin(&announce);
    if (start_command(&announce, error)) {
        start_health(&announce);
        (void)event_base_dispatch(announce.base);
        code = announce.exit_code;
    }
    end(&announce);
    return code;
}
