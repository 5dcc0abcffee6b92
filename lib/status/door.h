/* The door: how many connections there may be, and for how long. evhttp itself bounds
 * only the silence between two bytes. */
#ifndef HATLAS_STATUS_DOOR_H
#define HATLAS_STATUS_DOOR_H

#include <stdbool.h>
#include <stddef.h>

struct bufferevent;
struct door;
struct event_base;
struct evconnlistener;
struct evhttp;

enum { DOOR_CONNECTIONS = 32 };

/* Guards the connections that `http` takes from the listener, both of which must outlive
 * it. While all places are taken, who comes waits in the listener's queue. */
struct door *door_new(struct event_base *base, struct evhttp *http,
                      struct evconnlistener *listener);

/* To be freed after the evhttp. */
void door_free(struct door *door);

/* This connection may stay for ever. */
void door_let_stay(struct door *door, const struct bufferevent *connection);

#endif
