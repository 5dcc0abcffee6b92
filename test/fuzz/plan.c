/* Two configs and two maps: the plan never crashes, its steps have the shape that plan.h
 * says, they lead from the servers of the old config to those of the new one, and they
 * become commands that can't be read as others. */
#include "plan/plan.h"
#include "base/diff.h"
#include "base/mem.h"
#include "config.h"
#include "fuzz.h"
#include "haproxy/cli.h"
#include "haproxy/script.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 4, SERVERS_MAX = 256 };

/* The servers of one config. */
struct servers {
    struct plan_server items[SERVERS_MAX];
    size_t count;
    bool ambiguous; /* too many, or two of one name, which HAProxy refuses */
};

static struct plan_server *find(struct servers *servers, const char *backend,
                                const char *server) {
    for (size_t i = 0; i < servers->count; i++)
        if (!strcmp(servers->items[i].backend, backend) &&
            !strcmp(servers->items[i].server, server))
            return &servers->items[i];
    return NULL;
}

static void add(struct servers *servers, const struct plan_server *from) {
    if (servers->count == SERVERS_MAX || find(servers, from->backend, from->server)) {
        servers->ambiguous = true;
        return;
    }
    struct plan_server *server = &servers->items[servers->count++];
    *server =
        (struct plan_server){mem_strdup(from->backend), mem_strdup(from->server),
                             mem_strdup(from->address), from->weight, from->disabled};
}

static void clear(struct plan_server *server) {
    free((char *)server->backend);
    free((char *)server->server);
    free((char *)server->address);
}

static void clear_all(struct servers *servers) {
    while (servers->count)
        clear(&servers->items[--servers->count]);
}

static void visit(void *arg, const struct plan_server *server) {
    add(arg, server);
}

static bool wants_all(void *arg, const char *backend) {
    (void)arg, (void)backend;
    return true;
}

static void take_step(struct servers *servers, const struct plan_step *step) {
    struct plan_server *server = step->kind == PLAN_REPLACE_MAP
                                     ? NULL
                                     : find(servers, step->backend, step->server);
    switch (step->kind) {
    case PLAN_ADD_SERVER:
        fuzz_require(!server, "a server is added that is there");
        add(servers, &(struct plan_server){step->backend, step->server, step->address,
                                           step->number, step->disabled});
        return;
    case PLAN_REPLACE_MAP:
    case PLAN_SET_MAXCONN:
        return;
    default:
        break;
    }
    fuzz_require(server, "a step for a server that is not there: %s/%s", step->backend,
                 step->server);
    if (!server)
        return;
    if (step->kind == PLAN_REMOVE_SERVER) {
        clear(server);
        *server = servers->items[--servers->count];
    } else if (step->kind == PLAN_SET_ADDRESS) {
        free((char *)server->address);
        server->address = mem_strdup(step->address);
    } else if (step->kind == PLAN_SET_WEIGHT) {
        server->weight = step->number;
    } else {
        server->disabled = step->kind == PLAN_DISABLE;
    }
}

static void check_outcome(struct servers *got, struct servers *wanted) {
    fuzz_require(got->count == wanted->count, "%zu servers instead of %zu", got->count,
                 wanted->count);
    for (size_t i = 0; i < wanted->count; i++) {
        const struct plan_server *want = &wanted->items[i];
        const struct plan_server *have = find(got, want->backend, want->server);
        fuzz_require(have, "%s/%s is missing", want->backend, want->server);
        fuzz_require(have && !strcmp(have->address, want->address) &&
                         have->weight == want->weight && have->disabled == want->disabled,
                     "%s/%s is not as the config says", want->backend, want->server);
    }
}

/* Only a plan without a reload says all that happens. */
static void check_effect(const struct plan *plan, const char *old, const char *new) {
    struct servers got = {0};
    struct servers wanted = {0};
    plan_servers(old, wants_all, visit, &got);
    plan_servers(new, wants_all, visit, &wanted);
    if (plan->kind != PLAN_RELOAD && !got.ambiguous && !wanted.ambiguous) {
        for (size_t i = 0; i < plan->count; i++)
            take_step(&got, &plan->steps[i]);
        check_outcome(&got, &wanted);
    }
    clear_all(&got);
    clear_all(&wanted);
}

static void check_step(const struct plan_step *step) {
    if (step->kind == PLAN_REPLACE_MAP) {
        fuzz_require(step->map && step->text, "a map without a name or a text");
        return;
    }
    fuzz_require(step->backend && *step->backend && step->server && *step->server,
                 "a step without a server");
    bool needs_address = step->kind == PLAN_ADD_SERVER || step->kind == PLAN_SET_ADDRESS;
    fuzz_require(!needs_address || (step->address && *step->address),
                 "a step without an address");
    fuzz_require(step->kind != PLAN_ADD_SERVER || step->keywords,
                 "a server without keywords");
    bool weighs = step->kind == PLAN_ADD_SERVER || step->kind == PLAN_SET_WEIGHT;
    fuzz_require(!weighs || (step->number >= 0 && step->number <= 256), "weight %ld",
                 step->number);
}

static void check_plan(const struct plan *plan) {
    struct buffer text = BUFFER_INIT;
    fuzz_require((plan->kind == PLAN_RUNTIME) == (plan->count > 0), "kind %d, %zu steps",
                 (int)plan->kind, plan->count);
    fuzz_require((plan->kind == PLAN_RELOAD) == (plan->reason != NULL), "kind %d, %s",
                 (int)plan->kind, plan->reason ? plan->reason : "no reason");
    for (size_t i = 0; i < plan->count; i++)
        check_step(&plan->steps[i]);
    plan_describe(plan, &text);
    fuzz_require(text.len, "a plan without words");
    buffer_free(&text);
    json_t *json = plan_json(plan);
    fuzz_require(json_is_object(json), "a plan without JSON");
    json_decref(json);
}

static bool is_odd(const void *arg, const char *name) {
    (void)arg;
    return strlen(name) % 2;
}

static void check_command(const struct script_line *line) {
    char *command = script_command(line, 7);
    size_t len = strlen(command);
    bool payload = line->kind == SCRIPT_PAYLOAD;
    const char *newline = strchr(command, '\n');
    size_t first = newline ? (size_t)(newline - command) : len;
    fuzz_require(len <= CLI_COMMAND_MAX, "a command of %zu bytes", len);
    fuzz_require(payload == (newline != NULL), "lines in: %s", command);
    fuzz_require(payload == (strstr(command, "<<") != NULL) || payload,
                 "a payload in: %s", command);
    fuzz_require(!strstr(command, "\n\n"), "an empty line in: %s", command);
    for (size_t i = 0; i < first; i++)
        fuzz_require(command[i] >= ' ' && command[i] <= '~' && !strchr(";\\", command[i]),
                     "'%c' in: %s", command[i], command);
    free(command);
}

static void check_script(const struct plan *plan) {
    static struct event_base *base;
    static struct resolver *resolver;
    if (!base) {
        base = event_base_new();
        resolver = resolver_new(base);
    }
    struct script_context context = {resolver, is_odd, is_odd, NULL};
    struct script script = {.next_id = 1};
    struct error error = {0};
    if (!script_write(&script, plan, &context, &error))
        fuzz_require_error(&error);
    else
        for (size_t i = 0; i < script.count; i++)
            check_command(&script.lines[i]);
    script_free(&script);
}

/* Appends all lines but those of servers, word by word. Returns false for a config that
 * HAProxy may read otherwise. */
static bool write_frame(const char *config, struct buffer *out) {
    static struct config_line line;
    bool has_servers = false;
    for (const char *text = config; *text; text += *text == '\n') {
        size_t len = strcspn(text, "\n");
        if (config_split(text, len, &line))
            return false;
        text += len;
        const char *word = line.count ? line.words[0] : "";
        if (config_is_section(word))
            has_servers = !strcmp(word, "backend") || !strcmp(word, "listen");
        bool of_servers = !strcmp(word, "server") || !strcmp(word, "default-server");
        if (!line.count || (of_servers && has_servers))
            continue;
        for (size_t i = 0; i < line.count; i++)
            buffer_printf(out, "%s\x1f", line.words[i]);
        buffer_putc(out, '\n');
    }
    return true;
}

/* What is no server changes only with a reload. */
static void check_frames(const struct plan *plan, const char *old, const char *new) {
    struct buffer frames[2] = {BUFFER_INIT, BUFFER_INIT};
    if (write_frame(old, &frames[0]) && write_frame(new, &frames[1]) &&
        strcmp(buffer_str(&frames[0]), buffer_str(&frames[1])) != 0)
        fuzz_require(plan->kind == PLAN_RELOAD, "a change is lost");
    buffer_free(&frames[0]);
    buffer_free(&frames[1]);
}

static void check_pair(char *const *parts, const struct plan_abilities *abilities) {
    struct plan_file files[2] = {{"services.map", parts[2]}, {"services.map", parts[3]}};
    struct plan_side sides[2] = {{parts[0], &files[0], 1}, {parts[1], &files[1], 1}};
    for (size_t i = 0; i < 4; i++) {
        const struct plan_side *old = &sides[i / 2];
        const struct plan_side *new = &sides[i % 2];
        struct plan *plan = plan_new(old, new, abilities);
        check_plan(plan);
        fuzz_require(old != new || plan->kind == PLAN_NOTHING,
                     "no difference, but a plan: %s", plan->reason ? plan->reason : "");
        fuzz_require(abilities->dynamic_servers || plan->kind != PLAN_RUNTIME ||
                         plan->steps[0].kind != PLAN_ADD_SERVER,
                     "a server is added without the ability");
        check_effect(plan, old->config, new->config);
        check_frames(plan, old->config, new->config);
        check_script(plan);
        plan_free(plan);
    }
}

static void check_diff(const char *old, const char *new) {
    struct buffer out = BUFFER_INIT;
    struct diff_text texts[2] = {{old, strlen(old)}, {new, strlen(new)}};
    bool differ = diff_unified("haproxy.cfg", &texts[0], &texts[1], 4096, &out);
    fuzz_require(differ == (strcmp(old, new) != 0), "the diff says otherwise");
    fuzz_require(differ == (out.len > 0), "a diff of %zu bytes", out.len);
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct plan_abilities abilities[] = {{true, true}, {false, false}};
    char *parts[PARTS];
    fuzz_split(data, size, parts, PARTS);
    for (size_t i = 0; i < 2; i++)
        check_pair(parts, &abilities[i]);
    check_diff(parts[0], parts[1]);
    for (size_t i = 0; i < PARTS; i++)
        free(parts[i]);
    return 0;
}
