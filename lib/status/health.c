/* Whether all is well, in one sentence. */
#include "status/facts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* A difference that a change has just made, or that HAProxy was not asked about since, is
 * none yet. */
enum { SETTLING = 30000 };

const char *facts_level_name(enum facts_level level) {
    static const char *const names[] = {
        [FACTS_OK] = "ok", [FACTS_WARNING] = "warning", [FACTS_ERROR] = "error"};
    return names[level];
}

bool facts_ready(const struct status_view *view, const struct facts_stats *stats) {
    return view->in_place &&
           (!view->has_haproxy || view->haproxy_running || stats->known);
}

static void add(struct facts_health *health, enum facts_level level, const char *text) {
    if (level > health->level)
        health->level = level;
    problems_add(&health->reasons, facts_level_name(level), "%s", text);
}

/* `one` and `many` say what there is `count` of. */
static void add_count(struct facts_health *health, size_t count, const char *one,
                      const char *many) {
    char text[256];
    (void)snprintf(text, sizeof text, "%zu %s", count, count == 1 ? one : many);
    if (count)
        add(health, FACTS_WARNING, text);
}

static void judge_errors(struct facts_health *health, const struct status_view *view,
                         const struct facts_stats *stats) {
    char text[2048];
    if (view->has_haproxy && view->in_place && !facts_ready(view, stats))
        add(health, FACTS_ERROR, "HAProxy is not known to run");
    if (view->failure) {
        (void)snprintf(text, sizeof text, "the last change is not in place: %s",
                       view->failure);
        add(health, FACTS_ERROR, text);
    }
    if (!view->catalog)
        add(health, FACTS_ERROR, "no catalog yet: no registry has answered");
    else if (!view->in_place && !view->failure)
        add(health, FACTS_ERROR, "no config is in place yet");
}

static void judge_sources(struct facts_health *health, const struct status_view *view) {
    char text[2048];
    if (view->stale)
        add(health, FACTS_WARNING,
            "no registry answers: the last catalog known is served");
    for (size_t i = 0; i < view->source_count; i++) {
        const struct status_source *source = &view->sources[i];
        (void)snprintf(text, sizeof text, "%s: %s", source->name, source->status.text);
        if (source->status.state != SOURCE_READY)
            add(health, FACTS_WARNING, text);
    }
}

static bool is_settled(const struct status_view *view, const struct facts_stats *stats,
                       int64_t now) {
    const struct status_change *last =
        view->change_count ? view->changes[view->change_count - 1] : NULL;
    return !view->warming && !view->leaving && stats->known &&
           (!last || (now - last->at > SETTLING && stats->at > last->at));
}

static void judge_services(struct facts_health *health, const struct status_view *view,
                           const struct facts_stats *stats, const struct facts_tally *all,
                           int64_t now) {
    add_count(health, all->unserved, "service has no host that is up",
              "services have no host that is up");
    if (is_settled(view, stats, now))
        add_count(health, all->differs, "host differs between the registry and HAProxy",
                  "hosts differ between the registry and HAProxy");
    add_count(health, view->problems->count, "problem with the registry's records",
              "problems with the registry's records");
    if (view->reread_failed)
        add(health, FACTS_WARNING,
            "the settings or templates read last were wrong: the old ones are used");
    if (view->has_haproxy && !stats->known && stats->error.text[0])
        add(health, FACTS_WARNING, stats->error.text);
}

static void sum_up(struct facts_health *health, const struct status_view *view,
                   const struct facts_stats *stats, const struct facts_tally *all) {
    struct buffer *out = &health->summary;
    if (health->level == FACTS_OK) {
        buffer_printf(out, "All in step: %zu services with %zu hosts",
                      view->catalog->service_count, all->hosts);
        if (stats->known)
            buffer_printf(out, ", %zu up", all->up);
        return;
    }
    for (size_t i = 0; i < health->reasons.count; i++) {
        const struct problem *reason = &health->reasons.items[i];
        if (strcmp(reason->where, facts_level_name(health->level)) != 0)
            continue;
        if (health->level == FACTS_WARNING)
            buffer_puts(out, "Serving, but ");
        bool begins = !out->len;
        buffer_puts(out, reason->text);
        if (begins)
            out->data[0] = (char)toupper((unsigned char)out->data[0]);
        break;
    }
    if (health->reasons.count > 1)
        buffer_printf(out, " (and %zu more)", health->reasons.count - 1);
}

void facts_health(struct facts_health *health, const struct status_view *view,
                  const struct facts_stats *stats, const struct facts_tally *all,
                  int64_t now) {
    *health = (struct facts_health){.level = FACTS_OK};
    judge_errors(health, view, stats);
    judge_sources(health, view);
    judge_services(health, view, stats, all, now);
    sum_up(health, view, stats, all);
}

void facts_health_free(struct facts_health *health) {
    buffer_free(&health->summary);
    problems_free(&health->reasons);
}
