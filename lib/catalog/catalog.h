/* The catalog: which services there are, and which hosts serve them. A snapshot:
 * immutable, sorted, and made of services and hosts that are counted references, so that
 * the next snapshot shares with this one all that did not change. */
#ifndef HATLAS_CATALOG_CATALOG_H
#define HATLAS_CATALOG_CATALOG_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

struct pair {
    const char *name;
    const char *value;
};

/* One host of one service. One block of memory, strings included. */
struct host {
    unsigned refs;
    const char
        *id; /* what the registry calls it: any bytes without a control character */
    const char *name; /* as a server of HAProxy: host:port, so that another address is
                         another server, and no connection to the old one is reused */
    const char *host; /* text_is_host() */
    const char *zone; /* NULL if not said */
    uint16_t port;
    int weight;  /* 0 to 256 */
    int maxconn; /* 0: no limit */
    bool enabled, drain, backup;
    const struct pair *labels; /* sorted by name */
    size_t label_count;
    const char *options; /* raw text for HAProxy's server line, only from a source that
                            hatlas.yaml trusts with it, and in no text of a catalog;
                            NULL if none */
    json_t *extra;       /* fields this version does not know; NULL if none */
};

/* One service with its hosts, sorted by id (byte order). */
struct service {
    unsigned refs;
    const char *name;
    json_t *fields; /* the service's own fields, checked; defaults are not filled in */
    json_t *vars;   /* /config/<service>: an object; NULL if none */
    const struct host **hosts;
    size_t host_count;
};

/* All services, sorted by name (byte order). */
struct catalog {
    unsigned refs;
    const struct service **services;
    size_t service_count;
};

/* Copies the values (name is set from id, host and port) into a new host with one
 * reference. */
struct host *host_new(const struct host *values);
const struct host *host_ref(const struct host *host);
void host_unref(const struct host *host); /* NULL is fine */
bool host_equal(const struct host *a, const struct host *b);

/* Makes a service with one reference. Takes its own references of fields, vars (both may
 * be NULL) and hosts, and sorts the hosts. Of two hosts with one id, or with one address
 * and port, the first in order of id stays; the other is named in the problems. `where`
 * is for the problems. */
struct service *service_new(const char *name, json_t *fields, json_t *vars,
                            const struct host *const *hosts, size_t count,
                            const char *where, struct problems *problems);
const struct service *service_ref(const struct service *service);
void service_unref(const struct service *service);
bool service_equal(const struct service *a, const struct service *b);

/* Makes a catalog with one reference, with its own references of the services. Of two
 * services whose names or aliases are the same but for case, the first given stays; the
 * other (or its alias) is left out and named in the problems. */
struct catalog *catalog_new(const struct service *const *services, size_t count,
                            struct problems *problems);

/* Returns the catalog with these services in place of those that it has of the same names:
 * a new reference, to `old` itself if nothing differs. NULL if it lacks one of the names,
 * or if the aliases are others, so that a new catalog has to be made of all services. */
struct catalog *catalog_replace(const struct catalog *old,
                                const struct service *const *services, size_t count);
const struct catalog *catalog_ref(const struct catalog *catalog);
void catalog_unref(const struct catalog *catalog);
bool catalog_equal(const struct catalog *a, const struct catalog *b);

/* Returns the service of that name, borrowed; NULL if there is none. */
const struct service *catalog_find(const struct catalog *catalog, const char *name);
size_t catalog_host_count(const struct catalog *catalog);

/* Which services of a catalog this node wants: names match one of `include` and none of
 * `exclude` (fnmatch(3) patterns, NULL-terminated lists). `overrides` is hatlas.yaml's
 * services.overrides, of which default_hosts is used here: the hosts of a service that
 * has none in the registry. */
struct catalog_policy {
    const char *const *include;
    const char *const *exclude;
    const json_t *overrides;
};

bool catalog_policy_wants(const struct catalog_policy *policy, const char *name);

/* Merges catalogs in order: a service in several of them has the hosts of all, and the
 * fields and vars of the first that has the service; of hosts with one address and port
 * it has that of the first. Returns a new reference. */
struct catalog *catalog_merge(const struct catalog *const *parts, size_t count,
                              const struct catalog_policy *policy,
                              struct problems *problems);

/* One difference between two catalogs. */
struct catalog_change {
    enum {
        SERVICE_ADDED,
        SERVICE_REMOVED,
        SERVICE_CHANGED, /* its fields or vars */
        HOST_ADDED,
        HOST_REMOVED,
        HOST_CHANGED,
    } kind;
    const struct service *service; /* the new one; the old one where it was removed */
    const struct host *old_host, *new_host;
};

/* Calls `visit` for every difference, in order of names; `old` may be NULL for none.
 * Hosts of an added or removed service are not visited one by one. Returns how many. */
size_t catalog_compare(const struct catalog *old, const struct catalog *new,
                       void (*visit)(void *arg, const struct catalog_change *change),
                       void *arg);

#endif
