/* One handle of the ZooKeeper client in the loop: connecting, expiry, back-off, and a
 * window of requests that keeps the server busy without being at its mercy. CONNECTING ->
 * CONNECTED <-> LOST; expired, refused or flapping: a new handle */
#include "source/zk_session.h"
#include "base/clock.h"
#include "base/mem.h"
#include "source/secret.h"
#include "source/zk_client.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 800,         /* requests outstanding */
    REPLIES_A_TURN = 512, /* then other events of the loop have their turn */
    CROWD = 64,           /* of requests outstanding: replies are read by the batch */
    FLAPS = 3,            /* in a row, then a new session */
};

/* Microseconds. */
static const int64_t batch_pause = 1000;
static const int64_t pause_min = 50000; /* between two attempts to connect */
static const int64_t pause_max = 2000000;
static const int64_t backoff_min = 50000; /* between two sessions */
static const int64_t backoff_max = 10000000;
static const int64_t stable = 5000000; /* a connection that held as long does not flap */

struct zk_session {
    struct event_base *base;
    const struct log *log;
    const struct source_settings *settings;
    struct zk_listener listener;
    zhandle_t *handle; /* NULL while waiting to start again */
    struct event *io;  /* the handle's socket and time-out */
    struct event *starter;
    STAILQ_HEAD(zk_reads, zk_read) queue;
    size_t sent; /* reads that are ZK_SENT */
    size_t watches;
    size_t watch_bytes;
    enum zk_session_state state;
    int socket;
    bool in_turn, closing;
    bool batch;      /* the socket is not polled, replies gather in it */
    bool failed;     /* the connection, or the attempt to make one, in this turn */
    bool complained; /* a failure to connect is logged once */
    int64_t pause;   /* the last one before an attempt to connect; 0: none yet */
    int64_t backoff; /* the last one before a session */
    int64_t connected_at;
    int flaps;
    char server[128];
    char why[512];
};

/* Reads. */

static void set_state(struct zk_read *read, enum zk_read_state state) {
    struct zk_session *session = read->session;
    session->watches += (state == ZK_WATCHED);
    session->watches -= (read->state == ZK_WATCHED);
    session->sent += (state == ZK_SENT);
    session->sent -= (read->state == ZK_SENT);
    read->state = state;
}

static bool is_connected(const struct zk_session *session) {
    return session->handle && zoo_state(session->handle) == ZOO_CONNECTED_STATE;
}

/* Has a turn sent what was asked of the handle outside of its own turn. */
static void wake(struct zk_session *session) {
    if (!session->in_turn && !session->closing && is_connected(session))
        event_active(session->io, EV_TIMEOUT, 0);
}

static void queue_read(struct zk_read *read, bool exists) {
    struct zk_session *session = read->session;
    set_state(read, ZK_QUEUED);
    read->exists = exists;
    STAILQ_INSERT_TAIL(&session->queue, read, next);
    wake(session);
}

static void tell(struct zk_read *read, const struct zk_answer *answer) {
    const struct zk_listener *listener = &read->session->listener;
    listener->answered(listener->arg, read, answer);
}

/* What the answer means for the watch: a get on a missing znode sets none, so awexists
 * has to follow, and if the znode came to be in between, another get. */
static void settle(struct zk_read *read, struct zk_answer *answer) {
    bool again = read->again;
    bool exists = read->exists;
    read->again = false;
    answer->stale = again;
    if (!exists || answer->kind == ZK_UNREADABLE)
        tell(read, answer);
    if (read->dropped) {
        set_state(read, ZK_IDLE);
        free(read);
    } else if (answer->kind == ZK_UNREADABLE && !again) {
        set_state(read, ZK_IDLE);
    } else if (again || (exists && answer->kind == ZK_FOUND)) {
        queue_read(read, false);
    } else if (!exists && answer->kind == ZK_MISSING) {
        queue_read(read, true);
    } else {
        set_state(read, ZK_WATCHED);
    }
}

static void watch_removed(int rc, const void *data) {
    (void)rc;
    (void)data;
}

/* All watches of the path are that one; zoo_aremove_watches() would only ask whether the
 * server has it. The client declares a pointer to the completion but takes the completion.
 */
static void remove_watch(struct zk_session *session, const char *path) {
    if (!is_connected(session))
        return;
    (void)zoo_aremove_all_watches(session->handle, path, ZWATCHTYPE_ANY, 0,
                                  (void_completion_t *)(uintptr_t)watch_removed, NULL);
    wake(session);
}

/* The owner was done with it before the answer came, which may have left a watch: for as
 * long as the session lasts, if the path never comes back. */
static void finish_dropped(struct zk_read *read, int rc) {
    struct zk_session *session = read->session;
    const struct zk_listener *listener = &session->listener;
    bool watched = rc == ZOK || (rc == ZNONODE && read->exists);
    if (watched && !session->closing &&
        !listener->wanted(listener->arg, session, read->path))
        remove_watch(session, read->path);
    set_state(read, ZK_IDLE);
    free(read);
}

/* Whether the code tells of the connection, and nothing of the znode. */
static bool is_lost(const struct zk_session *session, int rc) {
    if (rc == ZOK || rc == ZNONODE)
        return false;
    return session->closing || !is_connected(session) || rc == ZCONNECTIONLOSS ||
           rc == ZOPERATIONTIMEOUT || rc == ZCLOSING || rc == ZSESSIONEXPIRED ||
           rc == ZSESSIONMOVED;
}

/* Every request ends here, with the server's answer or with the connection. */
static void finish(const struct zk_read *answered, int rc, struct zk_answer answer) {
    struct zk_read *read = (struct zk_read *)answered;
    if (read->dropped) {
        finish_dropped(read, rc);
    } else if (is_lost(read->session, rc)) {
        read->again = false;
        queue_read(read, read->exists);
    } else {
        answer.code = rc;
        if (rc == ZOK)
            answer.kind = ZK_FOUND;
        else
            answer.kind = rc == ZNONODE ? ZK_MISSING : ZK_UNREADABLE;
        settle(read, &answer);
    }
}

static void got_data(int rc, const char *value, int len, const struct Stat *stat,
                     const void *data) {
    struct zk_answer answer = {.data = value, .len = len > 0 ? (size_t)len : 0};
    if (rc == ZOK && stat)
        answer.version = stat->version;
    finish(data, rc, answer);
}

static void got_children(int rc, const struct String_vector *names, const void *data) {
    struct zk_answer answer = {0};
    if (rc == ZOK && names && names->count > 0) {
        answer.names = names->data;
        answer.count = (size_t)names->count;
    }
    finish(data, rc, answer);
}

static void got_stat(int rc, const struct Stat *stat, const void *data) {
    (void)stat;
    finish(data, rc, (struct zk_answer){0});
}

/* One function and one context for all watches, because the client compares each with all
 * others at every session event. */
static void watch_fired(zhandle_t *handle, int type, int state, const char *path,
                        void *arg) {
    (void)handle;
    (void)state;
    struct zk_session *session = arg;
    if (type != ZOO_SESSION_EVENT && !session->closing)
        session->listener.fired(session->listener.arg, session, path);
}

static int request(struct zk_session *session, struct zk_read *read) {
    if (read->exists)
        return zoo_awexists(session->handle, read->path, watch_fired, session, got_stat,
                            read);
    if (read->type == ZK_CHILDREN)
        return zoo_awget_children(session->handle, read->path, watch_fired, session,
                                  got_children, read);
    return zoo_awget(session->handle, read->path, watch_fired, session, got_data, read);
}

/* The client sends each request by itself; corked, they leave in full packets. */
static void cork(const struct zk_session *session, int on) {
    if (session->socket >= 0)
        (void)setsockopt(session->socket, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

static void send_queue(struct zk_session *session) {
    if (STAILQ_EMPTY(&session->queue) || !is_connected(session))
        return;
    cork(session, 1);
    while (session->sent < WINDOW && !STAILQ_EMPTY(&session->queue)) {
        struct zk_read *read = STAILQ_FIRST(&session->queue);
        int rc = read->dropped ? ZOK : request(session, read);
        if (rc != ZOK && rc != ZBADARGUMENTS)
            break;
        STAILQ_REMOVE_HEAD(&session->queue, next);
        set_state(read, read->dropped ? ZK_IDLE : ZK_SENT);
        if (read->dropped)
            free(read);
        else if (rc == ZBADARGUMENTS)
            settle(read, &(struct zk_answer){.kind = ZK_UNREADABLE, .code = rc});
    }
    cork(session, 0);
}

void zk_session_read(struct zk_session *session, struct zk_read *read) {
    if (!read->session) {
        read->session = session;
        session->watch_bytes += strlen(read->path) + 4;
    }
    if (read->state == ZK_SENT)
        read->again = true;
    else if (read->state == ZK_QUEUED)
        read->exists = false;
    else
        queue_read(read, false);
}

void zk_session_drop(struct zk_read *read) {
    struct zk_session *session = read->session;
    session->watch_bytes -= strlen(read->path) + 4;
    if (read->state == ZK_QUEUED || read->state == ZK_SENT) {
        read->dropped = true;
        return;
    }
    if (read->state == ZK_WATCHED)
        remove_watch(session, read->path);
    set_state(read, ZK_IDLE);
    free(read);
}

/* The handle. */

/* Doubles the delay between its limits and returns it with some chance in it, so that a
 * fleet does not come back as one. */
static int64_t back_off(int64_t *delay, int64_t min, int64_t max) {
    uint32_t dice;
    *delay = *delay ? *delay * 2 : min;
    if (*delay > max)
        *delay = max;
    evutil_secure_rng_get_bytes(&dice, sizeof dice);
    return *delay / 2 + dice % (*delay / 2);
}

static void start_later(struct zk_session *session, bool at_once) {
    int64_t delay = 0;
    if (!at_once || session->backoff)
        delay = back_off(&session->backoff, backoff_min, backoff_max);
    struct timeval wait = clock_timeval(delay);
    (void)evtimer_add(session->starter, &wait);
}

static void complain(struct zk_session *session) {
    if (!session->complained)
        log_warning(session->log, "can't use ZooKeeper; trying again until it answers",
                    LOG_STR("zookeeper", session->settings->hosts),
                    LOG_STR("error", session->why));
    session->complained = true;
}

static void set_why(struct zk_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void set_why(struct zk_session *session, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(session->why, sizeof session->why, format, args);
    va_end(args);
}

static const char *reason(int rc, int error) {
    if (error == EHOSTDOWN) /* what the client makes of an end of file */
        return "the server closed the connection";
    return error ? strerror(error) : zerror(rc);
}

static void note_error(struct zk_session *session, int rc, const char *server,
                       int error) {
    if (rc == ZOK || rc == ZNOTHING || rc == ZINVALIDSTATE)
        return;
    session->failed = true;
    set_why(session, "%s: %s", server, reason(rc, error));
}

/* A session that is given up again and again tells it once, until a connection holds. */
static void tell_log(const struct zk_session *session, enum log_level level,
                     const char *message, struct log_field what) {
    const struct log_field fields[] = {
        LOG_STR("zookeeper", session->settings->hosts), what, {0}};
    log_write(session->log, session->backoff ? LOG_DEBUG : level, message, fields);
}

static void note_connected(struct zk_session *session) {
    session->state = ZK_CONNECTED;
    session->connected_at = clock_usec();
    session->complained = false;
    session->pause = 0;
    session->why[0] = '\0';
    (void)snprintf(session->server, sizeof session->server, "%s",
                   zoo_get_current_server(session->handle));
    tell_log(session, LOG_INFO, "connected to ZooKeeper",
             LOG_STR("server", session->server));
}

static void note_lost(struct zk_session *session) {
    session->state = ZK_LOST;
    session->server[0] = '\0';
    if (clock_usec() - session->connected_at < stable) {
        session->flaps++;
    } else {
        session->flaps = 0;
        session->backoff = 0;
    }
    tell_log(session, LOG_WARNING, "connection to ZooKeeper lost; trying to get it back",
             LOG_STR("error", session->why));
}

static void note_state(struct zk_session *session) {
    bool connected = is_connected(session);
    if (connected && session->state != ZK_CONNECTED)
        note_connected(session);
    else if (!connected && session->state == ZK_CONNECTED)
        note_lost(session);
    else if (session->state == ZK_CONNECTING && session->why[0])
        complain(session);
}

/* Why the handle is of no use any more, or NULL. */
static const char *give_up_reason(const struct zk_session *session) {
    if (!is_unrecoverable(session->handle))
        return session->flaps < FLAPS
                   ? NULL
                   : "the connection breaks as soon as it is made, reading everything "
                     "again in a new session";
    return zoo_state(session->handle) == ZOO_AUTH_FAILED_STATE
               ? "ZooKeeper refused the credentials (auth scheme and file)"
               : "session expired, reading everything again";
}

static void close_handle(struct zk_session *session) {
    session->closing = true;
    session->batch = false;
    (void)event_del(session->io);
    if (session->handle)
        (void)zookeeper_close(session->handle);
    session->handle = NULL;
    session->socket = -1;
    session->closing = false;
}

static void restart(struct zk_session *session, const char *why) {
    bool expired = zoo_state(session->handle) == ZOO_EXPIRED_SESSION_STATE;
    set_why(session, "%s", why);
    tell_log(session, LOG_WARNING, "the ZooKeeper session is over; beginning a new one",
             LOG_STR("error", why));
    close_handle(session);
    session->flaps = 0;
    session->listener.restarted(session->listener.arg, session);
    start_later(session, expired);
}

/* Takes what the server sent. Returns whether that was anything. */
static bool process(struct zk_session *session, short what) {
    int events =
        (what & EV_READ ? ZOOKEEPER_READ : 0) | (what & EV_WRITE ? ZOOKEEPER_WRITE : 0);
    if (session->batch)
        events = ZOOKEEPER_READ | ZOOKEEPER_WRITE;
    char server[sizeof session->server];
    (void)snprintf(server, sizeof server, "%s",
                   session->server[0] ? session->server
                                      : zoo_get_current_server(session->handle));
    for (int i = 0; i < REPLIES_A_TURN; i++) {
        errno = 0;
        int rc = zookeeper_process(session->handle, events);
        note_error(session, rc, server, errno);
        if (rc != ZOK || !(events & ZOOKEEPER_READ))
            return i > 0;
        events = ZOOKEEPER_READ;
    }
    return true;
}

static void turn(evutil_socket_t fd, short what, void *arg);

static void wait_for(struct zk_session *session, int fd, short what, int64_t timeout) {
    struct timeval wait = clock_timeval(timeout);
    session->socket = fd;
    (void)event_assign(session->io, session->base, fd, what, turn, session);
    (void)event_add(session->io, &wait);
}

/* Waking up for each of many replies would cost both sides more than the replies do. */
static bool is_crowded(const struct zk_session *session, bool received) {
    return received && session->sent > CROWD && is_connected(session);
}

/* Lets the handle connect, or say what it waits for. While it is not connected that looks
 * up names and blocks, so the pauses are at least as long. */
static void wait_for_events(struct zk_session *session, bool received) {
    int fd = -1;
    int interest = 0;
    struct timeval timeout = {0};
    int64_t began = clock_usec();
    errno = 0;
    int rc = zookeeper_interest(session->handle, &fd, &interest, &timeout);
    note_error(session, rc, session->settings->hosts, errno);
    session->batch = rc == ZOK && is_crowded(session, received);
    if (session->batch) {
        wait_for(session, -1, 0, batch_pause);
        session->socket = fd;
    } else if (rc == ZOK) {
        short what = (short)((interest & ZOOKEEPER_READ ? EV_READ : 0) |
                             (interest & ZOOKEEPER_WRITE ? EV_WRITE : 0));
        wait_for(session, fd, what, (int64_t)timeout.tv_sec * 1000000 + timeout.tv_usec);
    } else {
        int64_t pause = back_off(&session->pause, pause_min, pause_max);
        int64_t took = clock_usec() - began;
        wait_for(session, -1, 0, pause > took ? pause : took);
    }
}

static void turn(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    struct zk_session *session = arg;
    bool was_connected = session->state == ZK_CONNECTED;
    session->in_turn = true;
    session->failed = false;
    /* Before anything that may close the socket: another of the same number would never
     * be polled. */
    (void)event_del(session->io);
    bool received = process(session, what);
    note_state(session);
    send_queue(session);
    /* After an attempt to connect that failed the handle would try again at once. */
    if (session->failed && !was_connected)
        wait_for(session, -1, 0, back_off(&session->pause, pause_min, pause_max));
    else
        wait_for_events(session, received);
    note_state(session);
    const char *why = give_up_reason(session);
    if (why)
        restart(session, why);
    session->in_turn = false;
    session->listener.turned(session->listener.arg, session);
}

/* The client's log says nothing that its states don't, and its callback has no context.
 */
static void no_log(const char *message) {
    (void)message;
}

static void session_event(zhandle_t *handle, int type, int state, const char *path,
                          void *arg) {
    (void)handle;
    (void)type;
    (void)state;
    (void)path;
    (void)arg;
}

static bool add_auth(struct zk_session *session) {
    struct buffer secret = BUFFER_INIT;
    struct error error;
    bool done = secret_read(session->settings, &secret, &error);
    if (!done) {
        set_why(session, "%s: %s", error.where, error.text);
    } else {
        int rc = zoo_add_auth(session->handle, session->settings->auth_scheme,
                              buffer_str(&secret), (int)secret.len, NULL, NULL);
        done = rc == ZOK;
        if (!done)
            set_why(session, "auth: %s", zerror(rc));
    }
    secret_free(&secret);
    return done;
}

static bool open_handle(struct zk_session *session) {
    const struct source_settings *settings = session->settings;
    int timeout = settings->session_timeout > 0 ? (int)settings->session_timeout : 10000;
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    session->handle = zookeeper_init2(settings->hosts, session_event, timeout, NULL,
                                      session, ZOO_NO_LOG_CLIENTENV, no_log);
    if (!session->handle) {
        bool names = errno == ENOENT || errno == EINVAL;
        set_why(session, "%s: %s", settings->hosts,
                names ? "no host of these could be looked up" : strerror(errno));
        return false;
    }
    (void)zoo_set_servers_resolution_delay(session->handle, -1);
    if (settings->auth_scheme && !add_auth(session)) {
        close_handle(session);
        return false;
    }
    return true;
}

static void start(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct zk_session *session = arg;
    if (open_handle(session)) {
        session->in_turn = true;
        wait_for_events(session, false);
        session->in_turn = false;
    } else {
        complain(session);
        start_later(session, false);
    }
    session->listener.turned(session->listener.arg, session);
}

struct zk_session *zk_session_new(struct event_base *base, const struct log *log,
                                  const struct source_settings *settings,
                                  const struct zk_listener *listener) {
    struct zk_session *session = mem_zalloc(sizeof *session);
    session->base = base;
    session->log = log;
    session->settings = settings;
    session->listener = *listener;
    session->socket = -1;
    STAILQ_INIT(&session->queue);
    session->io = event_new(base, -1, 0, turn, session);
    session->starter = evtimer_new(base, start, session);
    start_later(session, true);
    return session;
}

void zk_session_free(struct zk_session *session) {
    close_handle(session);
    while (!STAILQ_EMPTY(&session->queue)) {
        struct zk_read *read = STAILQ_FIRST(&session->queue);
        STAILQ_REMOVE_HEAD(&session->queue, next);
        set_state(read, ZK_IDLE);
        if (read->dropped)
            free(read);
    }
    event_free(session->io);
    event_free(session->starter);
    free(session);
}

void zk_session_status(const struct zk_session *session,
                       struct zk_session_status *status) {
    *status = (struct zk_session_status){
        .state = session->state,
        .server = session->server,
        .why = session->why,
        .watches = session->watches,
        .watch_bytes = session->watch_bytes,
    };
}
