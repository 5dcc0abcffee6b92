/* Executes one plan: looks names up, sends command after command on one connection, then
 * compares, on a second one, what HAProxy has become with what the config says. */
#include "haproxy/execute.h"
#include "base/mem.h"
#include "base/text.h"
#include "haproxy/answer.h"
#include "haproxy/map.h"
#include "haproxy/resolve.h"
#include "haproxy/script.h"
#include "haproxy/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*   RESOLVING ──all names──► SENDING ──last line──► SERVERS ──last backend──► MAPS ──► end
 *   any ──an error──► end
 * SENDING and SERVERS begin with the question which process answers. */
enum phase { RESOLVING, SENDING, SERVERS, MAPS };

struct execution {
    struct execution_options options;
    enum phase phase;
    struct plan plan; /* a copy */
    const char *config;
    struct resolver *resolver;
    struct script script;
    struct verify *verify;
    struct greeting *greeting;
    size_t at; /* SENDING, MAPS: the line of the script */
    bool revived;
    bool touched;
    long map_version;
    execution_ended *ended;
    void *arg;
};

static void copy_plan(struct plan *to, const struct plan *from) {
    *to = (struct plan){.count = from->count};
    to->steps = mem_resize(NULL, from->count, sizeof *to->steps);
    for (size_t i = 0; i < from->count; i++) {
        const struct plan_step *step = &from->steps[i];
        struct plan_step *copy = &to->steps[i];
        *copy = *step;
        copy->backend = mem_strdup(step->backend);
        copy->server = mem_strdup(step->server);
        copy->address = mem_strdup(step->address);
        copy->keywords = mem_strdup(step->keywords);
        copy->map = mem_strdup(step->map);
        copy->text = mem_strdup(step->text);
    }
}

static void free_plan(struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->steps[i].backend);
        free(plan->steps[i].server);
        free(plan->steps[i].address);
        free(plan->steps[i].keywords);
        free(plan->steps[i].map);
        free(plan->steps[i].text);
    }
    free(plan->steps);
}

void execution_cancel(struct execution *e) {
    if (!e)
        return;
    greeting_close(e->greeting);
    greeting_close(e->options.greeting);
    resolver_free(e->resolver);
    script_free(&e->script);
    verify_free(e->verify);
    free_plan(&e->plan);
    free(e);
}

static void finish(struct execution *e, const struct error *error) {
    struct error copy = {{0}, {0}};
    struct execution_end end = {error ? &copy : NULL, e->touched, e->script.next_id};
    if (error)
        copy = *error;
    execution_ended *ended = e->ended;
    void *arg = e->arg;
    execution_cancel(e);
    ended(arg, &end);
}

static const struct script_line *line_of(const struct execution *e) {
    return &e->script.lines[e->at];
}

/* ---- sending ---- */

static void fail_line(struct execution *e, const char *answer) {
    const struct script_line *line = line_of(e);
    struct error error;
    char said[256];
    char *command = script_command(line, e->map_version);
    command[strcspn(command, "\n")] = '\0';
    (void)error_set(&error, line->map ? line->map : line->server,
                    "HAProxy answers \"%s\" to `%.200s`",
                    text_printable(answer, said, sizeof said), command);
    free(command);
    finish(e, &error);
}

static void mark(struct execution *e, const struct script_line *line) {
    struct background *background = e->options.background;
    switch (line->mark) {
    case SCRIPT_NO_MARK:
        break;
    case SCRIPT_WARMS:
        background_warm(background, line->server);
        break;
    case SCRIPT_LEAVES:
        background_leave(background, line->server, line->keywords);
        break;
    case SCRIPT_STAYS:
        background_drop(background, line->server);
        break;
    }
}

/* Compares what `show map` shows with the file that the script has at that line. */
static bool map_is_right(const struct script_line *line, const char *answer,
                         struct error *error) {
    struct map wanted = {NULL, 0, NULL};
    struct map got = {NULL, 0, NULL};
    bool right = map_read(&wanted, line->map, line->text, error);
    if (right && !map_read_answer(&got, answer))
        right =
            error_set(error, line->map, "HAProxy's answer can't be read: %.200s", answer);
    right = right && map_equal(&wanted, &got, line->map, error);
    map_free(&wanted);
    map_free(&got);
    return right;
}

/* Compares what `get map` shows with the entry that was set. */
static bool entry_is_right(const struct script_line *line, const char *answer,
                           struct error *error) {
    char clean[256];
    const char *value = strchr(line->text, ' ') + 1;
    if (answer_map_value(answer, value))
        return true;
    return error_set(error, line->map, "the entry '%s' was set, and HAProxy has %s",
                     line->text, text_printable(answer, clean, sizeof clean));
}

/* Judges the answer. Returns false after it has ended the execution. */
static bool take_answer(struct execution *e, const char *answer) {
    const struct script_line *line = line_of(e);
    struct error error;
    enum answer_verdict verdict = answer_judge(line->expect, answer);
    bool good = verdict == ANSWER_DONE;
    switch (line->kind) {
    case SCRIPT_SEND:
    case SCRIPT_SET:
    case SCRIPT_PAYLOAD:
    case SCRIPT_COMMIT:
        break;
    case SCRIPT_REVIVE:
        e->revived = verdict == ANSWER_BUSY;
        if (good)
            background_drop(e->options.background, line->server);
        else
            good = e->revived && background_has_keywords(e->options.background,
                                                         line->server, line->keywords);
        break;
    case SCRIPT_PREPARE:
        good = answer_map_version(answer, &e->map_version);
        break;
    case SCRIPT_COUNT:
        if (map_is_right(line, answer, &error))
            return true;
        finish(e, &error);
        return false;
    }
    if (good)
        mark(e, line);
    else
        fail_line(e, answer);
    return good;
}

static void send_next(struct execution *e);
static void begin(struct execution *e, enum phase phase);

static void on_answer(void *arg, const char *answer, const struct error *error) {
    struct execution *e = arg;
    if (error) {
        finish(e, error);
        return;
    }
    log_debug(e->options.log, "HAProxy answers", LOG_STR("answer", answer));
    if (!take_answer(e, answer))
        return;
    e->at++;
    send_next(e);
}

static bool is_skipped(const struct execution *e) {
    enum script_when when = line_of(e)->when;
    return (when == SCRIPT_IF_ADDED && e->revived) ||
           (when == SCRIPT_IF_REVIVED && !e->revived);
}

static void send_next(struct execution *e) {
    while (e->at < e->script.count && is_skipped(e))
        e->at++;
    if (e->at == e->script.count) {
        begin(e, SERVERS);
        return;
    }
    char *command = script_command(line_of(e), e->map_version);
    log_debug(e->options.log, "asks HAProxy", LOG_STR("command", command));
    e->touched = true;
    cli_ask(greeting_cli(e->greeting), command, on_answer, e);
    free(command);
}

/* ---- verifying ---- */

/* Made when it is needed: mostly after the commands, which people wait for. */
static struct verify *verify_of(struct execution *e) {
    if (!e->verify)
        e->verify = verify_new(&e->plan, e->config, e->options.background);
    return e->verify;
}

static void ask_backend(struct execution *e);
static void ask_map(struct execution *e);

static void on_servers(void *arg, const char *answer, const struct error *fault) {
    struct execution *e = arg;
    struct error error;
    if (fault)
        finish(e, fault);
    else if (!verify_backend(verify_of(e), answer, e->resolver, e->options.background,
                             &error))
        finish(e, &error);
    else
        ask_backend(e);
}

static void ask_backend(struct execution *e) {
    const char *backend = verify_next(verify_of(e));
    if (!backend) {
        begin(e, MAPS);
        return;
    }
    background_hurry(e->options.background, backend);
    char *command = mem_printf("show servers state %s", backend);
    cli_ask(greeting_cli(e->greeting), command, on_servers, e);
    free(command);
}

static void on_map(void *arg, const char *answer, const struct error *fault) {
    struct execution *e = arg;
    struct error error;
    if (fault) {
        finish(e, fault);
    } else if (line_of(e)->kind == SCRIPT_SET
                   ? !entry_is_right(line_of(e), answer, &error)
                   : !map_is_right(line_of(e), answer, &error)) {
        finish(e, &error);
    } else {
        e->at++;
        ask_map(e);
    }
}

static bool is_about_map(const struct script_line *line) {
    return line->kind == SCRIPT_COUNT || line->kind == SCRIPT_SET;
}

static void ask_map(struct execution *e) {
    while (e->at < e->script.count && !is_about_map(line_of(e)))
        e->at++;
    if (e->at == e->script.count) {
        finish(e, NULL);
        return;
    }
    const struct script_line *line = line_of(e);
    char *command = line->kind == SCRIPT_COUNT
                        ? mem_printf("show map %s", line->map)
                        : mem_printf("get map %s %.*s", line->map,
                                     (int)strcspn(line->text, " "), line->text);
    cli_ask(greeting_cli(e->greeting), command, on_map, e);
    free(command);
}

/* ---- phases ---- */

static bool is_same_process(struct execution *e, pid_t pid, struct error *error) {
    if (pid == e->options.pid)
        return true;
    e->touched = true;
    return error_set(error, e->options.socket,
                     "HAProxy is another process, %ld instead of %ld", (long)pid,
                     (long)e->options.pid);
}

static void on_greeted(void *arg, pid_t pid, const struct error *fault) {
    struct execution *e = arg;
    struct error error;
    if (fault)
        finish(e, fault);
    else if (!is_same_process(e, pid, &error))
        finish(e, &error);
    else if (e->phase == SENDING)
        send_next(e);
    else
        ask_backend(e);
}

/* On the connection that was prepared, if there is one. */
static void greet(struct execution *e) {
    greeting_close(e->greeting);
    e->greeting = e->options.greeting;
    e->options.greeting = NULL;
    if (!e->greeting)
        e->greeting = greeting_start(e->options.base, e->options.socket);
    greeting_await(e->greeting, on_greeted, e);
}

static void begin(struct execution *e, enum phase phase) {
    e->phase = phase;
    switch (phase) {
    case RESOLVING:
        break;
    case SENDING:
    case SERVERS:
        greet(e);
        break;
    case MAPS:
        e->at = 0;
        ask_map(e);
        break;
    }
}

static bool is_leaving(const void *arg, const char *server) {
    const struct execution *e = arg;
    return background_is_leaving(e->options.background, server);
}

static bool has_others(const void *arg, const char *backend) {
    struct execution *e = (struct execution *)arg;
    return verify_has_others(verify_of(e), backend);
}

/* Where the plan leaves nobody to serve but those that wait for their first check, they
 * must not wait any longer: they get ready before it takes the others away. */
static void make_ready(void *arg, const char *backend, const char *server) {
    struct execution *e = arg;
    if (verify_is_needed(verify_of(e), backend, server))
        script_make_ready(&e->script, server);
}

static void on_resolved(void *arg, const struct error *fault) {
    struct execution *e = arg;
    struct script_context context = {e->resolver, is_leaving, has_others, e};
    struct error error;
    background_each_warming(e->options.background, make_ready, e);
    if (fault)
        finish(e, fault);
    else if (!script_write(&e->script, &e->plan, &context, &error))
        finish(e, &error);
    else
        begin(e, SENDING);
}

struct execution *execution_start(const struct execution_options *options,
                                  const struct plan *plan, const char *config,
                                  execution_ended *ended, void *arg) {
    struct execution *e = mem_zalloc(sizeof *e);
    e->options = *options;
    e->script.next_id = options->next_id;
    e->ended = ended;
    e->arg = arg;
    e->config = config;
    e->resolver = resolver_new(options->base);
    copy_plan(&e->plan, plan);
    /* What is no address is refused when the script is written. */
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].address)
            (void)resolver_add(e->resolver, plan->steps[i].address);
    begin(e, RESOLVING);
    resolver_start(e->resolver, on_resolved, e);
    return e;
}
