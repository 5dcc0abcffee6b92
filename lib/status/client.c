/* Asks a running sidecar, by HTTP/1.0: one request, an answer up to the end of the
 * connection. */
#include "status/client.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/schema.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 10, CHUNK = 65536, ANSWER_MAX = 256 << 20, HOST_MAX = 256 };

static int dial(int family, const struct sockaddr *address, socklen_t len) {
    struct timeval patience = {PATIENCE_S, 0};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, address, len) == 0)
        return fd;
    int failure = errno;
    (void)close(fd);
    errno = failure;
    return -1;
}

static int dial_unix(const char *path) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof name.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    return dial(AF_UNIX, (struct sockaddr *)&name, sizeof name);
}

/* An address that stands for all of the machine's is asked on loopback. */
static int dial_tcp(const char *host, uint16_t port) {
    bool all =
        !*host || !strcmp(host, "*") || !strcmp(host, "0.0.0.0") || !strcmp(host, "::");
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8];
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    if (getaddrinfo(all ? "127.0.0.1" : host, service, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = dial(found->ai_family, found->ai_addr, found->ai_addrlen);
    int failure = errno;
    freeaddrinfo(found);
    errno = failure;
    return fd;
}

static int dial_address(const char *address) {
    char host[HOST_MAX];
    uint16_t port = 0;
    if (schema_split_address(address, host, sizeof host, &port))
        return dial_tcp(host, port);
    return dial_unix(strncmp(address, "unix@", 5) == 0 ? address + 5 : address);
}

static bool exchange(int fd, const char *path, struct buffer *answer) {
    char request[512];
    int64_t deadline = clock_usec() + PATIENCE_S * 1000000LL;
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        return false;
    for (;;) {
        ssize_t got = read(fd, buffer_reserve(answer, CHUNK), CHUNK);
        if (got <= 0)
            return got == 0;
        answer->len += (size_t)got;
        answer->data[answer->len] = '\0';
        if (answer->len > ANSWER_MAX || clock_usec() > deadline) {
            errno = ETIMEDOUT;
            return false;
        }
    }
}

/* Takes the head off the answer. */
static bool take_body(const struct buffer *answer, struct buffer *body,
                      const char *address, struct error *error) {
    const char *text = buffer_str(answer);
    const char *end = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.", 7) != 0 || strlen(text) < 12 || !end)
        return error_set(error, address, "what listens there is not hatlas");
    const char *content = end + 4;
    if (strncmp(text + 9, "200", 3) != 0)
        return error_set(error, address, "answers %.3s: %.200s", text + 9, content);
    buffer_append(body, content, answer->len - (size_t)(content - text));
    return true;
}

bool client_fetch(const char *address, const char *path, struct buffer *body,
                  struct error *error) {
    struct buffer answer = BUFFER_INIT;
    int fd = dial_address(address);
    bool done = false;
    if (fd < 0)
        (void)error_set(error, address,
                        "can't ask the sidecar: %s; does `hatlas run` run with this "
                        "status.listen?",
                        strerror(errno));
    else if (!exchange(fd, path, &answer))
        (void)error_set(error, address, "no answer: %s",
                        errno == EAGAIN ? "it takes too long" : strerror(errno));
    else
        done = take_body(&answer, body, address, error);
    if (fd >= 0)
        (void)close(fd);
    buffer_free(&answer);
    return done;
}

json_t *client_status(const char *address, struct error *error) {
    struct buffer body = BUFFER_INIT;
    json_t *status = NULL;
    if (client_fetch(address, "/status", &body, error))
        status = json_parse(buffer_str(&body), body.len, address, error);
    buffer_free(&body);
    if (status && !json_is_string(json_object_get(status, "health"))) {
        (void)error_set(error, address, "what answers there is not hatlas");
        json_decref(status);
        status = NULL;
    }
    return status;
}
