/* One reload: notes what the master says of itself, has it reload, and asks until a new
 * worker serves or the master counts a failure. HAProxy before 2.7 answers `reload` with
 * nothing at all, and newer ones with the outcome, which `show proc` then only confirms.
 */
#include "haproxy/reload.h"
#include "base/child.h"
#include "base/mem.h"
#include "haproxy/message.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/*   BEFORE ──state noted──► TRIGGER ──answer, or the command's exit──► CONFIRM ──► end
 *     └─no answer: again       └─"Success=0", or a bad exit: end        └─again
 *   all ──deadline──► end
 * With a command, a socket that does not answer in BEFORE is not asked again: the exit
 * status of the command then decides. */
enum step { BEFORE, TRIGGER, CONFIRM };

enum { STEP_MS = 50, ASK_MS = 2000 };

struct reload {
    struct reload_options options;
    enum step step;
    bool verify; /* the socket answered: it will tell */
    struct master_state before, now;
    struct master_ask *ask;
    struct child *child;
    struct event *again, *deadline;
    struct error last; /* why the socket did not answer */
    reload_ended *ended;
    void *arg;
};

void reload_cancel(struct reload *reload) {
    if (!reload)
        return;
    master_forget(reload->ask);
    child_kill(reload->child);
    event_free(reload->again);
    event_free(reload->deadline);
    free(reload);
}

static void end(struct reload *reload, enum reload_outcome outcome, bool explained,
                const struct error *error) {
    struct error copy = {{0}, {0}};
    struct reload_end result = {.outcome = outcome,
                                .explained = explained,
                                .state = reload->now,
                                .error = error ? &copy : NULL};
    if (error)
        copy = *error;
    reload_ended *ended = reload->ended;
    void *arg = reload->arg;
    reload_cancel(reload);
    ended(arg, &result);
}

static void fail(struct reload *reload, enum reload_outcome outcome, const char *text) {
    struct error error;
    const struct reload_options *o = &reload->options;
    (void)error_set(&error, o->socket ? o->socket : o->argv[0], "%s", text);
    end(reload, outcome, false, &error);
}

static void after(struct event *event, int64_t ms) {
    struct timeval time = {ms / 1000, (ms % 1000) * 1000};
    (void)event_add(event, &time);
}

static void advance(struct reload *reload, enum step step);

/* A command may also have restarted HAProxy: then it is another master that counts anew.
 */
static bool has_moved(const struct reload *reload) {
    return reload->now.master != reload->before.master ||
           reload->now.reloads > reload->before.reloads;
}

static void judge(struct reload *reload) {
    const struct master_state *now = &reload->now;
    bool fresh = now->worker && now->worker != reload->before.worker;
    if (has_moved(reload) && now->failed > 0)
        fail(reload, RELOAD_REFUSED, "HAProxy refused to reload");
    else if (has_moved(reload) && fresh)
        end(reload, RELOAD_DONE, false, NULL);
    else
        after(reload->again, STEP_MS);
}

static void on_proc(void *arg, const char *answer, int fault, const struct error *error) {
    (void)fault;
    struct reload *reload = arg;
    reload->ask = NULL;
    struct master_state state;
    if (!answer || !master_parse_proc(answer, &state)) {
        if (error)
            reload->last = *error;
        if (reload->step == BEFORE && reload->options.argv)
            advance(reload, TRIGGER);
        else
            after(reload->again, STEP_MS);
        return;
    }
    reload->now = state;
    reload->last.text[0] = '\0';
    if (reload->step == BEFORE) {
        reload->before = state;
        reload->verify = true;
        advance(reload, TRIGGER);
    } else {
        judge(reload);
    }
}

static void on_reload(void *arg, const char *answer, int fault,
                      const struct error *error) {
    (void)fault, (void)error;
    struct reload *reload = arg;
    bool success = true;
    const char *log = "";
    reload->ask = NULL;
    if (!answer || !master_parse_reload(answer, &success, &log) || success) {
        advance(reload, CONFIRM);
        return;
    }
    struct error refused;
    (void)message_error(log, reload->options.socket, "HAProxy refused to reload",
                        &refused);
    end(reload, RELOAD_REFUSED, *log != '\0', &refused);
}

/* A command says what went wrong at its end. */
static void end_command(struct reload *reload, const struct child_end *ending) {
    enum { MUCH = 1000 };
    struct error error;
    size_t len = strlen(ending->output);
    char *text = mem_strdup(ending->output + (len > MUCH ? len - MUCH : 0));
    for (char *newline = strchr(text, '\n'); newline; newline = strchr(newline, '\n'))
        *newline = newline[1] ? ' ' : '\0';
    (void)error_set(&error, reload->options.argv[0],
                    "the command that reloads HAProxy failed: %s%s%s", ending->reason,
                    *text ? ": " : "", text);
    free(text);
    end(reload, RELOAD_REFUSED, true, &error);
}

static void on_command(void *arg, const struct child_end *ending) {
    struct reload *reload = arg;
    reload->child = NULL;
    if (ending->timed_out || !WIFEXITED(ending->status) || WEXITSTATUS(ending->status)) {
        end_command(reload, ending);
    } else if (reload->verify) {
        after(reload->deadline, reload->options.timeout_ms);
        advance(reload, CONFIRM);
    } else {
        end(reload, RELOAD_DONE, false, NULL);
    }
}

static void run_command(struct reload *reload) {
    struct error error;
    struct child_options options = {.argv = reload->options.argv,
                                    .output = CHILD_CAPTURE,
                                    .own_group = true,
                                    .timeout_ms = reload->options.timeout_ms,
                                    .ended = on_command,
                                    .arg = reload};
    (void)event_del(reload->deadline); /* the command has its own */
    reload->child = child_launch(reload->options.base, &options, &error);
    if (!reload->child)
        end(reload, RELOAD_UNCLEAR, true, &error);
}

/* Begins a step. */
static void advance(struct reload *reload, enum step step) {
    const struct reload_options *o = &reload->options;
    reload->step = step;
    switch (step) {
    case BEFORE:
    case CONFIRM:
        reload->ask =
            master_ask(o->base, o->socket, "show proc", ASK_MS, on_proc, reload);
        break;
    case TRIGGER:
        if (o->argv)
            run_command(reload);
        else
            reload->ask = master_ask(o->base, o->socket, "reload", o->timeout_ms,
                                     on_reload, reload);
        break;
    }
}

static void on_again(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct reload *reload = arg;
    bool blind = reload->step == BEFORE && !reload->options.socket;
    advance(reload, blind ? TRIGGER : reload->step);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct reload *reload = arg;
    if (reload->last.text[0]) {
        struct error last = reload->last;
        end(reload, RELOAD_UNREACHABLE, false, &last);
    } else if (reload->step == CONFIRM) {
        fail(reload, RELOAD_UNCLEAR,
             "no new worker serves: HAProxy did not reload in time");
    } else {
        fail(reload, RELOAD_UNREACHABLE, "HAProxy's master socket gives no answer");
    }
}

struct reload *reload_start(const struct reload_options *options, reload_ended *ended,
                            void *arg) {
    struct reload *reload = mem_zalloc(sizeof *reload);
    reload->options = *options;
    reload->ended = ended;
    reload->arg = arg;
    reload->again = event_new(options->base, -1, 0, on_again, reload);
    reload->deadline = event_new(options->base, -1, 0, on_deadline, reload);
    after(reload->again, 0);
    after(reload->deadline, options->timeout_ms);
    return reload;
}
