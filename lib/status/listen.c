/* The address that the status is shown on. */
#include "status/listen.h"
#include "base/schema.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, HOST_MAX = 256, PRIVATE = 0117 };

static const unsigned flags =
    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;

static const char *path_of(const char *address) {
    return strncmp(address, "unix@", 5) == 0 ? address + 5 : address;
}

static bool somebody_listens(const struct sockaddr_un *name) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool connected =
        connect(fd, (const struct sockaddr *)name, sizeof *name) == 0 || errno == EAGAIN;
    if (fd >= 0)
        (void)close(fd);
    return connected;
}

static struct evconnlistener *listen_unix(struct event_base *base, const char *path,
                                          struct error *error) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct stat found;
    if (strlen(path) >= sizeof name.sun_path) {
        (void)error_set(error, path, "the path is too long for a socket");
        return NULL;
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    if (lstat(path, &found) == 0 && S_ISSOCK(found.st_mode)) {
        if (somebody_listens(&name)) {
            (void)error_set(error, path, "can't listen: another process does");
            return NULL;
        }
        (void)unlink(path);
    }
    mode_t mask = umask(PRIVATE);
    struct evconnlistener *listener = evconnlistener_new_bind(
        base, NULL, NULL, flags, BACKLOG, (struct sockaddr *)&name, sizeof name);
    int failure = errno;
    (void)umask(mask);
    if (!listener)
        (void)error_set(error, path, "can't listen: %s", strerror(failure));
    return listener;
}

static struct evconnlistener *listen_tcp(struct event_base *base, const char *address,
                                         const char *host, uint16_t port,
                                         struct error *error) {
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    int failure = getaddrinfo(*host ? host : NULL, service, &hints, &found);
    if (failure) {
        (void)error_set(error, address, "can't listen: %s", gai_strerror(failure));
        return NULL;
    }
    struct evconnlistener *listener = evconnlistener_new_bind(
        base, NULL, NULL, flags, BACKLOG, found->ai_addr, (int)found->ai_addrlen);
    if (!listener)
        (void)error_set(error, address, "can't listen: %s", strerror(errno));
    freeaddrinfo(found);
    return listener;
}

struct evconnlistener *listen_open(struct event_base *base, const char *address,
                                   struct error *error) {
    char host[HOST_MAX];
    uint16_t port = 0;
    if (schema_split_address(address, host, sizeof host, &port))
        return listen_tcp(base, address, host, port, error);
    return listen_unix(base, path_of(address), error);
}

void listen_forget(const char *address) {
    char host[HOST_MAX];
    uint16_t port = 0;
    if (!schema_split_address(address, host, sizeof host, &port))
        (void)unlink(path_of(address));
}

static bool is_loopback(const char *host) {
    return !strcmp(host, "localhost") || !strcmp(host, "::1") ||
           !strncmp(host, "127.", 4);
}

/* The name in "name", "name:port", "[v6]" and "[v6]:port". */
static void strip_port(const char *host, char *name, size_t size) {
    bool bracket = *host == '[';
    size_t len = bracket ? strcspn(++host, "]") : strcspn(host, ":");
    (void)snprintf(name, size, "%.*s", (int)len, host);
}

/* A name that only looks like 127.…, such as 127.example.org, is none of ours. */
static bool is_loopback_name(const char *name) {
    return is_loopback(name) &&
           (*name != '1' || strspn(name, "0123456789.") == strlen(name));
}

bool listen_is_meant(const char *address, const char *host) {
    char own[HOST_MAX];
    char name[HOST_MAX];
    uint16_t port = 0;
    if (!host || !schema_split_address(address, own, sizeof own, &port) ||
        !is_loopback(own))
        return true;
    strip_port(host, name, sizeof name);
    return is_loopback_name(name);
}
