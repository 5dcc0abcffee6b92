/* HAProxy's two sockets at their other end: pieces of an answer, with lines "%%%" between
 * them, and then the end. Who asks is told once, and in bounded time. */
#include "base/mem.h"
#include "fuzz.h"
#include "haproxy/cli.h"
#include "haproxy/master.h"
#include "socket.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECES = 4, QUESTIONS = 2 };

/* Who asks. */
struct asker {
    struct cli *cli;
    int asked, answered;
};

static void on_answer(void *arg, const char *answer, const struct error *error) {
    struct asker *asker = arg;
    asker->answered++;
    fuzz_require(!answer != !error, "an answer and an error, or neither");
    if (error)
        fuzz_require_error(error);
    if (answer && asker->asked < QUESTIONS) {
        asker->asked++;
        cli_ask(asker->cli, "show info", on_answer, asker);
    }
}

static void on_master(void *arg, const char *answer, int errno_value,
                      const struct error *error) {
    struct asker *asker = arg;
    (void)errno_value;
    asker->answered++;
    fuzz_require(!answer != !error, "an answer and an error, or neither");
    if (error)
        fuzz_require_error(error);
}

/* Reads what was asked, so that a close is one in good order. */
static void drain(int fd) {
    char bytes[1024];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        ;
}

static void speak(struct event_base *base, int listener, char *const *pieces) {
    socket_turn(base);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    fuzz_require(fd >= 0, "nobody connects");
    for (size_t i = 0; fd >= 0 && i < PIECES; i++) {
        drain(fd);
        socket_send(fd, pieces[i], strlen(pieces[i]));
        socket_turn(base);
    }
    drain(fd);
    (void)close(fd);
    socket_turn(base);
}

static void ask_stats(struct event_base *base, int listener, char *const *pieces) {
    struct asker asker = {.cli = cli_open(base, socket_path()), .asked = 1};
    cli_ask(asker.cli, "show servers state", on_answer, &asker);
    speak(base, listener, pieces);
    fuzz_require(asker.answered == asker.asked, "%d questions, %d answers", asker.asked,
                 asker.answered);
    cli_close(asker.cli);
}

static void ask_master(struct event_base *base, int listener, char *const *pieces) {
    struct asker asker = {0};
    (void)master_ask(base, socket_path(), "show proc", 2000, on_master, &asker);
    speak(base, listener, pieces);
    fuzz_require(asker.answered == 1, "%d answers", asker.answered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct event_base *base;
    static int listener = -1;
    char *pieces[PIECES];
    if (!base) {
        base = event_base_new();
        listener = socket_listen();
    }
    fuzz_split(data, size, pieces, PIECES);
    ask_stats(base, listener, pieces);
    ask_master(base, listener, pieces);
    for (size_t i = 0; i < PIECES; i++)
        free(pieces[i]);
    return 0;
}
