/* Brings the disk and HAProxy to the outputs that are wanted.
 *
 *   RESTING ──plan: commands──► COMMANDING ──done──► RESTING ──quiet──► CHECKING
 *      │                            └─failed: reload       accepted, written, CONFIRMING
 *      ├──plan: reload──► CHECKING ──accepted, written──► LOADING ──done──► RESTING
 *      │                     └─refused: RESTING              └─failed: files put back
 *      └──what can this HAProxy do?──► PROBING ──► RESTING
 *
 * Commands come before the check of the file, since HAProxy itself checks every one of
 * them and they are what people wait for; the file follows when it has become quiet. */
#include "agent/apply.h"
#include "agent/place.h"
#include "base/clock.h"
#include "base/mem.h"
#include "haproxy/leftover.h"
#include "haproxy/runtime.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MIN = 1000000,
    RETRY_MAX = 60000000,
    FILE_QUIET = 200000,   /* the file follows commands after so long a quiet time, */
    FILE_LATEST = 10000000 /* or after this at the latest */
};

struct apply {
    struct apply_options options;
    struct place *place;
    struct haproxy *haproxy; /* NULL where no output is HAProxy's config */
    struct runtime *runtime;
    struct leftover *leftover;
    struct event *timer;

    enum state {
        RESTING,
        STARTING,
        PROBING,
        COMMANDING,
        CHECKING,
        LOADING,
        CONFIRMING,
        STOPPING
    } state;
    const struct outputs *wanted;
    const struct outputs *running; /* what HAProxy uses; NULL: not known */
    const struct outputs *target;  /* of the step under way */
    const struct outputs *before;  /* LOADING: what the disk held */
    const struct outputs *refused; /* not to be tried again */
    struct plan *plan;             /* from `running` to `target` */
    bool file_only;                /* CHECKING: HAProxy uses the target already */
    bool probed;
    bool reachable; /* as of the last probe; true before the first */
    struct plan_abilities abilities;
    pid_t process; /* of HAProxy, as of the last probe: who gets the commands */

    struct error error;    /* of the last failure, for `settled` */
    int64_t wanted_at;     /* when `wanted` came */
    int64_t reload_wanted; /* when a reload was first called for; 0: none is */
    int64_t last_reload;
    int64_t last_command, first_command; /* not in the file yet; 0: none */
    bool torn; /* a write failed: who read the files meanwhile may have some of each */
    int64_t retry_after, retry_at;
};

static void step(struct apply *apply);

static void replace(const struct outputs **slot, const struct outputs *with) {
    const struct outputs *old = *slot;
    *slot = with ? outputs_ref(with) : NULL;
    outputs_unref(old);
}

static struct plan *reload_plan(const char *reason) {
    struct plan *plan = mem_zalloc(sizeof *plan);
    plan->kind = PLAN_RELOAD;
    plan->reason = mem_strdup(reason);
    return plan;
}

static void drop_plan(struct apply *apply) {
    plan_free(apply->plan);
    apply->plan = NULL;
}

/* Goes on from the loop, so that nobody is called back from within a call. */
static void rest_until(struct apply *apply, int64_t at) {
    struct timeval after = clock_timeval(at - clock_usec());
    apply->state = RESTING;
    (void)event_add(apply->timer, &after);
}

static void rest(struct apply *apply) {
    replace(&apply->target, NULL);
    rest_until(apply, 0);
}

static void retry_later(struct apply *apply) {
    int64_t twice = 2 * apply->retry_after;
    apply->retry_after = !twice ? RETRY_MIN : twice < RETRY_MAX ? twice : RETRY_MAX;
    apply->retry_at = clock_usec() + apply->retry_after;
}

/* One change has come to its end; the next step follows from the loop. */
static void end(struct apply *apply, enum apply_result result,
                const struct error *error) {
    struct apply_report report = {
        .result = result,
        .error = error,
        .plan = apply->plan,
        .outputs = apply->target,
        .usec = clock_usec() - apply->wanted_at,
    };
    if (error)
        apply->error = *error;
    apply->options.ended(apply->options.arg, &report);
    drop_plan(apply);
    if (result == APPLY_NOT_WRITTEN || result == APPLY_NOT_LOADED)
        retry_later(apply);
    else
        apply->retry_after = apply->retry_at = 0;
    rest(apply);
}

static void settle(struct apply *apply, const struct error *error) {
    apply->options.settled(apply->options.arg, error);
}

/* HAProxy uses what the disk holds. */
static void in_step(struct apply *apply) {
    replace(&apply->running, place_outputs(apply->place));
    apply->first_command = 0;
    apply->torn = false;
    place_owe(apply->place, false);
}

/* HAProxy may use something else than the files that are in place. */
static void owe_what_differs(struct apply *apply) {
    place_owe(apply->place, !outputs_equal(apply->running, place_outputs(apply->place)));
}

/* Who was started anew or reloaded by somebody while the file had not followed does not use
 * what the commands said. */
static void meet(struct apply *apply, const struct runtime_facts *facts) {
    bool same = facts && facts->pid == apply->process;
    if (apply->first_command && apply->running && !same) {
        log_notice(apply->options.log,
                   "HAProxy may have read its old config meanwhile; it is reloaded");
        replace(&apply->running, NULL);
        apply->probed = false;
    }
    apply->process = facts ? facts->pid : 0;
}

static void roll_back(struct apply *apply, const struct error *failure) {
    struct error undo;
    if (!place_write(apply->place, apply->before, &undo)) {
        log_error(apply->options.log, "can't put the old files back",
                  LOG_STR("path", undo.where), LOG_STR("error", undo.text));
        apply->first_command = apply->last_command = clock_usec();
    }
    place_reject(apply->place, apply->target, failure);
    replace(&apply->refused, apply->target);
}

static void on_loaded(void *arg, const struct error *error) {
    struct apply *apply = arg;
    if (apply->state != LOADING)
        return;
    apply->last_reload = clock_usec();
    apply->reload_wanted = 0;
    apply->probed = false;
    runtime_reset(apply->runtime);
    leftover_watch(apply->leftover);
    if (!error) {
        in_step(apply);
        end(apply, APPLY_DONE, NULL);
        return;
    }
    struct error failure = *error;
    if (!haproxy_running(apply->haproxy, NULL)) {
        replace(&apply->running, NULL);
        end(apply, APPLY_NOT_LOADED, &failure);
        return;
    }
    bool again = outputs_equal(apply->target, apply->before);
    if (haproxy_may_follow(apply->haproxy))
        replace(&apply->running, NULL);
    if (!again)
        roll_back(apply, &failure);
    owe_what_differs(apply);
    end(apply, again ? APPLY_NOT_LOADED : APPLY_ROLLED_BACK, &failure);
}

static void load(struct apply *apply) {
    apply->state = LOADING;
    haproxy_reload_start(apply->haproxy, on_loaded, apply);
}

/* The file in place is good, and HAProxy may use something else. */
static void return_to_file(struct apply *apply) {
    replace(&apply->before, place_outputs(apply->place));
    replace(&apply->target, place_outputs(apply->place));
    drop_plan(apply);
    apply->plan = reload_plan("back to the config in place");
    load(apply);
}

static void refuse(struct apply *apply, const struct error *error) {
    place_reject(apply->place, apply->target, error);
    replace(&apply->refused, apply->target);
    apply->reload_wanted = 0;
    if (apply->file_only)
        replace(&apply->running, NULL);
    end(apply, APPLY_REFUSED, error);
}

static void on_confirmed(void *arg, const struct runtime_facts *facts,
                         const struct error *error) {
    (void)error;
    struct apply *apply = arg;
    if (apply->state != CONFIRMING)
        return;
    meet(apply, facts);
    if (apply->running)
        in_step(apply);
    rest(apply);
}

/* The target was checked, or needs no check. */
static void write_files(struct apply *apply) {
    bool load_it = apply->plan && apply->plan->kind == PLAN_RELOAD && !apply->file_only;
    struct error error;
    replace(&apply->before, place_outputs(apply->place));
    if (load_it)
        place_owe(apply->place, true);
    if (!place_write(apply->place, apply->target, &error)) {
        apply->torn = true;
        if (load_it)
            owe_what_differs(apply);
        end(apply, APPLY_NOT_WRITTEN, &error);
        return;
    }
    if (apply->haproxy)
        place_accept(apply->place);
    if (load_it) {
        load(apply);
        return;
    }
    if (apply->file_only) {
        apply->state = CONFIRMING;
        runtime_probe(apply->runtime, on_confirmed, apply);
        return;
    }
    if (apply->haproxy)
        in_step(apply);
    end(apply, APPLY_DONE, NULL);
}

static void on_checked(void *arg, const struct error *error) {
    struct apply *apply = arg;
    struct error refusal = {{0}, {0}};
    if (error)
        refusal = *error;
    place_unstage(apply->place, &refusal);
    if (error)
        refuse(apply, &refusal);
    else
        write_files(apply);
}

static void check(struct apply *apply, bool file_only) {
    struct error error;
    apply->file_only = file_only;
    apply->state = CHECKING;
    const char *config = place_stage(apply->place, apply->target, &error);
    if (config)
        haproxy_check_start(apply->haproxy, config, on_checked, apply);
    else
        end(apply, APPLY_NOT_WRITTEN, &error);
}

/* A check that only the file waits for gives way to what is more urgent. */
static void interrupt_check(struct apply *apply) {
    if (apply->state != CHECKING || !apply->file_only)
        return;
    haproxy_check_cancel(apply->haproxy);
    place_unstage(apply->place, NULL);
    rest(apply);
}

static void on_commanded(void *arg, const struct error *error) {
    struct apply *apply = arg;
    if (apply->state != COMMANDING)
        return;
    if (error) {
        log_warning(apply->options.log, "runtime commands failed; HAProxy is reloaded",
                    LOG_STR("where", error->where), LOG_STR("error", error->text));
        replace(&apply->running, NULL);
        drop_plan(apply);
        rest(apply);
        return;
    }
    apply->last_command = clock_usec();
    if (!apply->first_command)
        apply->first_command = apply->last_command;
    replace(&apply->running, apply->target);
    end(apply, APPLY_DONE, NULL);
}

static void command(struct apply *apply) {
    const struct output *config = outputs_config(apply->target);
    apply->state = COMMANDING;
    place_owe(apply->place, true);
    runtime_execute_start(apply->runtime, apply->plan, buffer_str(&config->text),
                          on_commanded, apply);
}

static void on_probed(void *arg, const struct runtime_facts *facts,
                      const struct error *error) {
    struct apply *apply = arg;
    if (apply->state != PROBING)
        return;
    apply->probed = true;
    apply->abilities = facts ? facts->abilities : (struct plan_abilities){0};
    meet(apply, facts);
    if (error && apply->reachable)
        log_warning(apply->options.log,
                    "the Runtime API is out of reach; changes are reloads meanwhile",
                    LOG_STR("where", error->where), LOG_STR("error", error->text));
    if (facts && !apply->reachable)
        log_notice(apply->options.log, "the Runtime API answers again");
    apply->reachable = facts;
    rest(apply);
}

/* A number from 0 to 99 that is always the same for the same node (FNV-1a). */
static int64_t spread(const char *name) {
    uint32_t hash = 2166136261U;
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619U;
    return hash % 100;
}

/* When a reload may be: they keep their distance, and nodes that learn of a change at the
 * same time are spread over a part of it. */
static int64_t reload_at(const struct apply *apply) {
    const struct settings *settings = apply->options.settings;
    int64_t interval = settings->apply.min_reload_interval * 1000;
    int64_t share = apply->running ? settings->apply.reload_jitter : 0;
    int64_t spread_at =
        apply->reload_wanted + interval * share * spread(settings->node_name) / 10000;
    int64_t apart_at = apply->last_reload ? apply->last_reload + interval : 0;
    return spread_at > apart_at ? spread_at : apart_at;
}

static void reload_when_due(struct apply *apply) {
    int64_t now = clock_usec();
    if (!apply->reload_wanted)
        apply->reload_wanted = now;
    int64_t at = reload_at(apply);
    if (at > now) {
        drop_plan(apply);
        rest_until(apply, at);
    } else {
        check(apply, false);
    }
}

static struct plan *make_plan(const struct apply *apply) {
    const struct outputs *to = apply->target;
    if (!outputs_config(place_outputs(apply->place))->exists)
        return reload_plan("the first config");
    if (!apply->running)
        return reload_plan("what HAProxy uses is not known");
    if (!apply->options.settings->apply.runtime)
        return reload_plan("apply.runtime is off");
    struct plan *plan = outputs_plan(apply->running, to, &apply->abilities);
    if (apply->reachable || plan->kind == PLAN_NOTHING)
        return plan;
    plan_free(plan);
    return reload_plan("the Runtime API is out of reach");
}

/* Begins to bring HAProxy to what is wanted. */
static void advance(struct apply *apply) {
    bool can_command = apply->running && apply->options.settings->apply.runtime;
    if (can_command && !apply->probed) {
        apply->state = PROBING;
        runtime_probe(apply->runtime, on_probed, apply);
        return;
    }
    replace(&apply->target, apply->wanted);
    drop_plan(apply);
    apply->plan = make_plan(apply);
    switch (apply->plan->kind) {
    case PLAN_NOTHING:
        check(apply, false);
        break;
    case PLAN_RUNTIME:
        command(apply);
        break;
    case PLAN_RELOAD:
        reload_when_due(apply);
        break;
    }
}

/* The file follows what HAProxy was told by commands. */
static void follow(struct apply *apply, const struct outputs *goal) {
    int64_t quiet = apply->last_command + FILE_QUIET;
    int64_t latest = apply->first_command + FILE_LATEST;
    int64_t at = quiet < latest ? quiet : latest;
    if (at > clock_usec()) {
        rest_until(apply, at);
        return;
    }
    replace(&apply->target, goal);
    check(apply, true);
}

/* What can still be brought about: what is wanted, or, if HAProxy refused that, what it
 * uses. NULL if that is not known either. */
static const struct outputs *goal_of(const struct apply *apply) {
    bool refused = outputs_equal(apply->wanted, apply->refused);
    return refused ? apply->running : apply->wanted;
}

static bool is_astray(const struct apply *apply, const struct outputs *goal) {
    return apply->haproxy &&
           (!apply->running || outputs_touch_haproxy(apply->running, goal));
}

static void step(struct apply *apply) {
    if (apply->state != RESTING || !apply->wanted)
        return;
    const struct outputs *goal = goal_of(apply);
    if (apply->retry_at > clock_usec()) {
        rest_until(apply, apply->retry_at);
        settle(apply, &apply->error);
    } else if (!goal && outputs_config(place_outputs(apply->place))->exists) {
        return_to_file(apply);
    } else if (!goal) {
        settle(apply, &apply->error);
    } else if (is_astray(apply, goal)) {
        advance(apply);
    } else if (apply->first_command) {
        follow(apply, goal);
    } else if (!outputs_equal(place_outputs(apply->place), goal)) {
        apply->file_only = false;
        replace(&apply->target, goal);
        write_files(apply);
    } else {
        apply->reload_wanted = 0;
        place_owe(apply->place, false);
        settle(apply, goal == apply->wanted ? NULL : &apply->error);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct apply *apply = arg;
    if (apply->state == STOPPING)
        apply->options.stopped(apply->options.arg);
    else
        step(apply);
}

static void on_haproxy_down(void *arg, const char *reason) {
    struct apply *apply = arg;
    log_error(apply->options.log, "HAProxy is down", LOG_STR("reason", reason));
    interrupt_check(apply);
    replace(&apply->running, NULL);
    apply->torn = false;
}

/* It was started anew, and so with what the disk holds. */
static void on_haproxy_up(void *arg) {
    struct apply *apply = arg;
    pid_t pid = 0;
    (void)haproxy_running(apply->haproxy, &pid);
    log_notice(apply->options.log, "HAProxy runs", LOG_INT("pid", pid));
    interrupt_check(apply);
    if (!apply->torn)
        in_step(apply);
    apply->torn = false;
    apply->probed = false;
    runtime_reset(apply->runtime);
    if (apply->state == RESTING)
        rest(apply);
}

static void on_started(void *arg, const struct error *error) {
    struct apply *apply = arg;
    if (apply->state != STARTING)
        return;
    if (error)
        log_error(apply->options.log, "HAProxy does not start with the config in place",
                  LOG_STR("where", error->where), LOG_STR("error", error->text));
    else
        in_step(apply);
    rest(apply);
}

/* A start with the files of the last run must not wait for a registry. */
static void take_haproxy(struct apply *apply) {
    const struct settings *settings = apply->options.settings;
    const struct outputs *placed = place_outputs(apply->place);
    if (!settings_haproxy_output(settings))
        return;
    struct haproxy_events events = {on_haproxy_down, on_haproxy_up, apply};
    apply->haproxy =
        haproxy_new(apply->options.base, apply->options.log, &settings->haproxy,
                    settings_haproxy_output(settings)->path, &events);
    if (apply->options.leave)
        haproxy_detach(apply->haproxy);
    apply->runtime =
        runtime_new(apply->options.base, apply->options.log, &settings->haproxy);
    apply->leftover =
        leftover_new(apply->options.base, apply->options.log, &settings->haproxy);
    if (!outputs_config(placed)->exists)
        return;
    if (settings->haproxy.control == CONTROL_SUPERVISE) {
        apply->state = STARTING;
        haproxy_reload_start(apply->haproxy, on_started, apply);
    } else if (!place_owes(apply->place)) {
        replace(&apply->running, placed);
    }
}

struct apply *apply_open(const struct apply_options *options, struct error *error) {
    struct place *place =
        place_open(options->base, options->log, options->settings, error);
    if (!place)
        return NULL;
    struct apply *apply = mem_zalloc(sizeof *apply);
    apply->options = *options;
    apply->place = place;
    apply->reachable = true;
    apply->timer = event_new(options->base, -1, 0, on_timer, apply);
    take_haproxy(apply);
    return apply;
}

void apply_close(struct apply *apply) {
    if (!apply)
        return;
    haproxy_free(apply->haproxy);
    runtime_free(apply->runtime);
    leftover_free(apply->leftover);
    place_close(apply->place);
    replace(&apply->wanted, NULL);
    replace(&apply->running, NULL);
    replace(&apply->target, NULL);
    replace(&apply->before, NULL);
    replace(&apply->refused, NULL);
    drop_plan(apply);
    event_free(apply->timer);
    free(apply);
}

void apply_expect(struct apply *apply) {
    if (apply->runtime && apply->running && apply->probed)
        runtime_prepare(apply->runtime);
}

void apply_want(struct apply *apply, const struct outputs *outputs, bool retry) {
    bool changed = !outputs_equal(apply->wanted, outputs);
    if (changed)
        apply->wanted_at = clock_usec();
    replace(&apply->wanted, outputs);
    if (changed || retry)
        replace(&apply->refused, NULL);
    if (retry)
        apply->retry_after = apply->retry_at = 0;
    if (clock_usec() - apply->first_command < FILE_LATEST)
        interrupt_check(apply);
    if (apply->state == RESTING)
        rest(apply);
}

void apply_set_settings(struct apply *apply, const struct settings *settings) {
    apply->options.settings = settings;
}

static void on_stopped(void *arg, const struct error *error) {
    struct apply *apply = arg;
    if (error)
        log_error(apply->options.log, "HAProxy did not stop",
                  LOG_STR("error", error->text));
    else if (apply->options.settings->haproxy.control == CONTROL_SUPERVISE)
        place_owe(apply->place, false); /* the next HAProxy begins with the files */
    apply->options.stopped(apply->options.arg);
}

void apply_stop(struct apply *apply) {
    if (apply->haproxy)
        haproxy_check_cancel(apply->haproxy);
    apply->state = STOPPING;
    (void)event_del(apply->timer);
    if (apply->haproxy)
        haproxy_stop_start(apply->haproxy, on_stopped, apply);
    else
        event_active(apply->timer, 0, 0);
}

bool apply_haproxy_running(const struct apply *apply, pid_t *pid) {
    *pid = 0;
    return apply->haproxy && haproxy_running(apply->haproxy, pid);
}

bool apply_in_place(const struct apply *apply) {
    return apply->running != NULL;
}

const struct outputs *apply_outputs(const struct apply *apply) {
    return place_outputs(apply->place);
}

void apply_pending(const struct apply *apply, size_t *warming, size_t *leaving) {
    *warming = *leaving = 0;
    if (apply->runtime)
        runtime_pending(apply->runtime, warming, leaving);
}
