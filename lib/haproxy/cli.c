/* Talks to HAProxy's stats socket: sends a command, collects the answer up to the prompt,
 * and gives up in bounded time. */
#include "haproxy/cli.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_MAX = 64 << 20,
    CHUNK = 16384,
    SILENCE_USEC = 2000000,
    WHOLE_USEC = 10000000,
};

struct cli {
    char *socket;
    int fd;
    bool begun, greeted; /* the prompt is asked for; it is on */
    bool failed;
    struct error error; /* if it failed */
    struct event *readable, *timer;
    int64_t deadline;
    struct buffer answer;
    cli_answered *answered; /* NULL: nobody asked */
    void *arg;
};

static void fail(struct cli *cli, const char *what) {
    if (!cli->failed)
        (void)error_set(&cli->error, cli->socket, "HAProxy's stats socket: %s", what);
    cli->failed = true;
}

static void fail_errno(struct cli *cli) {
    fail(cli, strerror(errno));
}

static void arm(struct cli *cli) {
    int64_t left = cli->deadline - clock_usec();
    struct timeval wait = clock_timeval(left < SILENCE_USEC ? left : SILENCE_USEC);
    (void)event_add(cli->timer, &wait);
}

/* Hands the outcome to who asked, who may close the connection meanwhile. */
static void answer(struct cli *cli, const char *text) {
    cli_answered *answered = cli->answered;
    void *arg = cli->arg;
    struct error error = cli->error;
    struct buffer kept = cli->answer;
    cli->answer = (struct buffer)BUFFER_INIT;
    cli->answered = NULL;
    (void)event_del(cli->timer);
    if (cli->failed && cli->readable)
        (void)event_del(cli->readable);
    if (answered)
        answered(arg, text, text ? NULL : &error);
    buffer_free(&kept);
}

static void transmit(struct cli *cli, const char *before, const char *command) {
    struct buffer line = BUFFER_INIT;
    buffer_printf(&line, "%s%s\n", before, command);
    ssize_t sent = send(cli->fd, line.data, line.len, MSG_NOSIGNAL);
    if (sent < 0)
        fail_errno(cli);
    else if ((size_t)sent < line.len)
        fail(cli, "takes no command");
    buffer_free(&line);
}

/* A payload's lines are each prompted for with "+ ", and an answer ends with an empty line
 * of its own. */
static char *trim(struct buffer *buffer, size_t prompt) {
    char *text = buffer->data;
    buffer->len -= prompt;
    text[buffer->len] = '\0';
    while (!strncmp(text, "+ ", 2))
        text += 2;
    text += strspn(text, "\n");
    size_t len = strlen(text);
    while (len && strchr("\n ", text[len - 1]))
        text[--len] = '\0';
    return text;
}

static bool is_whole(const struct buffer *buffer) {
    return (buffer->len >= 3 && !memcmp(buffer->data + buffer->len - 3, "\n> ", 3)) ||
           (buffer->len == 2 && !memcmp(buffer->data, "> ", 2));
}

/* The answer to `prompt`, which comes before the first question's own. Returns whether it
 * was read. */
static bool take_greeting(struct cli *cli) {
    static const char greeting[] = "\n> ";
    size_t len = sizeof greeting - 1;
    struct buffer *got = &cli->answer;
    if (memcmp(got->data, greeting, got->len < len ? got->len : len) != 0)
        fail(cli, "does not greet like HAProxy");
    if (cli->failed || got->len < len)
        return false;
    got->len -= len;
    memmove(got->data, got->data + len, got->len + 1);
    return cli->greeted = true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct cli *cli = arg;
    char *room = buffer_reserve(&cli->answer, CHUNK);
    *room = '\0';
    ssize_t got = read(fd, room, CHUNK);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got < 0)
        fail_errno(cli);
    else if (!got)
        fail(cli, "closed before the answer was whole");
    else if (memchr(room, '\0', (size_t)got))
        fail(cli, "answers with bytes that are no text");
    else if (cli->answer.len + (size_t)got > ANSWER_MAX)
        fail(cli, "the answer has no end");
    else if (!cli->answered)
        fail(cli, "speaks without being asked");
    if (!cli->failed) {
        cli->answer.len += (size_t)got;
        cli->answer.data[cli->answer.len] = '\0';
        arm(cli);
    }
    bool greeted = cli->failed || cli->greeted || take_greeting(cli);
    if (cli->failed)
        answer(cli, NULL);
    else if (greeted && is_whole(&cli->answer))
        answer(cli, trim(&cli->answer, 2));
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct cli *cli = arg;
    fail(cli, "no answer in time");
    answer(cli, NULL);
}

static bool dial(struct cli *cli) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(cli->socket);
    if (len >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address.sun_path, cli->socket, len + 1);
    cli->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return cli->fd >= 0 &&
           connect(cli->fd, (struct sockaddr *)&address, sizeof address) == 0;
}

struct cli *cli_open(struct event_base *base, const char *socket) {
    struct cli *cli = mem_zalloc(sizeof *cli);
    cli->socket = mem_strdup(socket);
    cli->fd = -1;
    cli->timer = event_new(base, -1, 0, on_timer, cli);
    if (!dial(cli)) {
        fail_errno(cli);
        return cli;
    }
    cli->readable = event_new(base, cli->fd, EV_READ | EV_PERSIST, on_readable, cli);
    (void)event_add(cli->readable, NULL);
    return cli;
}

void cli_ask(struct cli *cli, const char *command, cli_answered *answered, void *arg) {
    cli->answered = answered;
    cli->arg = arg;
    cli->deadline = clock_usec() + WHOLE_USEC;
    if (!cli->failed)
        transmit(cli, cli->begun ? "" : "prompt\n", command);
    cli->begun = true;
    if (cli->failed)
        cli->deadline = 0; /* the timer tells at once, from the loop */
    arm(cli);
}

void cli_close(struct cli *cli) {
    if (!cli)
        return;
    if (cli->readable)
        event_free(cli->readable);
    event_free(cli->timer);
    if (cli->fd >= 0)
        (void)close(cli->fd);
    buffer_free(&cli->answer);
    free(cli->socket);
    free(cli);
}
