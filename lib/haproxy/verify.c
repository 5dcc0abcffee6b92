/* Compares the servers of a config with those of a running HAProxy. */
#include "haproxy/verify.h"
#include "base/mem.h"
#include "haproxy/answer.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct expected {
    char *server;
    char *address;
    long weight;
    bool disabled, seen;
    UT_hash_handle hh;
};

struct touched {
    char *backend;
    struct expected *servers;
    size_t others; /* that can serve, are not added and do not warm */
    UT_hash_handle hh;
};

struct verify {
    struct touched *backends;
    struct touched *at; /* the one that verify_next returned */
    bool begun;
};

static struct touched *find_backend(const struct verify *verify, const char *backend) {
    struct touched *touched = NULL;
    HASH_FIND_STR(verify->backends, backend, touched);
    return touched;
}

static void touch(struct verify *verify, const char *backend) {
    if (find_backend(verify, backend))
        return;
    struct touched *touched = mem_zalloc(sizeof *touched);
    touched->backend = mem_strdup(backend);
    HASH_ADD_KEYPTR(hh, verify->backends, touched->backend, strlen(touched->backend),
                    touched);
}

static void free_expected(struct expected *expected) {
    free(expected->server);
    free(expected->address);
    free(expected);
}

static bool is_touched(void *arg, const char *backend) {
    return find_backend(arg, backend) != NULL;
}

static void note(void *arg, const struct plan_server *server) {
    struct verify *verify = arg;
    struct touched *touched = find_backend(verify, server->backend);
    struct expected *expected = NULL;
    if (!touched)
        return;
    HASH_FIND_STR(touched->servers, server->server, expected);
    if (expected) {
        HASH_DEL(touched->servers, expected);
        free_expected(expected);
    }
    expected = mem_zalloc(sizeof *expected);
    expected->server = mem_strdup(server->server);
    expected->address = mem_strdup(server->address);
    expected->weight = server->weight;
    expected->disabled = server->disabled;
    HASH_ADD_KEYPTR(hh, touched->servers, expected->server, strlen(expected->server),
                    expected);
}

static bool can_serve(const struct expected *expected) {
    return !expected->disabled && expected->weight > 0;
}

static bool is_warm(const struct background *background, const char *backend,
                    const char *server) {
    char *name = mem_printf("%s/%s", backend, server);
    bool warm = !background_is_warming(background, name);
    free(name);
    return warm;
}

static void count_others(struct verify *verify, const struct plan *plan,
                         const struct background *background) {
    for (struct touched *t = verify->backends; t; t = t->hh.next)
        for (const struct expected *e = t->servers; e; e = e->hh.next)
            t->others += can_serve(e) && is_warm(background, t->backend, e->server);
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_step *step = &plan->steps[i];
        struct expected *expected = NULL;
        if (step->kind != PLAN_ADD_SERVER)
            continue;
        struct touched *touched = find_backend(verify, step->backend);
        HASH_FIND_STR(touched->servers, step->server, expected);
        touched->others -= expected && can_serve(expected) &&
                           is_warm(background, step->backend, step->server);
    }
}

bool verify_has_others(const struct verify *verify, const char *backend) {
    const struct touched *touched = find_backend(verify, backend);
    return touched && touched->others;
}

bool verify_is_needed(const struct verify *verify, const char *backend,
                      const char *server) {
    const struct touched *touched = find_backend(verify, backend);
    struct expected *expected = NULL;
    if (!touched || touched->others)
        return false;
    server += strlen(backend) + 1;
    HASH_FIND_STR(touched->servers, server, expected);
    return expected && can_serve(expected);
}

struct verify *verify_new(const struct plan *plan, const char *config,
                          const struct background *background) {
    struct verify *verify = mem_zalloc(sizeof *verify);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].backend)
            touch(verify, plan->steps[i].backend);
    if (verify->backends)
        plan_servers(config, is_touched, note, verify);
    count_others(verify, plan, background);
    return verify;
}

static void free_touched(struct touched *touched) {
    struct expected *expected = touched->servers;
    HASH_CLEAR(hh, touched->servers);
    while (expected) {
        struct expected *next = expected->hh.next;
        free_expected(expected);
        expected = next;
    }
    free(touched->backend);
    free(touched);
}

void verify_free(struct verify *verify) {
    if (!verify)
        return;
    struct touched *touched = verify->backends;
    HASH_CLEAR(hh, verify->backends);
    while (touched) {
        struct touched *next = touched->hh.next;
        free_touched(touched);
        touched = next;
    }
    free(verify);
}

const char *verify_next(struct verify *verify) {
    verify->at = verify->begun ? verify->at->hh.next : verify->backends;
    verify->begun = true;
    return verify->at ? verify->at->backend : NULL;
}

struct comparison {
    struct touched *touched;
    const struct resolver *resolver;
    const struct background *background;
    struct error *error;
    bool same;
};

/* An address that we can't read was not sent by us, and a name that was not looked up by
 * us is HAProxy's to resolve. */
static bool same_address(const struct comparison *c, const char *name,
                         const struct expected *expected,
                         const struct answer_server *server) {
    char host[INET6_ADDRSTRLEN];
    long port = 0;
    if (!resolver_address(c->resolver, expected->address, host, sizeof host, &port))
        return true;
    if (server->port != port || (*host && strcmp(host, server->address) != 0))
        return error_set(c->error, name,
                         "HAProxy has the address %s, port %ld instead of %s",
                         server->address, server->port, expected->address);
    if (*host && server->unresolved)
        return error_set(c->error, name,
                         "HAProxy keeps it in maintenance for want of an address");
    return true;
}

static bool same_state(const struct comparison *c, const char *name,
                       const struct expected *expected,
                       const struct answer_server *server) {
    if (server->weight != expected->weight)
        return error_set(c->error, name, "HAProxy has the weight %ld instead of %ld",
                         server->weight, expected->weight);
    if (server->maintenance != expected->disabled)
        return error_set(c->error, name, "HAProxy has it %s",
                         server->maintenance ? "in maintenance" : "enabled");
    if (server->draining && !background_is_warming(c->background, name))
        return error_set(c->error, name, "HAProxy has it drained");
    return true;
}

static bool compare(const struct comparison *c, const char *name,
                    const struct answer_server *server) {
    struct expected *expected = NULL;
    HASH_FIND_STR(c->touched->servers, server->server, expected);
    if (!expected)
        return (background_is_leaving(c->background, name) && server->maintenance) ||
               error_set(c->error, name, "HAProxy has a server that the config has not");
    expected->seen = true;
    return same_address(c, name, expected, server) &&
           (server->has_agent || same_state(c, name, expected, server));
}

static void visit(void *arg, const struct answer_server *server) {
    struct comparison *c = arg;
    if (!c->same)
        return;
    char *name = mem_printf("%s/%s", server->backend, server->server);
    c->same = compare(c, name, server);
    free(name);
}

bool verify_backend(struct verify *verify, const char *answer,
                    const struct resolver *resolver, const struct background *background,
                    struct error *error) {
    struct comparison c = {verify->at, resolver, background, error, true};
    if (!answer_servers(answer, visit, &c))
        return error_set(error, verify->at->backend,
                         "HAProxy's answer can't be read: %.200s", answer);
    for (const struct expected *e = c.touched->servers; c.same && e; e = e->hh.next) {
        if (e->seen)
            continue;
        char *name = mem_printf("%s/%s", c.touched->backend, e->server);
        c.same = error_set(error, name, "HAProxy has no such server");
        free(name);
    }
    return c.same;
}
