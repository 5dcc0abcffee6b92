/* How many connections there may be, and for how long.
 *
 * evhttp does not tell when a connection ends, but it takes its callbacks off the
 * bufferevent then: that is what is looked for, on a bufferevent kept by a reference. */
#include "status/door.h"
#include "base/clock.h"
#include "base/mem.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    LIFETIME = 30000000, /* microseconds */
    SWEEP = 500000,
    INPUT_MAX = 16384,
};

struct place {
    struct bufferevent *connection; /* NULL: free */
    int64_t since;                  /* 0: may stay for ever */
};

struct door {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *timer;
    struct place places[DOOR_CONNECTIONS];
    size_t taken;
};

static bool has_ended(struct bufferevent *connection) {
    bufferevent_event_cb ended = NULL;
    bufferevent_getcb(connection, NULL, NULL, &ended, NULL);
    return !ended;
}

static void leave(struct door *door, struct place *place) {
    bufferevent_decref(place->connection);
    *place = (struct place){0};
    door->taken--;
}

static void forget_ended(struct door *door) {
    for (size_t i = 0; i < DOOR_CONNECTIONS; i++)
        if (door->places[i].connection && has_ended(door->places[i].connection))
            leave(door, &door->places[i]);
}

static void rearm(struct door *door) {
    struct timeval after = clock_timeval(SWEEP);
    if (door->taken == DOOR_CONNECTIONS)
        forget_ended(door);
    if (door->taken)
        (void)event_add(door->timer, &after);
    if (door->taken < DOOR_CONNECTIONS)
        (void)evconnlistener_enable(door->listener);
    else
        (void)evconnlistener_disable(door->listener);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct door *door = arg;
    int64_t now = clock_usec();
    forget_ended(door);
    for (size_t i = 0; i < DOOR_CONNECTIONS; i++) {
        const struct place *place = &door->places[i];
        if (place->connection && place->since && now - place->since > LIFETIME)
            (void)shutdown(bufferevent_getfd(place->connection), SHUT_RDWR);
    }
    rearm(door);
}

/* evhttp asks for what the next connection is to be read and written by. */
static struct bufferevent *on_connection(struct event_base *base, void *arg) {
    struct door *door = arg;
    struct bufferevent *connection =
        bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!connection)
        return NULL;
    bufferevent_setwatermark(connection, EV_READ, 0, INPUT_MAX);
    for (size_t i = 0; i < DOOR_CONNECTIONS; i++) {
        struct place *place = &door->places[i];
        if (place->connection)
            continue;
        bufferevent_incref(connection);
        *place = (struct place){connection, clock_usec()};
        door->taken++;
        break;
    }
    rearm(door);
    return connection;
}

struct door *door_new(struct event_base *base, struct evhttp *http,
                      struct evconnlistener *listener) {
    struct door *door = mem_zalloc(sizeof *door);
    door->base = base;
    door->listener = listener;
    door->timer = event_new(base, -1, 0, on_sweep, door);
    evhttp_set_bevcb(http, on_connection, door);
    return door;
}

void door_free(struct door *door) {
    if (!door)
        return;
    for (size_t i = 0; i < DOOR_CONNECTIONS; i++)
        if (door->places[i].connection)
            leave(door, &door->places[i]);
    event_free(door->timer);
    free(door);
}

void door_let_stay(struct door *door, const struct bufferevent *connection) {
    for (size_t i = 0; i < DOOR_CONNECTIONS; i++)
        if (door->places[i].connection == connection)
            door->places[i].since = 0;
}
