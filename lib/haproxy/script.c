/* Turns the steps of a plan into commands of the Runtime API, and refuses what could be
 * read as another command. */
#include "haproxy/script.h"
#include "base/mem.h"
#include "base/text.h"
#include "haproxy/cli.h"
#include "haproxy/map.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    struct script *script;
    const struct plan_step *step;
    const struct script_context *context;
    struct error *error;
    char *server; /* "backend/server" of the step */
    enum script_when when;
};

static struct script_line *add_line(struct writer *w, enum script_kind kind,
                                    enum answer_kind expect) {
    struct script *script = w->script;
    script->lines = mem_grow(script->lines, script->count, sizeof *script->lines);
    struct script_line *line = &script->lines[script->count++];
    *line = (struct script_line){.kind = kind, .expect = expect};
    line->when = w->when;
    line->server = mem_strdup(w->server);
    return line;
}

static struct script_line *command(struct writer *w, enum answer_kind expect,
                                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static struct script_line *command(struct writer *w, enum answer_kind expect,
                                   const char *format, ...) {
    struct buffer text = BUFFER_INIT;
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    struct script_line *line = add_line(w, SCRIPT_SEND, expect);
    line->text = buffer_steal(&text);
    return line;
}

/* A word of a command: nothing that separates, escapes or begins a payload. */
static bool is_word(const char *text) {
    if (!*text || strlen(text) > 512)
        return false;
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~' || strchr(";\\<>\"'#$", *c))
            return false;
    return true;
}

/* Keywords are words with spaces between. Quotes and escapes mean one thing in a config
 * and another in a command. */
static bool are_words(const char *text) {
    if (strlen(text) > CLI_COMMAND_MAX / 2)
        return false;
    for (const char *c = text; *c; c++)
        if (*c < ' ' || *c > '~' || strchr(";\\<>\"'#$", *c))
            return false;
    return true;
}

static bool fail(struct writer *w, const char *what) {
    return error_set(w->error, w->server, "%s", what);
}

static bool has_word(const char *text, const char *word) {
    size_t len = strlen(word);
    for (const char *c = text + strspn(text, " "); *c; c += strspn(c, " ")) {
        size_t n = strcspn(c, " ");
        if (n == len && !memcmp(c, word, len))
            return true;
        c += n;
    }
    return false;
}

/* An added server reuses no connection without these (seen with 2.6.12). */
static const char *pool_words(const char *keywords) {
    bool pools = has_word(keywords, "pool-max-conn") ||
                 has_word(keywords, "pool-purge-delay") ||
                 has_word(keywords, "pool-low-conn");
    return pools ? "" : " pool-max-conn -1 pool-purge-delay 5s";
}

static bool address_of(struct writer *w, char *host, size_t size, long *port) {
    if (w->step->address &&
        resolver_address(w->context->resolver, w->step->address, host, size, port) &&
        *host)
        return true;
    return fail(w, "its address can't be sent to HAProxy");
}

/* Without `id`, `balance random` forgets servers (haproxy/haproxy#3413). */
static void write_add(struct writer *w, const char *host, long port) {
    const struct plan_step *step = w->step;
    const char *keywords = step->keywords ? step->keywords : "";
    bool v6 = strchr(host, ':') != NULL;
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "add server %s %s%s%s:%ld %s weight %ld%s", w->server,
                  v6 ? "[" : "", host, v6 ? "]" : "", port, keywords, step->number,
                  pool_words(keywords));
    if (!has_word(keywords, "id"))
        buffer_printf(&text, " id %zu", w->script->next_id++);
    struct script_line *line = command(w, ANSWER_ADDED, "%s", buffer_str(&text));
    buffer_free(&text);
    line->mark = SCRIPT_STAYS;
    line->keywords = mem_strdup(keywords);
    if (step->checked)
        (void)command(w, ANSWER_NOTHING, "enable health %s", w->server);
    if (step->agent_checked)
        (void)command(w, ANSWER_NOTHING, "enable agent %s", w->server);
    if (step->disabled)
        return;
    bool warms = step->checked && w->context->has_others(w->context->arg, step->backend);
    line = command(w, ANSWER_NOTHING, "set server %s state %s", w->server,
                   warms ? "drain" : "ready");
    if (warms)
        line->mark = SCRIPT_WARMS;
}

static void set_state(struct writer *w, const char *state) {
    command(w, ANSWER_NOTHING, "set server %s state %s", w->server, state)->mark =
        SCRIPT_STAYS;
}

static void write_revival(struct writer *w, const char *host, long port) {
    const struct plan_step *step = w->step;
    (void)command(w, ANSWER_ADDRESS, "set server %s addr %s port %ld", w->server, host,
                  port);
    (void)command(w, ANSWER_NOTHING, "set server %s weight %ld", w->server, step->number);
    set_state(w, step->disabled ? "maint" : "ready");
}

/* Whether this plan has removed the server before it is added. */
static bool is_removed(const struct writer *w) {
    for (size_t i = 0; w->script->removals && i < w->script->count; i++)
        if (w->script->lines[i].mark == SCRIPT_LEAVES &&
            !strcmp(w->script->lines[i].server, w->server))
            return true;
    return false;
}

static bool add_server(struct writer *w) {
    char host[INET6_ADDRSTRLEN];
    long port = 0;
    const struct plan_step *step = w->step;
    const char *keywords = step->keywords ? step->keywords : "";
    if (!are_words(keywords))
        return fail(w, "its keywords can't be sent to HAProxy");
    if (step->number < 0 || step->number > 256)
        return fail(w, "its weight is not 0 to 256");
    if (!address_of(w, host, sizeof host, &port))
        return false;
    if (!w->context->is_leaving(w->context->arg, w->server) && !is_removed(w)) {
        write_add(w, host, port);
        return true;
    }
    struct script_line *line = add_line(w, SCRIPT_REVIVE, ANSWER_DELETED);
    line->text = mem_printf("del server %s", w->server);
    line->keywords = mem_strdup(keywords);
    w->when = SCRIPT_IF_ADDED;
    write_add(w, host, port);
    w->when = SCRIPT_IF_REVIVED;
    write_revival(w, host, port);
    w->when = SCRIPT_ALWAYS;
    return true;
}

static bool set_address(struct writer *w) {
    char host[INET6_ADDRSTRLEN];
    long port = 0;
    if (!address_of(w, host, sizeof host, &port))
        return false;
    (void)command(w, ANSWER_ADDRESS, "set server %s addr %s port %ld", w->server, host,
                  port);
    return true;
}

static void write_map(struct writer *w, const struct map *map) {
    const struct plan_step *step = w->step;
    size_t from = 0;
    add_line(w, SCRIPT_PREPARE, ANSWER_NOTHING);
    while (from < map->count) {
        struct buffer piece = BUFFER_INIT;
        from = map_take(map, from, CLI_COMMAND_MAX - strlen(step->map) - 64, &piece);
        add_line(w, SCRIPT_PAYLOAD, ANSWER_NOTHING)->text = buffer_steal(&piece);
    }
    add_line(w, SCRIPT_COUNT, ANSWER_NOTHING)->text = mem_strdup(step->text);
    add_line(w, SCRIPT_COMMIT, ANSWER_NOTHING);
}

static bool replace_map(struct writer *w) {
    const struct plan_step *step = w->step;
    struct map map;
    size_t first = w->script->count;
    if (!is_word(step->map))
        return error_set(w->error, step->map, "this name of a map can't be sent");
    if (!map_read(&map, step->map, step->text, w->error))
        return false;
    write_map(w, &map);
    map_free(&map);
    for (size_t i = first; i < w->script->count; i++)
        w->script->lines[i].map = mem_strdup(step->map);
    return true;
}

/* `set map` changes an entry that is there, and refuses a key that is not. */
static bool set_map(struct writer *w) {
    const struct plan_step *step = w->step;
    size_t key = strcspn(step->text, " ");
    char *entry = mem_strdup(step->text);
    entry[key] = '\0';
    bool safe = is_word(step->map) && is_word(entry) && step->text[key] &&
                is_word(step->text + key + 1);
    free(entry);
    if (!safe)
        return error_set(w->error, step->map, "this entry of a map can't be sent");
    struct script_line *line = add_line(w, SCRIPT_SET, ANSWER_NOTHING);
    line->text = mem_strdup(step->text);
    line->map = mem_strdup(step->map);
    return true;
}

static void remove_server(struct writer *w) {
    struct script_line *line =
        command(w, ANSWER_NOTHING, "set server %s state maint", w->server);
    line->mark = SCRIPT_LEAVES;
    line->keywords = mem_strdup(w->step->keywords);
    w->script->removals++;
}

static bool write_step(struct writer *w) {
    const struct plan_step *step = w->step;
    switch (step->kind) {
    case PLAN_ADD_SERVER:
        return add_server(w);
    case PLAN_REMOVE_SERVER:
        remove_server(w);
        return true;
    case PLAN_SET_ADDRESS:
        return set_address(w);
    case PLAN_SET_WEIGHT:
        (void)command(w, ANSWER_NOTHING, "set server %s weight %ld", w->server,
                      step->number);
        return true;
    case PLAN_SET_MAXCONN:
        (void)command(w, ANSWER_NOTHING, "set maxconn server %s %ld", w->server,
                      step->number);
        return true;
    case PLAN_DISABLE:
        set_state(w, "maint");
        return true;
    case PLAN_ENABLE:
        set_state(w, "ready");
        return true;
    case PLAN_SET_MAP:
        return set_map(w);
    case PLAN_REPLACE_MAP:
        return replace_map(w);
    }
    return error_set(w->error, "", "the plan has a step that is not known");
}

static bool names_are_safe(struct writer *w) {
    const struct plan_step *step = w->step;
    if (step->kind == PLAN_SET_MAP || step->kind == PLAN_REPLACE_MAP)
        return true;
    if (step->backend && step->server && is_word(step->backend) &&
        is_word(step->server) && !strchr(step->backend, '/') &&
        !strchr(step->server, '/'))
        return true;
    return fail(w, "this name can't be sent to HAProxy");
}

bool script_write(struct script *script, const struct plan *plan,
                  const struct script_context *context, struct error *error) {
    bool done = true;
    for (size_t i = 0; done && i < plan->count; i++) {
        struct writer w = {script, &plan->steps[i], context, error, NULL, SCRIPT_ALWAYS};
        w.server = mem_printf("%s/%s", w.step->backend ? w.step->backend : "",
                              w.step->server ? w.step->server : "");
        done = names_are_safe(&w) && write_step(&w);
        free(w.server);
    }
    return done;
}

void script_make_ready(struct script *script, const char *server) {
    struct writer w = {.script = script, .server = (char *)server};
    set_state(&w, "ready");
}

void script_free(struct script *script) {
    for (size_t i = 0; i < script->count; i++) {
        free(script->lines[i].text);
        free(script->lines[i].map);
        free(script->lines[i].server);
        free(script->lines[i].keywords);
    }
    free(script->lines);
    *script = (struct script){.next_id = script->next_id};
}

char *script_command(const struct script_line *line, long map_version) {
    switch (line->kind) {
    case SCRIPT_SEND:
    case SCRIPT_REVIVE:
        break;
    case SCRIPT_SET:
        return mem_printf("set map %s %s", line->map, line->text);
    case SCRIPT_PREPARE:
        return mem_printf("prepare map %s", line->map);
    case SCRIPT_PAYLOAD:
        return mem_printf("add map @%ld %s <<\n%s", map_version, line->map, line->text);
    case SCRIPT_COUNT:
        return mem_printf("show map @%ld %s", map_version, line->map);
    case SCRIPT_COMMIT:
        return mem_printf("commit map @%ld %s", map_version, line->map);
    }
    return mem_strdup(line->text);
}
