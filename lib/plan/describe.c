/* A plan for people, as the commands they know from HAProxy's management guide, and as
 * JSON for programs. */
#include "base/text.h"
#include "plan/plan.h"

#include <string.h>

static const char *const step_names[] = {
    [PLAN_ADD_SERVER] = "add server",   [PLAN_REMOVE_SERVER] = "del server",
    [PLAN_SET_ADDRESS] = "set address", [PLAN_SET_WEIGHT] = "set weight",
    [PLAN_SET_MAXCONN] = "set maxconn", [PLAN_DISABLE] = "disable server",
    [PLAN_ENABLE] = "enable server",    [PLAN_SET_MAP] = "set map",
    [PLAN_REPLACE_MAP] = "replace map",
};

static size_t count_lines(const char *text) {
    size_t count = 0;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void describe_added(const struct plan_step *step, struct buffer *out) {
    buffer_printf(out, "add server %s/%s %s %s weight %ld%s", step->backend, step->server,
                  step->address, step->keywords, step->number,
                  step->disabled ? " disabled" : "");
}

static void describe_address(const struct plan_step *step, struct buffer *out) {
    const char *colon = strrchr(step->address, ':');
    bool brackets = *step->address == '[';
    buffer_printf(out, "set server %s/%s addr %.*s port %s", step->backend, step->server,
                  (int)(colon - step->address) - 2 * brackets, step->address + brackets,
                  colon + 1);
}

static void describe_step(const struct plan_step *step, struct buffer *out) {
    switch (step->kind) {
    case PLAN_ADD_SERVER:
        describe_added(step, out);
        break;
    case PLAN_REMOVE_SERVER:
        buffer_printf(out, "del server %s/%s", step->backend, step->server);
        break;
    case PLAN_SET_ADDRESS:
        describe_address(step, out);
        break;
    case PLAN_SET_WEIGHT:
        buffer_printf(out, "set server %s/%s weight %ld", step->backend, step->server,
                      step->number);
        break;
    case PLAN_SET_MAXCONN:
        buffer_printf(out, "set maxconn server %s/%s %ld", step->backend, step->server,
                      step->number);
        break;
    case PLAN_DISABLE:
    case PLAN_ENABLE:
        buffer_printf(out, "set server %s/%s state %s", step->backend, step->server,
                      step->kind == PLAN_ENABLE ? "ready" : "maint");
        break;
    case PLAN_SET_MAP:
        buffer_printf(out, "set map %s %s", step->map, step->text);
        break;
    case PLAN_REPLACE_MAP:
        buffer_printf(out, "commit map %s (entries: %zu)", step->map,
                      count_lines(step->text));
        break;
    }
}

void plan_describe(const struct plan *plan, struct buffer *out) {
    if (plan->kind == PLAN_RELOAD)
        buffer_printf(out, "reload: %s\n", plan->reason);
    else if (plan->kind == PLAN_NOTHING)
        buffer_puts(out, "nothing to do\n");
    else
        buffer_printf(out, "no reload, %zu step%s at run time\n", plan->count,
                      plan->count == 1 ? "" : "s");
    for (size_t i = 0; i < plan->count; i++) {
        struct buffer line = BUFFER_INIT;
        char clean[1024];
        describe_step(&plan->steps[i], &line);
        buffer_printf(out, "  %s\n",
                      text_printable(buffer_str(&line), clean, sizeof clean));
        buffer_free(&line);
    }
}

/* Text that is not UTF-8 is escaped. */
static void put_text(json_t *object, const char *key, const char *text) {
    char clean[4096];
    if (text)
        (void)json_object_set_new(object, key,
                                  json_string(text_printable(text, clean, sizeof clean)));
}

static json_t *step_json(const struct plan_step *step) {
    json_t *object = json_object();
    put_text(object, "do", step_names[step->kind]);
    put_text(object, "backend", step->backend);
    put_text(object, "server", step->server);
    put_text(object, "address", step->address);
    if (step->kind == PLAN_ADD_SERVER) {
        put_text(object, "keywords", step->keywords);
        (void)json_object_set_new(object, "disabled", json_boolean(step->disabled));
    }
    if (step->kind == PLAN_ADD_SERVER || step->kind == PLAN_SET_WEIGHT)
        (void)json_object_set_new(object, "weight", json_integer(step->number));
    if (step->kind == PLAN_SET_MAXCONN)
        (void)json_object_set_new(object, "maxconn", json_integer(step->number));
    put_text(object, "map", step->map);
    if (step->kind == PLAN_SET_MAP)
        put_text(object, "entry", step->text);
    if (step->kind == PLAN_REPLACE_MAP)
        (void)json_object_set_new(object, "entries",
                                  json_integer((json_int_t)count_lines(step->text)));
    return object;
}

json_t *plan_json(const struct plan *plan) {
    static const char *const kinds[] = {
        [PLAN_NOTHING] = "nothing", [PLAN_RUNTIME] = "runtime", [PLAN_RELOAD] = "reload"};
    json_t *object = json_object();
    json_t *steps = json_array();
    put_text(object, "plan", kinds[plan->kind]);
    put_text(object, "reason", plan->reason);
    for (size_t i = 0; i < plan->count; i++)
        (void)json_array_append_new(steps, step_json(&plan->steps[i]));
    (void)json_object_set_new(object, "steps", steps);
    return object;
}
