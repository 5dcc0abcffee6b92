/* Asks the master for old workers until none is left, and reports those that outlive
 * haproxy.hard_stop_after. */
#include "haproxy/leftover.h"
#include "base/clock.h"
#include "base/mem.h"
#include "haproxy/master.h"

#include <event2/event.h>
#include <stdlib.h>

enum { ASK_MS = 2000, PAUSE_MIN = 1000000, PAUSE_MAX = 60000000 };

struct leftover {
    struct event_base *base;
    const struct log *log;
    const struct haproxy_settings *settings;
    struct event *timer;
    struct master_ask *ask;
    pid_t oldest;  /* 0: there is none */
    int64_t since; /* when it was first seen to be old */
    int64_t told;  /* how long it had been there when that was last said; 0: never */
};

static int64_t allowed(const struct leftover *leftover) {
    return leftover->settings->hard_stop_after * 1000;
}

static void pause_watch(struct leftover *leftover) {
    int64_t pause = allowed(leftover) / 4;
    pause = pause < PAUSE_MIN ? PAUSE_MIN : pause > PAUSE_MAX ? PAUSE_MAX : pause;
    struct timeval time = clock_timeval(pause);
    (void)event_add(leftover->timer, &time);
}

/* Said once it is too long, and again each time it has become twice as long. */
static void judge(struct leftover *leftover, const struct master_state *state) {
    int64_t now = clock_usec();
    if (state->oldest != leftover->oldest) {
        leftover->oldest = state->oldest;
        leftover->since = now;
        leftover->told = 0;
    }
    int64_t age = now - leftover->since;
    if (age <= allowed(leftover) || age < 2 * leftover->told)
        return;
    leftover->told = age;
    log_warning(
        leftover->log,
        "an old worker of HAProxy does not end, though haproxy.hard_stop_after is "
        "over; does its config have `hard-stop-after`?",
        LOG_INT("pid", state->oldest), LOG_INT("old_workers", state->old),
        LOG_INT("seconds", age / 1000000));
}

static void on_answer(void *arg, const char *answer, int fault,
                      const struct error *error) {
    (void)fault, (void)error;
    struct leftover *leftover = arg;
    struct master_state state;
    leftover->ask = NULL;
    if (answer && master_parse_proc(answer, &state)) {
        if (!state.oldest)
            return;
        judge(leftover, &state);
    }
    pause_watch(leftover);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct leftover *leftover = arg;
    if (!leftover->ask)
        leftover->ask = master_ask(leftover->base, leftover->settings->master_socket,
                                   "show proc", ASK_MS, on_answer, leftover);
}

struct leftover *leftover_new(struct event_base *base, const struct log *log,
                              const struct haproxy_settings *settings) {
    struct leftover *leftover = mem_zalloc(sizeof *leftover);
    leftover->base = base;
    leftover->log = log;
    leftover->settings = settings;
    leftover->timer = event_new(base, -1, 0, on_timer, leftover);
    return leftover;
}

void leftover_free(struct leftover *leftover) {
    if (!leftover)
        return;
    master_forget(leftover->ask);
    event_free(leftover->timer);
    free(leftover);
}

void leftover_watch(struct leftover *leftover) {
    pause_watch(leftover);
}
