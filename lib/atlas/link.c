/* A connection to ZooKeeper in the loop, for what writes.
 *
 *   opening ──► connecting ◄──► connected ──expired──► opening */
#include "atlas/link.h"
#include "base/clock.h"
#include "base/mem.h"
#include "source/secret.h"
#include "source/zk_acl.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLIES_A_TURN = 1024, PAUSE_MIN = 50000, PAUSE_MAX = 2000000 };

struct atlas_link {
    struct event_base *base;
    const struct source_settings *settings;
    atlas_link_turned *turned;
    void *arg;
    zhandle_t *handle;
    struct ACL_vector acl;
    struct event *io;      /* the handle's socket and time-out */
    struct event *starter; /* opens a handle */
    int socket;            /* -1: none */
    unsigned session;
    bool connected, refused, failed;
    int64_t pause;
    char why[2080];
};

/* Doubles the pause, with some chance in it so that a fleet does not come back as one. */
static int64_t next_pause(struct atlas_link *link) {
    uint32_t dice;
    link->pause = link->pause ? link->pause * 2 : PAUSE_MIN;
    if (link->pause > PAUSE_MAX)
        link->pause = PAUSE_MAX;
    evutil_secure_rng_get_bytes(&dice, sizeof dice);
    return link->pause / 2 + dice % (link->pause / 2);
}

static void start_after(struct atlas_link *link, int64_t usec) {
    struct timeval wait = clock_timeval(usec);
    (void)evtimer_add(link->starter, &wait);
}

static void turn(evutil_socket_t fd, short what, void *arg);

static void wait_for(struct atlas_link *link, int fd, short what, int64_t timeout) {
    struct timeval wait = clock_timeval(timeout);
    link->socket = fd;
    (void)event_assign(link->io, link->base, fd, what, turn, link);
    (void)event_add(link->io, &wait);
}

/* EHOSTDOWN is what the client makes of an end of file. */
static void note_error(struct atlas_link *link, int rc, int error) {
    if (rc == ZOK || rc == ZNOTHING || rc == ZINVALIDSTATE)
        return;
    const char *text = error ? strerror(error) : zerror(rc);
    link->failed = true;
    (void)snprintf(link->why, sizeof link->why, "%s",
                   error == EHOSTDOWN ? "the server closed the connection" : text);
}

static void process(struct atlas_link *link, short what) {
    int events =
        (what & EV_READ ? ZOOKEEPER_READ : 0) | (what & EV_WRITE ? ZOOKEEPER_WRITE : 0);
    for (int i = 0; i < REPLIES_A_TURN; i++) {
        errno = 0;
        int rc = zookeeper_process(link->handle, events);
        note_error(link, rc, errno);
        if (rc != ZOK || !(events & ZOOKEEPER_READ))
            return;
        events = ZOOKEEPER_READ;
    }
}

/* While it is not connected this looks up names and may block, hence the pauses. */
static void wait_for_events(struct atlas_link *link) {
    int fd = -1;
    int interest = 0;
    struct timeval timeout = {0};
    errno = 0;
    int rc = zookeeper_interest(link->handle, &fd, &interest, &timeout);
    note_error(link, rc, errno);
    if (rc == ZOK)
        wait_for(link, fd,
                 (short)((interest & ZOOKEEPER_READ ? EV_READ : 0) |
                         (interest & ZOOKEEPER_WRITE ? EV_WRITE : 0)),
                 (int64_t)timeout.tv_sec * 1000000 + timeout.tv_usec);
    else
        wait_for(link, -1, 0, next_pause(link));
}

static void close_handle(struct atlas_link *link) {
    (void)event_del(link->io);
    link->connected = false;
    link->socket = -1;
    if (link->handle)
        (void)zookeeper_close(link->handle);
    link->handle = NULL;
}

static void note_state(struct atlas_link *link) {
    bool connected = zoo_state(link->handle) == ZOO_CONNECTED_STATE;
    if (connected && !link->connected) {
        link->pause = 0;
        link->why[0] = '\0';
    }
    link->connected = connected;
}

/* An expired session needs a new handle; a refused one would be refused again. */
static void give_up(struct atlas_link *link) {
    link->refused = zoo_state(link->handle) == ZOO_AUTH_FAILED_STATE;
    (void)snprintf(link->why, sizeof link->why, "%s",
                   link->refused ? "ZooKeeper refused the credentials of sources.auth"
                                 : "the session expired");
    close_handle(link);
    start_after(link, link->refused ? PAUSE_MAX : next_pause(link));
}

static void turn(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    struct atlas_link *link = arg;
    bool was_connected = link->connected;
    link->failed = false;
    /* Before anything that may close the socket: another of the same number would never
     * be polled. */
    (void)event_del(link->io);
    process(link, what);
    note_state(link);
    if (is_unrecoverable(link->handle)) {
        give_up(link);
        link->turned(link->arg);
        return;
    }
    link->turned(link->arg);
    if (link->failed && !was_connected)
        wait_for(link, -1, 0, next_pause(link));
    else
        wait_for_events(link);
    note_state(link);
}

static void no_log(const char *message) {
    (void)message;
}

static void session_event(zhandle_t *handle, int type, int state, const char *path,
                          void *arg) {
    (void)handle, (void)type, (void)state, (void)path, (void)arg;
}

static bool add_auth(struct atlas_link *link) {
    struct buffer secret = BUFFER_INIT;
    struct error error;
    bool done = secret_read(link->settings, &secret, &error);
    if (!done) {
        (void)snprintf(link->why, sizeof link->why, "%s: %s", error.where, error.text);
    } else {
        int rc = zoo_add_auth(link->handle, link->settings->auth_scheme,
                              buffer_str(&secret), (int)secret.len, NULL, NULL);
        done = rc == ZOK;
        if (!done)
            (void)snprintf(link->why, sizeof link->why, "auth: %s", zerror(rc));
    }
    secret_free(&secret);
    return done;
}

static bool open_handle(struct atlas_link *link) {
    const struct source_settings *settings = link->settings;
    int timeout = settings->session_timeout > 0 ? (int)settings->session_timeout : 10000;
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    link->handle = zookeeper_init2(settings->hosts, session_event, timeout, NULL, link,
                                   ZOO_NO_LOG_CLIENTENV, no_log);
    if (!link->handle) {
        bool names = errno == ENOENT || errno == EINVAL;
        (void)snprintf(link->why, sizeof link->why, "%s",
                       names ? "no host of these could be looked up" : strerror(errno));
        return false;
    }
    (void)zoo_set_servers_resolution_delay(link->handle, -1);
    if (!settings->auth_scheme || add_auth(link))
        return true;
    link->refused = true;
    close_handle(link);
    return false;
}

static void start(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct atlas_link *link = arg;
    link->refused = false;
    if (open_handle(link)) {
        link->session++;
        wait_for_events(link);
    } else {
        start_after(link, next_pause(link));
    }
    link->turned(link->arg);
}

struct atlas_link *atlas_link_open(struct event_base *base,
                                   const struct source_settings *settings,
                                   atlas_link_turned *turned, void *arg) {
    struct atlas_link *link = mem_zalloc(sizeof *link);
    link->base = base;
    link->settings = settings;
    link->socket = -1;
    link->turned = turned;
    link->arg = arg;
    zk_acl_init(&link->acl, settings);
    link->io = event_new(base, -1, 0, turn, link);
    link->starter = evtimer_new(base, start, link);
    start_after(link, 0);
    return link;
}

void atlas_link_close(struct atlas_link *link) {
    if (!link)
        return;
    close_handle(link);
    event_free(link->io);
    event_free(link->starter);
    zk_acl_free(&link->acl);
    free(link);
}

const struct ACL_vector *atlas_link_acl(const struct atlas_link *link) {
    return &link->acl;
}

struct _zhandle *atlas_link_handle(const struct atlas_link *link) {
    return link->connected ? link->handle : NULL;
}

void atlas_link_wake(struct atlas_link *link) {
    if (link->connected)
        event_active(link->io, EV_TIMEOUT, 0);
}

void atlas_link_cork(struct atlas_link *link, bool on) {
    int value = on;
    if (link->connected && link->socket >= 0)
        (void)setsockopt(link->socket, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

unsigned atlas_link_session(const struct atlas_link *link) {
    return link->session;
}

const char *atlas_link_why(const struct atlas_link *link) {
    return link->why;
}

bool atlas_link_refused(const struct atlas_link *link) {
    return link->refused;
}
