/* Asks who answers on a connection, and keeps what was said until somebody wants it. */
#include "haproxy/greeting.h"
#include "base/mem.h"
#include "haproxy/answer.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct greeting {
    struct cli *cli;
    char *socket;
    struct event *known; /* becomes active when there is somebody to tell */
    bool answered;
    pid_t pid;
    char version[64];
    struct error error;  /* where pid is 0 */
    greeting_done *done; /* NULL: nobody waits */
    void *arg;
};

static void tell(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct greeting *greeting = arg;
    greeting_done *done = greeting->done;
    struct error error = greeting->error; /* `done` may close */
    greeting->done = NULL;
    done(greeting->arg, greeting->pid, greeting->pid ? NULL : &error);
}

static void on_info(void *arg, const char *answer, const struct error *error) {
    struct greeting *greeting = arg;
    greeting->answered = true;
    if (error)
        greeting->error = *error;
    else if (!answer_info(answer, &greeting->pid, greeting->version,
                          sizeof greeting->version))
        (void)error_set(&greeting->error, greeting->socket,
                        "no HAProxy answers to `show info`: %.200s", answer);
    if (greeting->done)
        tell(-1, 0, greeting);
}

struct greeting *greeting_start(struct event_base *base, const char *socket) {
    struct greeting *greeting = mem_zalloc(sizeof *greeting);
    greeting->socket = mem_strdup(socket);
    greeting->known = event_new(base, -1, 0, tell, greeting);
    greeting->cli = cli_open(base, socket);
    cli_ask(greeting->cli, "show info", on_info, greeting);
    return greeting;
}

void greeting_await(struct greeting *greeting, greeting_done *done, void *arg) {
    greeting->done = done;
    greeting->arg = arg;
    if (greeting->answered)
        event_active(greeting->known, 0, 0);
}

const char *greeting_version(const struct greeting *greeting) {
    return greeting->version;
}

struct cli *greeting_cli(const struct greeting *greeting) {
    return greeting->cli;
}

void greeting_close(struct greeting *greeting) {
    if (!greeting)
        return;
    cli_close(greeting->cli);
    event_free(greeting->known);
    free(greeting->socket);
    free(greeting);
}
