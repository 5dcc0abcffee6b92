/* The address that the status is shown on. */
#ifndef HATLAS_STATUS_LISTEN_H
#define HATLAS_STATUS_LISTEN_H

#include "base/error.h"

struct event_base;
struct evconnlistener;

/* Binds and listens on what SCHEMA_ADDRESS takes. A Unix socket that nobody listens on
 * any more is replaced; it belongs to its owner and group. NULL with an error. */
struct evconnlistener *listen_open(struct event_base *base, const char *address,
                                   struct error *error);

/* Removes a Unix socket's file; the listener itself is freed by whom it was given to. */
void listen_forget(const char *address);

/* Whether a request that was sent to `host` (the Host header; NULL: none was) means this
 * address. On loopback only names of loopback do: else a page elsewhere could have its
 * own name point here, and read what the browser gets. */
bool listen_is_meant(const char *address, const char *host);

#endif
