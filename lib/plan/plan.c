/* The plan itself: compares two sides part by part, and puts the steps in order. */
#include "plan/plan.h"
#include "base/mem.h"
#include "plan/compare.h"

#include <stdlib.h>
#include <string.h>

bool compare_reload(struct comparison *comparison, const char *format, ...) {
    struct plan *plan = comparison->plan;
    struct buffer text = BUFFER_INIT;
    va_list args;
    if (plan->kind == PLAN_RELOAD)
        return false;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    plan->kind = PLAN_RELOAD;
    plan->reason = buffer_steal(&text);
    return false;
}

struct plan_step *compare_step(struct comparison *comparison, enum plan_step_kind kind,
                               enum phase phase) {
    struct plan *plan = comparison->plan;
    plan->steps = mem_grow(plan->steps, plan->count, sizeof *plan->steps);
    comparison->phases =
        mem_grow(comparison->phases, plan->count, sizeof *comparison->phases);
    comparison->phases[plan->count] = phase;
    struct plan_step *step = &plan->steps[plan->count++];
    *step = (struct plan_step){.kind = kind};
    return step;
}

static void free_steps(struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_step *step = &plan->steps[i];
        free(step->backend);
        free(step->server);
        free(step->address);
        free(step->keywords);
        free(step->map);
        free(step->text);
    }
    free(plan->steps);
    plan->steps = NULL;
    plan->count = 0;
}

static void order_steps(struct comparison *comparison) {
    struct plan *plan = comparison->plan;
    struct plan_step *ordered = mem_zalloc((plan->count + 1) * sizeof *ordered);
    size_t count = 0;
    for (enum phase phase = PHASE_ADD; phase <= PHASE_REMOVE; phase++)
        for (size_t i = 0; i < plan->count; i++)
            if (comparison->phases[i] == phase)
                ordered[count++] = plan->steps[i];
    free(plan->steps);
    plan->steps = ordered;
    plan->kind = PLAN_RUNTIME;
}

/* Most of two configs is mostly the same: only the sections from the first to the last
 * difference are read. */
static bool compare_configs(struct comparison *comparison) {
    const char *old = comparison->old_side->config;
    const char *new = comparison->new_side->config;
    size_t before, after;
    config_trim(old, new, &before, &after);
    size_t old_len = strlen(old) - before - after;
    size_t new_len = strlen(new) - before - after;
    config_skim(&comparison->before, (struct line){old, before}, NULL, NULL);
    const struct config *context = before ? &comparison->before : NULL;
    config_parse(&comparison->old, (struct line){old + before, old_len}, context);
    config_parse(&comparison->new, (struct line){new + before, new_len}, context);
    return compare_sections(comparison);
}

struct plan *plan_new(const struct plan_side *old, const struct plan_side *new,
                      const struct plan_abilities *abilities) {
    struct plan *plan = mem_zalloc(sizeof *plan);
    struct comparison comparison = {
        .old_side = old, .new_side = new, .abilities = abilities, .plan = plan};
    bool go_on = true;
    plan->kind = PLAN_NOTHING;
    if (strcmp(old->config, new->config) != 0)
        go_on = compare_configs(&comparison);
    if (go_on)
        (void)compare_files(&comparison);
    if (plan->kind == PLAN_RELOAD)
        free_steps(plan);
    else if (plan->count)
        order_steps(&comparison);
    config_free(&comparison.old);
    config_free(&comparison.new);
    config_free(&comparison.before);
    references_free(comparison.references);
    words_free(&comparison.words[0]);
    words_free(&comparison.words[1]);
    free(comparison.phases);
    return plan;
}

void plan_free(struct plan *plan) {
    if (!plan)
        return;
    free_steps(plan);
    free(plan->reason);
    free(plan);
}
