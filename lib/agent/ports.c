/* Ports that another program holds: found by binding them as HAProxy would, once before
 * each reload that needs them, then every few seconds until they are free. */
#include "agent/ports.h"
#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK_EVERY = 5000000 };

/* An address that a config binds: "127.0.0.1:80", "[::1]:80", "*:80". */
struct bind {
    char *address, *section;
};

struct binds {
    struct bind *at;
    size_t count;
};

struct ports {
    struct binds held;
    json_t *numbers;
    struct event *timer;
    void (*freed)(void *arg);
    void *arg;
};

static void free_bind(struct bind *bind) {
    free(bind->address);
    free(bind->section);
}

static void free_binds(struct binds *binds) {
    for (size_t i = 0; i < binds->count; i++)
        free_bind(&binds->at[i]);
    free(binds->at);
    *binds = (struct binds){0};
}

/* ---- trying ---- */

static long port_of(const char *address) {
    const char *colon = strrchr(address, ':');
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    return port > 0 && port < 65536 && !*end ? port : 0;
}

static bool read_host(const char *address, struct sockaddr_storage *out, socklen_t *len) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    const char *colon = strrchr(address, ':');
    bool brackets = *address == '[' && colon[-1] == ']';
    const char *start = address + brackets, *end = colon - brackets;
    char *host = mem_strndup(start, (size_t)(end - start));
    bool any = !*host || !strcmp(host, "*");
    bool is_v4 = inet_pton(AF_INET, any ? "0.0.0.0" : host, &v4->sin_addr) == 1;
    bool is_v6 = !is_v4 && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
    free(host);
    out->ss_family = is_v4 ? AF_INET : AF_INET6;
    *len = is_v4 ? sizeof *v4 : sizeof *v6;
    return is_v4 || is_v6;
}

/* Whether somebody listens there. What else may be wrong HAProxy will say. */
static bool is_held(const char *address) {
    struct sockaddr_storage to = {0};
    socklen_t len = 0;
    int yes = 1;
    if (!port_of(address) || !read_host(address, &to, &len))
        return false;
    /* Both families have the port in the same place. */
    ((struct sockaddr_in *)&to)->sin_port = htons((uint16_t)port_of(address));
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool held = bind(fd, (struct sockaddr *)&to, len) && errno == EADDRINUSE;
    (void)close(fd);
    return held;
}

/* ---- reading ---- */

static const char bind_line[] = "\n    bind ";

/* The name of the section in which the text stands: its first line is not indented. */
static char *section_of(const char *config, const char *at) {
    while (at > config && (*at != '\n' || strchr(" \t\n#", at[1])))
        at--;
    at += *at == '\n';
    at += strcspn(at, " \n");
    at += *at == ' ';
    return mem_strndup(at, strcspn(at, " \n"));
}

/* The addresses of all bind lines, and in which section they stand. */
static struct binds read_binds(const char *config) {
    struct binds binds = {0};
    const char *at = config;
    while ((at = strstr(at, bind_line))) {
        at += sizeof bind_line - 1;
        binds.at = mem_grow(binds.at, binds.count, sizeof *binds.at);
        binds.at[binds.count++] =
            (struct bind){mem_strndup(at, strcspn(at, " \n")), section_of(config, at)};
    }
    return binds;
}

static bool has_address(const struct binds *binds, const char *address) {
    for (size_t i = 0; i < binds->count; i++)
        if (!strcmp(binds->at[i].address, address))
            return true;
    return false;
}

/* ---- what is held ---- */

static void look_later(struct ports *ports) {
    struct timeval after = clock_timeval(LOOK_EVERY);
    if (ports->held.count)
        (void)event_add(ports->timer, &after);
    else
        (void)event_del(ports->timer);
}

/* Drops what is free, and what HAProxy itself has. Returns whether there was any. */
static bool keep_held(struct binds *binds, const struct binds *own) {
    size_t kept = 0;
    for (size_t i = 0; i < binds->count; i++) {
        if (!has_address(own, binds->at[i].address) && is_held(binds->at[i].address))
            binds->at[kept++] = binds->at[i];
        else
            free_bind(&binds->at[i]);
    }
    bool dropped = kept < binds->count;
    binds->count = kept;
    return dropped;
}

static void list_numbers(struct ports *ports) {
    (void)json_array_clear(ports->numbers);
    for (size_t i = 0; i < ports->held.count; i++)
        (void)json_array_append_new(ports->numbers,
                                    json_integer(port_of(ports->held.at[i].address)));
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct ports *ports = arg;
    if (keep_held(&ports->held, &(struct binds){0})) {
        list_numbers(ports);
        ports->freed(ports->arg);
    }
    look_later(ports);
}

struct ports *ports_new(struct event_base *base, void (*freed)(void *arg), void *arg) {
    struct ports *ports = mem_zalloc(sizeof *ports);
    ports->timer = event_new(base, -1, 0, on_timer, ports);
    ports->numbers = json_array();
    ports->freed = freed;
    ports->arg = arg;
    return ports;
}

void ports_free(struct ports *ports) {
    if (!ports)
        return;
    event_free(ports->timer);
    json_decref(ports->numbers);
    free_binds(&ports->held);
    free(ports);
}

bool ports_look(struct ports *ports, const char *wanted, const char *placed) {
    struct binds own = read_binds(placed);
    free_binds(&ports->held);
    ports->held = read_binds(wanted);
    (void)keep_held(&ports->held, &own);
    free_binds(&own);
    list_numbers(ports);
    look_later(ports);
    return ports->held.count > 0;
}

void ports_forget(struct ports *ports) {
    (void)json_array_clear(ports->numbers);
}

json_t *ports_taken(const struct ports *ports) {
    return ports->numbers;
}

void ports_report(const struct ports *ports, struct problems *problems) {
    for (size_t i = 0; i < ports->held.count; i++)
        problems_add(problems, ports->held.at[i].section,
                     "another program holds %s; it is tried again until that is free",
                     ports->held.at[i].address);
}
