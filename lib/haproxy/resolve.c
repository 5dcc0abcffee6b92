/* Looks host names up with libevent's resolver. A request that is cancelled still calls
 * back later, so each owns itself and only points to the resolver while that lives. */
#include "haproxy/resolve.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { TIMEOUT_USEC = 5000000 };

struct request;

struct name {
    char *host;
    char address[INET6_ADDRSTRLEN];
    struct request *request; /* NULL: not asked, or answered */
    UT_hash_handle hh;
};

struct request {
    struct resolver *resolver; /* NULL: nobody waits any more */
    struct name *name;
    struct evdns_getaddrinfo_request *handle;
};

struct resolver {
    struct event_base *base;
    struct evdns_base *dns; /* NULL until it is needed */
    struct event *timer;
    struct name *names;
    size_t open; /* requests under way */
    struct error error;
    haproxy_done *done;
    void *arg;
};

struct resolver *resolver_new(struct event_base *base) {
    struct resolver *resolver = mem_zalloc(sizeof *resolver);
    resolver->base = base;
    return resolver;
}

/* Lets go of all requests; they end by themselves. */
static void cancel(struct resolver *resolver) {
    for (struct name *name = resolver->names; name; name = name->hh.next) {
        if (!name->request)
            continue;
        name->request->resolver = NULL;
        evdns_getaddrinfo_cancel(name->request->handle);
        name->request = NULL;
    }
    resolver->open = 0;
}

void resolver_free(struct resolver *resolver) {
    if (!resolver)
        return;
    cancel(resolver);
    struct name *name = resolver->names;
    HASH_CLEAR(hh, resolver->names);
    while (name) {
        struct name *next = name->hh.next;
        free(name->host);
        free(name);
        name = next;
    }
    if (resolver->timer)
        event_free(resolver->timer);
    if (resolver->dns)
        evdns_base_free(resolver->dns, 1);
    free(resolver);
}

/* Splits "10.0.0.1:80", "[::1]:80", "::1:80" or "name:80". */
static bool split(const char *address, char *host, size_t size, long *port) {
    const char *colon = strrchr(address, ':');
    if (!colon || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    bool bracketed = address[0] == '[' && colon > address + 1 && colon[-1] == ']';
    const char *start = address + bracketed;
    size_t len = (size_t)(colon - bracketed - start);
    if (!len || len >= size)
        return false;
    memcpy(host, start, len);
    host[len] = '\0';
    *port = strtol(colon + 1, NULL, 10);
    return *port <= 65535 && (text_is_host(host) || text_is_ipv6(host));
}

/* Writes a numeric address in the form that HAProxy shows. */
static bool numeric(const char *host, char *out, size_t size) {
    unsigned char bytes[sizeof(struct in6_addr)];
    for (int i = 0; i < 2; i++) {
        int family = i ? AF_INET6 : AF_INET;
        if (inet_pton(family, host, bytes) == 1)
            return inet_ntop(family, bytes, out, (socklen_t)size) != NULL;
    }
    return false;
}

bool resolver_add(struct resolver *resolver, const char *address) {
    char host[256];
    char number[INET6_ADDRSTRLEN];
    long port = 0;
    struct name *name = NULL;
    if (!split(address, host, sizeof host, &port))
        return false;
    if (numeric(host, number, sizeof number))
        return true;
    HASH_FIND_STR(resolver->names, host, name);
    if (name)
        return true;
    name = mem_zalloc(sizeof *name);
    name->host = mem_strdup(host);
    HASH_ADD_KEYPTR(hh, resolver->names, name->host, strlen(name->host), name);
    return true;
}

static void finish(struct resolver *resolver) {
    bool failed = resolver->error.text[0] != '\0';
    struct error error = resolver->error;
    if (resolver->timer)
        (void)event_del(resolver->timer);
    cancel(resolver);
    resolver->done(resolver->arg, failed ? &error : NULL);
}

/* IPv4 first, as most services listen on it. */
static bool pick(const struct evutil_addrinfo *all, char *out, size_t size) {
    for (int i = 0; i < 2; i++)
        for (const struct evutil_addrinfo *one = all; one; one = one->ai_next)
            if (one->ai_family == (i ? AF_INET6 : AF_INET))
                return !getnameinfo(one->ai_addr, one->ai_addrlen, out, (socklen_t)size,
                                    NULL, 0, NI_NUMERICHOST);
    return false;
}

static void on_answer(int fault, struct evutil_addrinfo *all, void *arg) {
    struct request *request = arg;
    struct resolver *resolver = request->resolver;
    struct name *name = request->name;
    free(request);
    if (resolver) {
        name->request = NULL;
        resolver->open--;
        if (fault || !pick(all, name->address, sizeof name->address))
            (void)error_set(&resolver->error, name->host, "can't be resolved: %s",
                            fault ? evutil_gai_strerror(fault) : "no address");
        if (!resolver->open || resolver->error.text[0])
            event_active(resolver->timer, 0, 0);
    }
    if (all)
        evutil_freeaddrinfo(all);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    struct resolver *resolver = arg;
    if (resolver->open && (what & EV_TIMEOUT) && !resolver->error.text[0])
        (void)error_set(&resolver->error, "", "host names can't be resolved in time");
    finish(resolver);
}

static void ask(struct resolver *resolver, struct name *name) {
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct request *request = mem_zalloc(sizeof *request);
    request->resolver = resolver;
    request->name = name;
    name->request = request;
    resolver->open++;
    struct evdns_getaddrinfo_request *handle =
        evdns_getaddrinfo(resolver->dns, name->host, NULL, &hints, on_answer, request);
    if (name->request)
        name->request->handle = handle;
}

void resolver_start(struct resolver *resolver, haproxy_done *done, void *arg) {
    resolver->done = done;
    resolver->arg = arg;
    resolver->timer = event_new(resolver->base, -1, 0, on_timer, resolver);
    struct timeval wait = clock_timeval(resolver->names ? TIMEOUT_USEC : 0);
    (void)event_add(resolver->timer, &wait);
    if (!resolver->names)
        return;
    resolver->dns = evdns_base_new(resolver->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    (void)evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL,
                                       "/etc/resolv.conf");
    for (struct name *name = resolver->names; name; name = name->hh.next)
        ask(resolver, name);
}

const char *resolver_address(const struct resolver *resolver, const char *address,
                             char *out, size_t size, long *port) {
    char host[256];
    struct name *name = NULL;
    *out = '\0';
    if (!split(address, host, sizeof host, port))
        return NULL;
    if (numeric(host, out, size))
        return out;
    HASH_FIND_STR(resolver->names, host, name);
    (void)snprintf(out, size, "%s", name ? name->address : "");
    return out;
}
