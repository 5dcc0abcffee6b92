/* All that can happen to lib/agent/apply.c, in every order: the file itself, whole, among
 * stand-ins for what it calls, led from its first state to every other that can be reached.
 * README.md says what may happen and what must hold. */
#ifndef APPLY
#define APPLY "agent/apply.c"
#endif
#define HATLAS_BASE_CLOCK_H /* time is the world's */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static int64_t clock_usec(void);

static struct timeval clock_timeval(int64_t usec) {
    return (struct timeval){usec / 1000000, usec % 1000000};
}

#define free(memory) ((void)(memory)) /* a world owns its memory */
#include APPLY                        /* NOLINT(bugprone-suspicious-include) */
#undef free

/* ---- what hatlas may want and the disk may hold ---- */

/* HAProxy's config, its map, and a file that is not HAProxy's. `-` is no file. */
enum { CONFIGS = 6, MAPS = 3, NOTES = 3, FILES = 3, COPIES = 2, WANTS_MAX = 4 };
static const char config_names[] = "-abcpr";
static const char map_names[] = "-xy";
static const char note_names[] = "-mn";

struct files {
    uint8_t at[FILES]; /* map, note, config: in the order in which they are written */
};

enum { MAP, NOTE, CONFIG };

/* outputs.h: immutable texts; here two of each combination, since what was read need not be
 * the same object as what was rendered. */
struct combination {
    struct outputs outputs;
    struct output items[FILES];
};

enum { COMBINATIONS = CONFIGS * MAPS * NOTES };
static struct combination table[COPIES * COMBINATIONS];
static struct output_settings no_settings;

static const struct outputs *outputs_of(struct files files, int copy) {
    int i = (files.at[CONFIG] * MAPS + files.at[MAP]) * NOTES + files.at[NOTE];
    return &table[copy * COMBINATIONS + i].outputs;
}

static struct files files_of(const struct outputs *outputs) {
    size_t i = (size_t)((const struct combination *)outputs - table);
    return (struct files){{(uint8_t)(i / NOTES % MAPS), (uint8_t)(i % NOTES),
                           (uint8_t)(i / NOTES / MAPS % CONFIGS)}};
}

static bool files_equal(struct files a, struct files b) {
    return !memcmp(&a, &b, sizeof a);
}

/* What `haproxy -c` says: p is refused, the rest is valid. */
static bool is_valid(uint8_t config) {
    return config_names[config] != 'p';
}

/* What HAProxy can be started with or reloaded to: r has a port that another program holds. */
static bool is_loadable(uint8_t config) {
    return config && is_valid(config) && config_names[config] != 'r';
}

/* ---- the world: all that a state is ---- */

enum process { IDLE_, BACKOFF_, BOOTING, SERVING, RELOADING_ };

struct world {
    /* hatlas: apply.c's own memory, but for the text of its last error */
    unsigned char apply[sizeof(struct apply)];
    struct plan plan;
    bool up, told, stopping;
    /* place.c */
    const struct outputs *believed;
    bool owes, staged;
    struct files stage;
    /* the disk */
    struct files disk;
    bool marker;
    uint8_t checked; /* configs that `haproxy -c` took */
    /* HAProxy */
    bool alive, mixed; /* mixed: it got a part of a plan */
    struct files uses;
    bool probed; /* it is still the process that runtime_probe saw */
    pid_t pid;
    bool moved; /* it began anew while a reload was under way */
    struct files late;
    bool is_late; /* a reload whose end nobody saw may still come about */
    /* supervise.c, or haproxy.c in the other modes */
    enum process process;
    struct files reading; /* BOOTING, RELOADING_: what it read */
    bool down_told, again, running, known, unclear;
    /* what was asked for and is not answered yet */
    haproxy_done *reload_done, *check_done, *commanded, *stop_done;
    runtime_probed *probe_done;
    struct files command;
    /* the loop */
    bool armed;
    int64_t due, now;
    /* the registry */
    struct files wanted;
    /* of apply_options.settled */
    enum { UNSETTLED, SETTLED, FAILED } settled;
};

static struct world world;
static struct apply *const apply_ = (struct apply *)(void *)world.apply;

/* What one exploration is about. */
struct scene {
    const char *name;
    const char *wants[WANTS_MAX];
    bool faults_of_disk, strangers, unclear;
    int interval;
};

static const struct scene *scene;
static enum control_mode control;
static struct settings site;

/* ---- what is being done, and what goes wrong in it ---- */

static struct step_state {
    unsigned operations; /* on the disk, so far */
    unsigned dies_at;    /* kill -9 before this one; 0: never */
    unsigned full_from, full_to;
    bool dead;
    const char *broken; /* what must hold and did not */
} doing;

static void must(bool holds, const char *what) {
    if (!holds && !doing.broken)
        doing.broken = what;
}

/* Whether the next operation on the disk works. A dead process does nothing any more: that
 * it goes on to its end here reaches nobody. */
static bool disk_works(void) {
    doing.operations++;
    if (doing.operations == doing.dies_at)
        doing.dead = true;
    return !doing.dead &&
           !(doing.operations >= doing.full_from && doing.operations <= doing.full_to);
}

/* ---- base ---- */

static int64_t clock_usec(void) {
    return world.now;
}

void *mem_zalloc(size_t size) {
    void *memory = size == sizeof(struct apply) ? (void *)apply_ : (void *)&world.plan;
    memset(memory, 0, size);
    return memory;
}

char *mem_strdup(const char *text) {
    return (char *)(uintptr_t)text;
}

const char *buffer_str(const struct buffer *buffer) {
    (void)buffer;
    return "";
}

void log_write(const struct log *log, enum log_level level, const char *message,
               const struct log_field *fields) {
    (void)log, (void)level, (void)message, (void)fields;
}

/* ---- libevent: the one timer ---- */

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
                        event_callback_fn call, void *arg) {
    (void)base, (void)fd, (void)what, (void)call, (void)arg;
    return (struct event *)(void *)&world.armed;
}

int event_add(struct event *ev, const struct timeval *timeout) {
    (void)ev;
    world.armed = true;
    world.due = world.now + timeout->tv_sec * 1000000 + timeout->tv_usec;
    if (world.due < world.now)
        world.due = world.now;
    return 0;
}

int event_del(struct event *event) {
    (void)event;
    world.armed = false;
    return 0;
}

void event_active(struct event *ev, int res, short ncalls) {
    (void)ev, (void)res, (void)ncalls;
    world.armed = true;
    world.due = world.now;
}

void event_free(struct event *event) {
    (void)event;
    world.armed = false;
}

/* ---- outputs.c and plan.c ---- */

const struct outputs *outputs_ref(const struct outputs *outputs) {
    return outputs;
}

void outputs_unref(const struct outputs *outputs) {
    (void)outputs;
}

bool outputs_equal(const struct outputs *a, const struct outputs *b) {
    return a == b || (a && b && files_equal(files_of(a), files_of(b)));
}

const struct output *outputs_config(const struct outputs *outputs) {
    return &outputs->items[CONFIG];
}

static bool same_for_haproxy(struct files a, struct files b) {
    return a.at[CONFIG] == b.at[CONFIG] && a.at[MAP] == b.at[MAP];
}

bool outputs_touch_haproxy(const struct outputs *old, const struct outputs *new) {
    return !same_for_haproxy(files_of(old), files_of(new));
}

/* Among a, b and p, and among maps, commands are enough; the rest is a reload. */
struct plan *outputs_plan(const struct outputs *old, const struct outputs *new,
                          const struct plan_abilities *abilities) {
    (void)abilities;
    struct files from = files_of(old);
    struct files to = files_of(new);
    bool by_command = strchr("abp", config_names[from.at[CONFIG]]) &&
                      strchr("abp", config_names[to.at[CONFIG]]);
    memset(&world.plan, 0, sizeof world.plan);
    world.plan.kind = PLAN_RELOAD;
    if (same_for_haproxy(from, to))
        world.plan.kind = PLAN_NOTHING;
    else if (by_command || from.at[CONFIG] == to.at[CONFIG])
        world.plan.kind = PLAN_RUNTIME;
    return &world.plan;
}

void plan_free(struct plan *plan) {
    (void)plan;
}

const struct output_settings *settings_haproxy_output(const struct settings *settings) {
    (void)settings;
    return &no_settings;
}

/* ---- place.c ---- */

/* place_open: locks, and reads what is there. */
struct place *place_open(struct event_base *base, const struct log *log,
                         const struct settings *settings, struct error *error) {
    (void)base, (void)log, (void)settings, (void)error;
    world.believed = outputs_of(world.disk, 1);
    world.owes = world.marker;
    return (struct place *)&world;
}

void place_close(struct place *place) {
    (void)place;
}

const struct outputs *place_outputs(const struct place *place) {
    (void)place;
    return world.believed;
}

/* outputs_write: the files that differ from `old`, one by one, the config last. */
static bool write_files_of(struct files new, struct files old) {
    for (int i = 0; i < FILES; i++) {
        if (new.at[i] == old.at[i])
            continue;
        if (!disk_works())
            return false;
        must(i != CONFIG || !new.at[i] || world.checked >> new.at[i] & 1,
             "a config is in place that was not checked");
        world.disk.at[i] = new.at[i];
    }
    return true;
}

bool place_write(struct place *place, const struct outputs *outputs,
                 struct error *error) {
    (void)place;
    struct files new = files_of(outputs);
    struct files old = files_of(world.believed);
    if (write_files_of(new, old)) {
        world.believed = outputs;
        return true;
    }
    if (!write_files_of(old, new))
        world.believed = outputs_of(world.disk, 1);
    *error = (struct error){"", "the disk is full"};
    return false;
}

const char *place_stage(struct place *place, const struct outputs *outputs,
                        struct error *error) {
    (void)place;
    *error = (struct error){"", "the disk is full"};
    world.staged = disk_works();
    world.stage = files_of(outputs);
    return world.staged ? "" : NULL;
}

void place_unstage(struct place *place, struct error *error) {
    (void)place, (void)error;
    world.staged = false;
    world.stage = (struct files){{0}};
}

void place_reject(const struct place *place, const struct outputs *outputs,
                  const struct error *refusal) {
    (void)place, (void)refusal;
    must(outputs, "a config is rejected that nobody has");
}

void place_accept(const struct place *place) {
    (void)place;
}

void place_owe(struct place *place, bool owed) {
    (void)place;
    if (world.owes == owed)
        return;
    world.owes = owed;
    doing.full_to = 0; /* to fail here and then to die would be two faults at once */
    if (disk_works())
        world.marker = owed;
}

bool place_owes(const struct place *place) {
    (void)place;
    return world.owes;
}

/* ---- leftover.c has no part in it ---- */

struct leftover *leftover_new(struct event_base *base, const struct log *log,
                              const struct haproxy_settings *settings) {
    (void)base, (void)log, (void)settings;
    return NULL;
}

void leftover_free(struct leftover *leftover) {
    (void)leftover;
}

void leftover_watch(struct leftover *leftover) {
    (void)leftover;
}

/* ---- runtime.c ---- */

struct runtime *runtime_new(struct event_base *base, const struct log *log,
                            const struct haproxy_settings *settings) {
    (void)base, (void)log, (void)settings;
    return (struct runtime *)&world;
}

void runtime_free(struct runtime *runtime) {
    (void)runtime;
}

void runtime_probe(struct runtime *runtime, runtime_probed *probed, void *arg) {
    (void)runtime, (void)arg;
    world.probe_done = doing.dead ? NULL : probed;
}

void runtime_prepare(struct runtime *runtime) {
    (void)runtime;
}

void runtime_execute_start(struct runtime *runtime, const struct plan *plan,
                           const char *config, haproxy_done *done, void *arg) {
    (void)runtime, (void)plan, (void)config;
    if (doing.dead)
        return;
    must(!world.commanded, "two plans at a time");
    world.commanded = done;
    world.command = files_of(((struct apply *)arg)->target);
}

/* A plan under way ends with an error, from the loop. */
void runtime_reset(struct runtime *runtime) {
    (void)runtime;
    world.probed = false;
}

void runtime_pending(const struct runtime *runtime, size_t *warming, size_t *leaving) {
    (void)runtime, (void)warming, (void)leaving;
}

/* ---- haproxy.c and supervise.c ---- */

static const char *mode_name(void) {
    return control == CONTROL_SUPERVISE ? "supervise" : "socket";
}

static bool is_supervised(void) {
    return control == CONTROL_SUPERVISE;
}

static struct haproxy_events heard;

struct haproxy *haproxy_new(struct event_base *base, const struct log *log,
                            const struct haproxy_settings *settings, const char *config,
                            const struct haproxy_events *events) {
    (void)base, (void)log, (void)settings, (void)config;
    heard = *events;
    return (struct haproxy *)&world;
}

void haproxy_free(struct haproxy *haproxy) {
    (void)haproxy;
}

void haproxy_detach(struct haproxy *haproxy) {
    (void)haproxy;
}

void haproxy_check_start(struct haproxy *haproxy, const char *path, haproxy_done *done,
                         void *arg) {
    (void)haproxy, (void)path, (void)arg;
    must(!world.check_done, "two checks at a time");
    world.check_done = doing.dead ? NULL : done;
}

void haproxy_check_cancel(struct haproxy *haproxy) {
    (void)haproxy;
    world.check_done = NULL;
}

static void begin_reload(void) {
    world.moved = world.unclear = false;
    world.process = RELOADING_;
    world.reading = world.disk;
    world.again = false;
}

/* supervisor_reload; reload_start in the other modes. */
void haproxy_reload_start(struct haproxy *haproxy, haproxy_done *done, void *arg) {
    (void)haproxy, (void)arg;
    if (doing.dead)
        return;
    must(!world.reload_done, "two reloads at a time");
    world.reload_done = done;
    if (!is_supervised() || world.process == SERVING)
        begin_reload();
    else if (world.process == IDLE_)
        world.process = BACKOFF_;
    else if (world.process != BACKOFF_)
        world.again = true;
}

void haproxy_stop_start(struct haproxy *haproxy, haproxy_done *done, void *arg) {
    (void)haproxy, (void)arg;
    world.reload_done = NULL;
    world.stop_done = done;
}

bool haproxy_running(const struct haproxy *haproxy, pid_t *pid) {
    (void)haproxy;
    if (pid)
        *pid = 0;
    if (!is_supervised())
        return world.running;
    return world.alive && (world.process == SERVING || world.process == RELOADING_);
}

bool haproxy_may_follow(const struct haproxy *haproxy) {
    (void)haproxy;
    return world.unclear;
}

static const struct error failure = {"", "it failed"};

static void answer(haproxy_done **slot, const struct error *error) {
    haproxy_done *done = *slot;
    *slot = NULL;
    if (done)
        done(apply_, error);
}

static void haproxy_uses(struct files files) {
    world.uses = (struct files){{files.at[MAP], 0, files.at[CONFIG]}};
    world.alive = true;
    world.mixed = world.is_late = false;
    world.late = (struct files){{0}};
}

/* With a process id that apply.c has not seen. */
static void haproxy_begins(struct files files) {
    haproxy_uses(files);
    world.probed = false;
    world.pid = apply_->process == 1 ? 2 : 1;
}

/* supervise.c, serving(). */
static void serving(void) {
    if (world.again) {
        begin_reload();
        return;
    }
    bool tell = world.down_told || !world.reload_done;
    world.down_told = false;
    world.process = SERVING;
    if (tell)
        heard.up(apply_);
    answer(&world.reload_done, NULL);
}

/* supervise.c, on_gone() and fail_start(). */
static void gone(void) {
    world.unclear = false;
    bool served = world.process != BOOTING;
    world.alive = world.mixed = world.probed = world.is_late = false;
    world.late = world.uses = (struct files){{0}};
    if (!is_supervised() || !world.up)
        return;
    world.process = BACKOFF_;
    if (served) {
        world.down_told = true;
        haproxy_done *done = world.reload_done;
        world.reload_done = NULL;
        heard.down(apply_, "it died");
        answer(&done, &failure);
    } else {
        answer(&world.reload_done, &failure);
    }
}

/* haproxy.c, note_running(). */
static void note_running(bool running, const struct error *error) {
    bool was_running = world.running;
    bool was_known = world.known;
    world.running = running;
    world.known = true;
    if (was_running && !running)
        heard.down(apply_, "out of reach");
    else if (was_known && !was_running && running && !error)
        heard.up(apply_);
}

/* ---- what may happen ---- */

enum kind {
    BEGIN,     /* hatlas starts */
    WANT,      /* argument: what, and whether with retry */
    TIMER,     /* the loop's turn */
    PASS,      /* a long time */
    ACCEPT,    /* haproxy -c took it */
    REFUSE,    /* haproxy -c did not, or could not be run */
    BOOT,      /* supervise: the start of HAProxy, which reads its file, or an adoption */
    BOOTED,    /* it serves */
    LOADED,    /* a reload went well */
    UNLOADED,  /* it was refused: the old worker serves on */
    UNCLEAR,   /* no end of it was seen; argument: whether it comes about later */
    UNREACHED, /* the master socket is silent */
    PROBED,    /* runtime_probe */
    UNPROBED,
    COMMANDED,      /* a plan was executed, HAProxy's state was compared */
    FAILED_COMMAND, /* argument: whether a part was executed */
    DIE,            /* HAProxy ends, or can't be started */
    REVIVE,         /* somebody else starts it again */
    STRANGER,       /* somebody else reloads it */
    LATE,           /* the reload whose end was not seen comes about */
    KILL, /* -9; argument: whether a start or reload under way still comes about */
    STOP, /* SIGTERM */
    STOPPED,
    KINDS
};

static const char *const kind_names[KINDS] = {
    "hatlas starts",
    "wanted",
    "the timer",
    "time passes",
    "haproxy -c accepts",
    "haproxy -c refuses",
    "HAProxy is started or adopted",
    "HAProxy serves",
    "reload done",
    "reload refused",
    "reload without an end",
    "master socket silent",
    "probe answered",
    "probe failed",
    "commands done",
    "commands failed",
    "HAProxy dies",
    "HAProxy is started by others",
    "HAProxy is reloaded by others",
    "the reload comes about late",
    "kill -9",
    "SIGTERM",
    "stopped",
};

struct move {
    uint8_t kind, argument, dies_at, full_from, full_to;
};

static struct files want_of(unsigned i) {
    const char *name = scene->wants[i];
    return (struct files){{(uint8_t)(strchr(map_names, name[1]) - map_names),
                           (uint8_t)(strchr(note_names, name[2]) - note_names),
                           (uint8_t)(strchr(config_names, name[0]) - config_names)}};
}

static unsigned want_count(void) {
    unsigned count = 0;
    while (count < WANTS_MAX && scene->wants[count])
        count++;
    return count;
}

static void on_ended(void *arg, const struct apply_report *report) {
    (void)arg;
    must(report->outputs, "a change ends that nobody wanted");
}

static bool is_idle(void) {
    return !world.reload_done && !world.check_done && !world.probe_done &&
           !world.commanded;
}

/* HAProxy, if it runs, uses these files, and so it will when it is started again. */
static bool is_so(struct files files) {
    return files_equal(world.disk, files) && !world.marker &&
           (!world.alive || (!world.mixed && same_for_haproxy(world.uses, files)));
}

static void on_settled(void *arg, const struct error *error) {
    (void)arg;
    world.settled = error ? FAILED : SETTLED;
    must(error || is_so(world.wanted), "all is said to be well, and it is not");
    must(is_idle(), "it settles with something under way");
}

static void on_all_stopped(void *arg) {
    (void)arg;
    world.up = false;
}

/* A process that has gone leaves nothing but the disk and HAProxy. */
static void forget_hatlas(void) {
    memset(world.apply, 0, sizeof world.apply);
    memset(&world.plan, 0, sizeof world.plan);
    world.up = world.told = world.stopping = world.owes = world.staged = false;
    world.believed = NULL;
    world.stage = world.reading = world.command = (struct files){{0}};
    world.process = IDLE_;
    world.unclear = world.down_told = world.again = world.running = world.known =
        world.armed = false;
    world.reload_done = world.check_done = world.commanded = world.stop_done = NULL;
    world.probe_done = NULL;
    world.now = world.due = 0;
    world.settled = UNSETTLED;
    world.probed = false;
}

enum { NOW = 100000000 };

static void begin(void) {
    static const struct apply_options options = {.settings = &site,
                                                 .ended = on_ended,
                                                 .settled = on_settled,
                                                 .stopped = on_all_stopped};
    struct error error;
    world.now = NOW;
    world.up = true;
    (void)apply_open(&options, &error);
}

static void reload_ends(bool running, const struct error *error) {
    world.process = is_supervised() ? SERVING : IDLE_;
    if (!is_supervised())
        note_running(running, error);
    answer(&world.reload_done, error);
}

static void happen(const struct move *move) {
    struct runtime_facts facts = {world.pid, "", {true, true}};
    runtime_probed *probe_done = world.probe_done;
    switch ((enum kind)move->kind) {
    case BEGIN:
        begin();
        break;
    case WANT:
        world.wanted = want_of(move->argument / 2);
        world.told = true;
        world.settled = UNSETTLED;
        apply_want(apply_, outputs_of(world.wanted, 0), move->argument % 2);
        break;
    case TIMER:
        if (world.now < world.due)
            world.now = world.due;
        world.armed = false;
        on_timer(-1, 0, apply_);
        break;
    case PASS:
        world.now += NOW;
        break;
    case ACCEPT:
        world.checked |= (uint8_t)(1U << world.stage.at[CONFIG]);
        answer(&world.check_done, NULL);
        break;
    case REFUSE:
        answer(&world.check_done, &failure);
        break;
    case BOOT:
        if (world.alive) {
            begin_reload();
            break;
        }
        world.process = BOOTING;
        world.reading = world.disk;
        world.again = false;
        break;
    case BOOTED:
        haproxy_begins(world.reading);
        serving();
        break;
    case LOADED:
        haproxy_begins(world.reading);
        if (is_supervised())
            serving();
        else
            reload_ends(true, NULL);
        break;
    case UNLOADED:
        reload_ends(true, &failure);
        break;
    case UNCLEAR:
        world.is_late = move->argument;
        world.late = move->argument ? world.reading : (struct files){{0}};
        world.process = is_supervised() ? SERVING : IDLE_;
        world.unclear = true;
        answer(&world.reload_done, &failure);
        break;
    case UNREACHED:
        reload_ends(false, &failure);
        break;
    case PROBED:
        world.probed = true;
        world.probe_done = NULL;
        probe_done(apply_, &facts, NULL);
        break;
    case UNPROBED:
        world.probe_done = NULL;
        probe_done(apply_, NULL, &failure);
        break;
    case COMMANDED:
        haproxy_uses(world.command);
        answer(&world.commanded, NULL);
        break;
    case FAILED_COMMAND:
        world.mixed = world.alive && (world.mixed || move->argument);
        answer(&world.commanded, &failure);
        break;
    case DIE:
        gone();
        break;
    case REVIVE:
    case STRANGER:
        world.moved = world.process == RELOADING_;
        haproxy_begins(world.disk);
        break;
    case LATE:
        haproxy_begins(world.late);
        break;
    case KILL:
        if (move->argument)
            haproxy_begins(world.reading);
        forget_hatlas();
        break;
    case STOP:
        world.stopping = true;
        apply_stop(apply_);
        break;
    case STOPPED:
        if (is_supervised()) {
            world.process = IDLE_;
            gone();
        }
        answer(&world.stop_done, NULL);
        break;
    case KINDS:
        break;
    }
    if (world.up && !world.reload_done && world.process != RELOADING_ &&
        world.process != BOOTING)
        world.reading = (struct files){{0}};
    world.moved = world.moved && world.process == RELOADING_;
    if (!world.commanded)
        world.command = (struct files){{0}};
    if (doing.dead || !world.up)
        forget_hatlas();
}

/* Whether it may happen now. */
static bool may(const struct move *move) {
    const struct world *w = &world;
    bool supervised = is_supervised();
    bool reloading = w->process == RELOADING_ && (supervised || w->reload_done);
    switch ((enum kind)move->kind) {
    case BEGIN:
        return !w->up;
    case WANT:
        return w->up && !w->stopping;
    case TIMER:
        return w->up && w->armed;
    case PASS:
        return w->up && !w->stopping;
    case ACCEPT:
        return w->check_done && is_valid(w->stage.at[CONFIG]);
    case REFUSE:
        return w->check_done;
    case BOOT:
        return w->up && !w->stopping && supervised && w->process == BACKOFF_;
    case BOOTED:
        return w->up && !w->stopping && w->process == BOOTING &&
               is_loadable(w->reading.at[CONFIG]);
    case LOADED:
        return w->up && !w->stopping && reloading && w->alive &&
               is_loadable(w->reading.at[CONFIG]);
    case UNLOADED: /* reload.c, judge(): who began anew has reloaded */
        return w->up && !w->stopping && reloading && w->alive && !w->moved;
    case UNCLEAR:
        return w->up && !w->stopping && reloading && w->alive && scene->unclear &&
               (!move->argument || is_loadable(w->reading.at[CONFIG]));
    case UNREACHED:
        return w->up && !w->stopping && reloading && !supervised;
    case PROBED:
        return w->probe_done && w->alive;
    case UNPROBED:
        return w->probe_done;
    case COMMANDED:
        return w->commanded && w->alive && w->probed && !w->mixed;
    case FAILED_COMMAND:
        return w->commanded && (!move->argument || w->alive);
    case DIE:
        return !w->stopping && (w->alive || (w->up && w->process == BOOTING));
    case REVIVE:
        return !w->alive && !supervised && is_loadable(w->disk.at[CONFIG]);
    case STRANGER:
        return w->alive && scene->strangers && is_loadable(w->disk.at[CONFIG]) &&
               (!supervised || w->process == SERVING) && !w->stopping;
    case LATE:
        return w->is_late && w->alive;
    case KILL:
        return w->up &&
               (!move->argument || ((w->process == BOOTING || (reloading && w->alive)) &&
                                    is_loadable(w->reading.at[CONFIG])));
    case STOP:
        return w->up && !w->stopping;
    case STOPPED:
        return w->stop_done;
    case KINDS:
        break;
    }
    return false;
}

/* ---- one state, and what it leads to ---- */

/* What is always set anew before it is read makes no other state. */
static void forget_unused(struct apply *a) {
    if (a->state != LOADING)
        a->before = NULL;
    if (!a->first_command)
        a->last_command = 0;
    if (!scene->interval)
        a->reload_wanted = a->last_reload = 0;
    if (!a->plan)
        memset(&world.plan, 0, sizeof world.plan);
}

/* The same state at another time of the clock is the same state. A time is in the future, a
 * limit is over, or it has just begun to run: no more is told apart. */
static void normalize(void) {
    struct apply *a = apply_;
    int64_t now = world.now;
    int64_t interval = site.apply.min_reload_interval * 1000;
    memset(&a->error, 0, sizeof a->error);
    if (!world.up)
        return;
    a->retry_after = a->retry_after ? RETRY_MIN : 0;
    a->retry_at = a->retry_at > now ? NOW + RETRY_MIN : 0;
    a->reload_wanted = a->reload_wanted ? NOW : 0;
    a->last_reload = a->last_reload && a->last_reload + interval > now
                         ? NOW + a->last_reload - now
                         : 0;
    a->last_command = a->last_command + FILE_QUIET > now ? NOW : 0;
    if (a->first_command)
        a->first_command = a->first_command + FILE_LATEST > now ? NOW : NOW - FILE_LATEST;
    a->wanted_at = NOW;
    forget_unused(a);
    world.due = !world.armed ? 0 : world.due > now ? NOW + world.due - now : NOW;
    world.now = NOW;
}

static void make(const struct move *move) {
    doing = (struct step_state){
        .dies_at = move->dies_at, .full_from = move->full_from, .full_to = move->full_to};
    happen(move);
    normalize();
}

/* What comes next if nothing goes wrong any more. */
static bool next_calm(struct move *move) {
    static const uint8_t order[] = {LATE,   BEGIN,    STOPPED,   ACCEPT,         REFUSE,
                                    PROBED, UNPROBED, COMMANDED, FAILED_COMMAND, LOADED,
                                    BOOTED, UNLOADED, REVIVE,    UNREACHED,      DIE,
                                    WANT,   TIMER,    BOOT};
    bool booting = world.process == BOOTING;
    for (size_t i = 0; i < sizeof order; i++) {
        *move = (struct move){.kind = order[i]};
        if ((order[i] == DIE && !booting) || (order[i] == WANT && world.told))
            continue;
        for (unsigned j = 0; order[i] == WANT && j < want_count(); j++)
            if (files_equal(want_of(j), world.wanted))
                move->argument = (uint8_t)(2 * j);
        if (may(move))
            return true;
    }
    return false;
}

static bool tell; /* the moves of the way to a fault */

static void show(const struct move *move) {
    struct files f = world.disk;
    const char *name = kind_names[move->kind];
    printf("    %s", name);
    if (move->kind == WANT)
        printf(" %s%s", scene->wants[move->argument / 2],
               move->argument % 2 ? ", once more" : "");
    else if (move->argument)
        printf(" (%d)", move->argument);
    if (move->dies_at)
        printf(", kill -9 before file operation %d", move->dies_at);
    if (move->full_from)
        printf(", file operations %d to %d fail", move->full_from, move->full_to);
    printf(" -> disk %c%c%c%s, HAProxy ", config_names[f.at[CONFIG]],
           map_names[f.at[MAP]], note_names[f.at[NOTE]], world.marker ? " owed" : "");
    if (world.alive)
        printf("%c%c%s", config_names[world.uses.at[CONFIG]],
               map_names[world.uses.at[MAP]], world.mixed ? " mixed" : "");
    else
        printf("is dead");
    printf(world.up ? ", state %d\n" : ", no hatlas\n",
           world.up ? (int)apply_->state : 0);
}

/* What is wanted can't be had, and the state before it is in place. */
static bool is_refused(void) {
    bool hopeless = !is_loadable(world.wanted.at[CONFIG]);
    return world.settled == FAILED && (hopeless || apply_->refused) &&
           (is_so(world.disk) || (!world.disk.at[CONFIG] && !world.alive) ||
            !is_loadable(world.disk.at[CONFIG]));
}

/* What is in place can't be loaded, there was nothing before it or a crash forgot what, and
 * what is wanted can't be had either: that is said, and tried again for ever. */
static bool is_hopeless(void) {
    bool refused = outputs_equal(apply_->refused, apply_->wanted);
    return world.up && world.told && world.disk.at[CONFIG] &&
           !is_loadable(world.disk.at[CONFIG]) &&
           (refused || !is_loadable(world.wanted.at[CONFIG]));
}

/* From here on nothing goes wrong. Ends with what is wanted in place, and quiet. */
static const char *be_calm(void) {
    struct move move;
    for (int i = 0; i < 300; i++) {
        if (is_hopeless())
            return NULL;
        if (world.stopping && !world.stop_done)
            return "it does not stop";
        if (!next_calm(&move)) {
            if (world.settled == SETTLED ? is_so(world.wanted) && world.alive
                                         : is_refused())
                return NULL;
            return "faults have ended, and what is wanted is not in place";
        }
        make(&move);
        if (tell)
            show(&move);
        if (doing.broken)
            return doing.broken;
    }
    return "faults have ended, and it does not come to rest";
}

/* ---- all states ---- */

enum {
    HEAD = offsetof(struct world, apply) + offsetof(struct apply, error),
    TAIL = HEAD + sizeof(struct error),
    PACKED = sizeof(struct world) - sizeof(struct error),
    SLOTS = 1 << 23
};

struct packed {
    unsigned char bytes[PACKED];
};

struct known {
    uint32_t parent;
    struct move move;
};

static struct packed *states;
static struct known *ways;
static uint64_t *hashes; /* of state at index - 1 */
static uint32_t *slots;
static uint32_t count, room, limit;

static void pack(struct packed *to) {
    const unsigned char *from = (const unsigned char *)&world;
    memcpy(to->bytes, from, HEAD);
    memcpy(to->bytes + HEAD, from + TAIL, sizeof world - TAIL);
}

static void unpack(const struct packed *from) {
    unsigned char *to = (unsigned char *)&world;
    memcpy(to, from->bytes, HEAD);
    memset(to + HEAD, 0, sizeof(struct error));
    memcpy(to + TAIL, from->bytes + HEAD, sizeof world - TAIL);
}

static uint64_t hash_of(const struct packed *state) {
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i < PACKED; i++)
        hash = (hash ^ state->bytes[i]) * 1099511628211U;
    return hash;
}

/* Returns whether it is new. */
static bool remember(uint32_t parent, const struct move *move) {
    struct packed state;
    pack(&state);
    uint64_t hash = hash_of(&state);
    uint32_t slot = (uint32_t)(hash % SLOTS);
    for (; slots[slot]; slot = (slot + 1) % SLOTS)
        if (hashes[slots[slot] - 1] == hash)
            return false;
    if (count == room) {
        room = room ? 2 * room : 4096;
        states = realloc(states, room * sizeof *states);
        ways = realloc(ways, room * sizeof *ways);
        hashes = realloc(hashes, room * sizeof *hashes);
        if (!states || !ways || !hashes)
            abort();
    }
    states[count] = state;
    ways[count] = (struct known){parent, *move};
    hashes[count] = hash;
    slots[slot] = ++count;
    return true;
}

static void show_way(uint32_t to) {
    if (to && ways[to].parent != to)
        show_way(ways[to].parent);
    unpack(&states[to]);
    show(&ways[to].move);
}

static void report(uint32_t from, const struct move *move, const char *what) {
    printf("%s: %s: %s\n", mode_name(), scene->name, what);
    show_way(from);
    unpack(&states[from]);
    if (move) {
        make(move);
        show(move);
        printf("  after that, without faults:\n");
    }
    tell = true;
    if (!doing.broken)
        (void)be_calm();
    tell = false;
}

/* Tries one move; a fault is reported. Returns the number of operations on the disk. */
static int try(uint32_t from, const struct move *move) {
    unpack(&states[from]);
    if (!may(move))
        return -1;
    make(move);
    int operations = (int)doing.operations;
    const char *broken = doing.dead ? NULL : doing.broken;
    if (!broken && remember(from, move)) {
        broken = be_calm();
    }
    if (!broken)
        return operations;
    report(from, move, broken);
    return -2;
}

/* With every operation on the disk failing, or the last. */
static bool try_faults(uint32_t from, struct move move, int operations) {
    for (int i = 1; i <= operations; i++) {
        struct move one = move;
        one.dies_at = (uint8_t)i;
        if (try(from, &one) == -2)
            return false;
        one.dies_at = 0;
        one.full_from = one.full_to = (uint8_t)i;
        if (scene->faults_of_disk && try(from, &one) == -2)
            return false;
        one.full_to = UINT8_MAX;
        if (scene->faults_of_disk && try(from, &one) == -2)
            return false;
    }
    return true;
}

static bool explore_from(uint32_t from) {
    for (unsigned kind = 0; kind < KINDS; kind++) {
        unsigned arguments = kind == WANT ? 2 * want_count() : 2;
        bool twofold =
            kind == WANT || kind == KILL || kind == UNCLEAR || kind == FAILED_COMMAND;
        for (unsigned i = 0; i < (twofold ? arguments : 1); i++) {
            struct move move = {.kind = (uint8_t)kind, .argument = (uint8_t)i};
            int operations = try(from, &move);
            if (operations == -2 || !try_faults(from, move, operations))
                return false;
        }
    }
    return true;
}

static bool explore(const struct scene *what) {
    static char name[] = "node";
    struct move none = {.kind = KILL};
    scene = what;
    count = 0;
    memset(slots, 0, SLOTS * sizeof *slots);
    memset(&world, 0, sizeof world);
    site.haproxy.control = control;
    site.node_name = name;
    site.apply.runtime = true;
    site.apply.min_reload_interval = what->interval;
    world.wanted = want_of(0);
    (void)remember(0, &none);
    for (uint32_t i = 0; i < count && count < limit; i++)
        if (!explore_from(i))
            return false;
    printf("%9s: %-14s %8u states%s\n", mode_name(), what->name, count,
           count < limit ? ", all" : "");
    return true;
}

/* Each under supervise and beside an HAProxy that others run: what may be wanted, and what
 * else may go wrong. */
static const struct scene scenes[] = {
    {.name = "commands", .wants = {"axm", "bxm"}, .strangers = true},
    {.name = "reload", .wants = {"axm", "cym"}, .strangers = true},
    {.name = "refused", .wants = {"axm", "pxm"}},
    {.name = "not loadable", .wants = {"axm", "rxm"}},
    {.name = "other files", .wants = {"axm", "axn"}, .faults_of_disk = true},
    {.name = "disk", .wants = {"axm", "cym"}, .faults_of_disk = true},
    {.name = "unclear", .wants = {"axm", "cxm"}, .unclear = true},
    {.name = "interval", .wants = {"axm", "cxm"}, .interval = 2000},
};

/* apply [STATES [SCENE]]: the nearest so many states of each scene; 0: all. */
int main(int argc, char **argv) {
    const char *name = argc > 2 ? argv[2] : "";
    limit = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    limit = limit ? limit : SLOTS / 2;
    slots = calloc(SLOTS, sizeof *slots);
    for (int i = 0; i < COPIES * COMBINATIONS; i++) {
        struct combination *each = &table[i];
        each->outputs.count = FILES;
        each->items[CONFIG].exists = files_of(&each->outputs).at[CONFIG];
    }
    for (size_t i = 0; i < 2 * sizeof scenes / sizeof *scenes; i++) {
        control = i % 2 ? CONTROL_MASTER_SOCKET : CONTROL_SUPERVISE;
        if (strstr(scenes[i / 2].name, name) && !explore(&scenes[i / 2]))
            return 1;
    }
    return 0;
}
