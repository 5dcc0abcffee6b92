/* Looks after servers that a plan has added or removed. It works in rounds, each on a
 * connection of its own: who answers there, delete what can be deleted, see which checks
 * have passed, make those servers ready; then it sleeps until something is due. */
#include "haproxy/background.h"
#include "base/clock.h"
#include "base/mem.h"
#include "haproxy/answer.h"
#include "haproxy/greeting.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum {
    LEAVE_FIRST_USEC = 100000,
    LEAVE_MOST_USEC = 10000000,
    WARM_STEP_USEC = 100000,
    WARM_SLOW_USEC = 1000000, /* for checks that are seldom */
    WARM_SLOW_AFTER_USEC = 10000000,
    WARM_MOST_USEC = 60000000,
    FAULT_USEC = 1000000, /* the socket did not answer */
};

/* A server and what it waits for. */
struct pending {
    char *server;
    char *backend;
    char *keywords; /* leaving: NULL if not known */
    bool leaving;   /* else it is warming */
    bool told;      /* the log has said that it lasts */
    int64_t since, due;
    unsigned round; /* of the last look at it */
    enum { WARMING, READY, READY_DOWN, READY_ALONE } finding;
    UT_hash_handle hh;
};

struct background {
    struct event_base *base;
    const struct log *log;
    const struct haproxy_settings *settings;
    pid_t pid; /* 0: paused */
    struct pending *pendings;
    struct event *timer;
    struct greeting *greeting; /* a round is under way */
    unsigned round;
    int64_t now;             /* when the round began */
    struct pending *leaving; /* the next to try to delete in this round */
    struct pending *asked;   /* whom the last command was about */
    size_t others;           /* servers of the backend that can serve */
};

static void proceed(struct background *b);
static void on_timer(evutil_socket_t fd, short what, void *arg);

struct background *background_new(struct event_base *base, const struct log *log,
                                  const struct haproxy_settings *settings) {
    struct background *b = mem_zalloc(sizeof *b);
    b->base = base;
    b->log = log;
    b->settings = settings;
    b->timer = event_new(base, -1, 0, on_timer, b);
    return b;
}

static struct pending *find(const struct background *b, const char *server) {
    struct pending *pending = NULL;
    HASH_FIND_STR(b->pendings, server, pending);
    return pending;
}

static void free_pending(struct pending *pending) {
    free(pending->server);
    free(pending->backend);
    free(pending->keywords);
    free(pending);
}

static void drop(struct background *b, struct pending *pending) {
    HASH_DEL(b->pendings, pending);
    free_pending(pending);
}

void background_drop(struct background *b, const char *server) {
    struct pending *pending = find(b, server);
    if (pending)
        drop(b, pending);
}

static struct pending *add(struct background *b, const char *server) {
    background_drop(b, server);
    struct pending *pending = mem_zalloc(sizeof *pending);
    pending->server = mem_strdup(server);
    pending->backend = mem_strndup(server, strcspn(server, "/"));
    pending->since = clock_usec();
    pending->due = pending->since;
    HASH_ADD_KEYPTR(hh, b->pendings, pending->server, strlen(pending->server), pending);
    return pending;
}

void background_warm(struct background *b, const char *server) {
    (void)add(b, server);
}

void background_leave(struct background *b, const char *server, const char *keywords) {
    struct pending *pending = add(b, server);
    pending->leaving = true;
    pending->keywords = mem_strdup(keywords);
}

bool background_is_warming(const struct background *b, const char *server) {
    const struct pending *pending = find(b, server);
    return pending && !pending->leaving;
}

bool background_is_leaving(const struct background *b, const char *server) {
    const struct pending *pending = find(b, server);
    return pending && pending->leaving;
}

void background_each_warming(const struct background *b,
                             void (*visit)(void *arg, const char *backend,
                                           const char *server),
                             void *arg) {
    for (const struct pending *p = b->pendings; p; p = p->hh.next)
        if (!p->leaving)
            visit(arg, p->backend, p->server);
}

void background_hurry(struct background *b, const char *backend) {
    for (struct pending *p = b->pendings; p; p = p->hh.next)
        if (!p->leaving && !strcmp(p->backend, backend))
            p->due = 0;
}

bool background_has_keywords(const struct background *b, const char *server,
                             const char *keywords) {
    const struct pending *pending = find(b, server);
    return pending && pending->keywords && !strcmp(pending->keywords, keywords);
}

void background_count(const struct background *b, size_t *warming, size_t *leaving) {
    *warming = *leaving = 0;
    for (const struct pending *p = b->pendings; p; p = p->hh.next)
        (*(p->leaving ? leaving : warming))++;
}

/* ---- a round ---- */

/* The round is over: sleeps until the first server is due. */
static void rest(struct background *b) {
    greeting_close(b->greeting);
    b->greeting = NULL;
    int64_t due = INT64_MAX;
    for (const struct pending *p = b->pendings; p; p = p->hh.next)
        due = p->due < due ? p->due : due;
    if (due == INT64_MAX)
        return;
    struct timeval wait = clock_timeval(due - clock_usec());
    (void)event_add(b->timer, &wait);
}

static void fault(struct background *b, const struct error *error) {
    log_debug(b->log, "the runtime API gives no answer, will be asked again",
              LOG_STR("where", error->where), LOG_STR("error", error->text));
    greeting_close(b->greeting);
    b->greeting = NULL;
    (void)event_add(b->timer, &(struct timeval){FAULT_USEC / 1000000, 0});
}

static void give_up(struct background *b, struct pending *pending, const char *what,
                    const char *answer) {
    log_warning(b->log, what, LOG_STR("server", pending->server),
                LOG_STR("answer", answer));
    drop(b, pending);
}

static void postpone_deletion(struct background *b, struct pending *pending) {
    int64_t age = b->now - pending->since;
    int64_t wait = age / 2;
    if (wait < LEAVE_FIRST_USEC)
        wait = LEAVE_FIRST_USEC;
    if (wait > LEAVE_MOST_USEC)
        wait = LEAVE_MOST_USEC;
    pending->due = b->now + wait;
    if (pending->told || age < b->settings->stop_timeout * 1000)
        return;
    pending->told = true;
    log_warning(b->log,
                "a removed server still has sessions, it gets no new ones and is deleted "
                "when they end",
                LOG_STR("server", pending->server), LOG_USEC("since_ms", age));
}

static void on_deleted(void *arg, const char *answer, const struct error *error) {
    struct background *b = arg;
    struct pending *pending = b->asked;
    if (error) {
        fault(b, error);
        return;
    }
    switch (answer_judge(ANSWER_DELETED, answer)) {
    case ANSWER_DONE:
        log_debug(b->log, "deleted a removed server", LOG_STR("server", pending->server));
        drop(b, pending);
        break;
    case ANSWER_BUSY:
        postpone_deletion(b, pending);
        break;
    case ANSWER_UNKNOWN:
        give_up(b, pending,
                "a removed server can't be deleted, it stays in maintenance until the "
                "next reload",
                answer);
        break;
    }
    proceed(b);
}

static void on_ready(void *arg, const char *answer, const struct error *error) {
    struct background *b = arg;
    struct pending *pending = b->asked;
    if (error) {
        fault(b, error);
        return;
    }
    if (answer_judge(ANSWER_NOTHING, answer) == ANSWER_DONE) {
        log_debug(b->log, "an added server is ready", LOG_STR("server", pending->server),
                  LOG_USEC("after_ms", clock_usec() - pending->since));
        drop(b, pending);
    } else {
        give_up(b, pending,
                "an added server can't be made ready, it stays drained until the next "
                "reload",
                answer);
    }
    proceed(b);
}

static void see_server(void *arg, const struct answer_server *server) {
    struct background *b = arg;
    char *name = mem_printf("%s/%s", server->backend, server->server);
    struct pending *pending = find(b, name);
    free(name);
    if (pending && !pending->leaving && server->check_ok)
        pending->finding = READY;
    else if (pending && !pending->leaving && !server->running)
        pending->finding = READY_DOWN;
    b->others += server->running && !server->maintenance && !server->draining &&
                 !server->unresolved && server->weight > 0;
}

static void use_anyway(struct background *b, struct pending *pending, const char *why) {
    pending->finding = READY_ALONE;
    log_warning(b->log, "an added server is used although its check is not known to pass",
                LOG_STR("server", pending->server), LOG_STR("reason", why),
                LOG_USEC("since_ms", b->now - pending->since));
}

static void judge_warming(struct background *b, struct pending *pending, bool readable) {
    int64_t age = b->now - pending->since;
    pending->round = b->round;
    pending->due =
        b->now + (age < WARM_SLOW_AFTER_USEC ? WARM_STEP_USEC : WARM_SLOW_USEC);
    if (!readable)
        use_anyway(b, pending, "HAProxy's answer can't be read");
    else if (pending->finding == WARMING && !b->others)
        pending->finding = READY_ALONE;
    else if (pending->finding == WARMING && age >= WARM_MOST_USEC)
        use_anyway(b, pending, "no check has ended");
}

static void on_servers(void *arg, const char *answer, const struct error *error) {
    struct background *b = arg;
    if (error) {
        fault(b, error);
        return;
    }
    b->others = 0;
    bool readable = answer_servers(answer, see_server, b);
    for (struct pending *p = b->pendings; p; p = p->hh.next)
        if (!p->leaving && !strcmp(p->backend, b->asked->backend))
            judge_warming(b, p, readable);
    proceed(b);
}

static void ask(struct background *b, struct pending *pending, cli_answered *answered,
                const char *before, const char *name, const char *after) {
    char *command = mem_printf("%s%s%s", before, name, after);
    b->asked = pending;
    cli_ask(greeting_cli(b->greeting), command, answered, b);
    free(command);
}

static bool delete_next(struct background *b) {
    while (b->leaving) {
        struct pending *pending = b->leaving;
        b->leaving = pending->hh.next;
        if (!pending->leaving || pending->due > b->now)
            continue;
        ask(b, pending, on_deleted, "del server ", pending->server, "");
        return true;
    }
    return false;
}

static void proceed(struct background *b) {
    if (delete_next(b))
        return;
    for (struct pending *p = b->pendings; p; p = p->hh.next) {
        if (p->leaving || p->finding == WARMING)
            continue;
        ask(b, p, on_ready, "set server ", p->server, " state ready");
        return;
    }
    for (struct pending *p = b->pendings; p; p = p->hh.next) {
        if (p->leaving || p->due > b->now || p->round == b->round)
            continue;
        ask(b, p, on_servers, "show servers state ", p->backend, "");
        return;
    }
    rest(b);
}

static void on_greeted(void *arg, pid_t pid, const struct error *error) {
    struct background *b = arg;
    if (error) {
        fault(b, error);
        return;
    }
    if (pid != b->pid) {
        log_notice(b->log,
                   "another HAProxy answers now, what waited for the old one is "
                   "forgotten",
                   LOG_INT("pid", pid), LOG_INT("old_pid", b->pid));
        background_forget(b);
        return;
    }
    b->leaving = b->pendings;
    proceed(b);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct background *b = arg;
    b->round++;
    b->now = clock_usec();
    b->greeting = greeting_start(b->base, b->settings->socket);
    greeting_await(b->greeting, on_greeted, b);
}

void background_resume(struct background *b, pid_t pid) {
    b->pid = pid;
    if (b->pendings && !b->greeting)
        (void)event_add(b->timer, &(struct timeval){0, 0});
}

void background_pause(struct background *b) {
    (void)event_del(b->timer);
    greeting_close(b->greeting);
    b->greeting = NULL;
}

void background_forget(struct background *b) {
    background_pause(b);
    struct pending *pending = b->pendings;
    HASH_CLEAR(hh, b->pendings);
    while (pending) {
        struct pending *next = pending->hh.next;
        free_pending(pending);
        pending = next;
    }
}

void background_free(struct background *b) {
    background_forget(b);
    event_free(b->timer);
    free(b);
}
