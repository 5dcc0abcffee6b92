/* The addresses of host names, asked of the name service without blocking the loop. */
#ifndef HATLAS_HAPROXY_RESOLVE_H
#define HATLAS_HAPROXY_RESOLVE_H

#include "haproxy/haproxy.h"

struct resolver;

struct resolver *resolver_new(struct event_base *base);

/* Forgets what is under way, without a callback. NULL is fine. */
void resolver_free(struct resolver *resolver);

/* Adds the host of an "address:port", if it is a name. Returns false if the text is no
 * host or address with a port. */
bool resolver_add(struct resolver *resolver, const char *address);

/* Looks all names up, by /etc/hosts and the servers of /etc/resolv.conf. `done` gets an
 * error that names a host that has no address, or when five seconds are over. Called
 * once, from the loop; it may free the resolver. */
void resolver_start(struct resolver *resolver, haproxy_done *done, void *arg);

/* Splits "address:port" and returns the address of the host in the form of inet_ntop(3):
 * its own, or that of its name. "" for a name that was not looked up, NULL for what
 * resolver_add refuses. */
const char *resolver_address(const struct resolver *resolver, const char *address,
                             char *out, size_t size, long *port);

#endif
