/* Plays the other side of a Unix socket. */
#include "socket.h"
#include "fuzz.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TURNS = 8 };

const char *socket_path(void) {
    static char path[100];
    if (!*path)
        (void)snprintf(path, sizeof path, "%s/socket", fuzz_folder());
    return path;
}

static int make(struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address->sun_path, sizeof address->sun_path, "%s", socket_path());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fuzz_require(fd >= 0, "no socket");
    return fd;
}

int socket_listen(void) {
    struct sockaddr_un address;
    int fd = make(&address);
    (void)unlink(socket_path());
    fuzz_require(!bind(fd, (struct sockaddr *)&address, sizeof address) && !listen(fd, 8),
                 "can't listen on %s", socket_path());
    return fd;
}

int socket_connect(void) {
    struct sockaddr_un address;
    int fd = make(&address);
    fuzz_require(!connect(fd, (struct sockaddr *)&address, sizeof address),
                 "can't connect to %s", socket_path());
    return fd;
}

void socket_send(int fd, const void *bytes, size_t len) {
    const char *rest = bytes;
    while (len) {
        ssize_t sent = send(fd, rest, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        rest += sent;
        len -= (size_t)sent;
    }
}

void socket_turn(struct event_base *base) {
    for (int i = 0; i < TURNS; i++)
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
}
