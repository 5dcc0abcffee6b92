/* Asks HAProxy's master CLI one question. The write side is closed after the command,
 * since the master otherwise keeps the connection and the end of the answer would be a
 * guess. */
#include "haproxy/master.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 20 };

struct master_ask {
    char *socket;
    int fd;
    int fault;                   /* errno of what went wrong before the loop ran */
    struct event *event, *timer; /* timer: the end of our patience */
    struct buffer answer;
    master_answered *answered;
    void *arg;
};

void master_forget(struct master_ask *ask) {
    if (!ask)
        return;
    if (ask->event)
        event_free(ask->event);
    event_free(ask->timer);
    if (ask->fd >= 0)
        (void)close(ask->fd);
    buffer_free(&ask->answer);
    free(ask->socket);
    free(ask);
}

static void end(struct master_ask *ask, int fault) {
    master_answered *answered = ask->answered;
    void *arg = ask->arg;
    struct buffer answer = ask->answer;
    struct error error = {{0}, {0}};
    ask->answer = (struct buffer)BUFFER_INIT;
    if (fault)
        (void)error_set(&error, ask->socket, "HAProxy's master socket: %s",
                        strerror(fault));
    master_forget(ask);
    answered(arg, fault ? NULL : buffer_str(&answer), fault, fault ? &error : NULL);
    buffer_free(&answer);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct master_ask *ask = arg;
    char *room = buffer_reserve(&ask->answer, 4096);
    *room = '\0';
    ssize_t got = read(fd, room, 4096);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    /* A master that starts anew resets the connection: an empty answer, like its closing.
     */
    if (got <= 0) {
        end(ask, got < 0 && errno != ECONNRESET ? errno : 0);
        return;
    }
    room[got] = '\0';
    ask->answer.len += (size_t)got;
    if (ask->answer.len > ANSWER_MAX)
        end(ask, EMSGSIZE);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct master_ask *ask = arg;
    end(ask, ask->fault ? ask->fault : ETIMEDOUT);
}

static int call(struct master_ask *ask, const char *command) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(ask->socket) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, ask->socket, strlen(ask->socket) + 1);
    ask->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (ask->fd < 0)
        return errno;
    if (connect(ask->fd, (struct sockaddr *)&address, sizeof address) < 0)
        return errno;
    char *line = mem_printf("%s\n", command);
    ssize_t sent = send(ask->fd, line, strlen(line), MSG_NOSIGNAL);
    int fault = sent < 0 || shutdown(ask->fd, SHUT_WR) < 0 ? errno : 0;
    free(line);
    return fault;
}

struct master_ask *master_ask(struct event_base *base, const char *socket,
                              const char *command, int64_t timeout_ms,
                              master_answered *answered, void *arg) {
    struct master_ask *ask = mem_zalloc(sizeof *ask);
    ask->socket = mem_strdup(socket);
    ask->fd = -1;
    ask->answered = answered;
    ask->arg = arg;
    ask->timer = event_new(base, -1, 0, on_timer, ask);
    ask->fault = call(ask, command);
    int64_t wait = ask->fault ? 0 : timeout_ms;
    struct timeval after = {wait / 1000, (wait % 1000) * 1000};
    (void)event_add(ask->timer, &after);
    if (!ask->fault) {
        ask->event = event_new(base, ask->fd, EV_READ | EV_PERSIST, on_readable, ask);
        (void)event_add(ask->event, NULL);
    }
    return ask;
}
