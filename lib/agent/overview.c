/* What the agent's parts say of themselves. */
#include "agent/overview.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct overview {
    int64_t started;
    struct status_source *sources;
    size_t source_count;
    struct status_output *outputs;
    char failure[sizeof(struct error) + 2]; /* room for both of its texts */
};

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct overview *overview_new(void) {
    struct overview *overview = mem_zalloc(sizeof *overview);
    overview->started = now_ms();
    return overview;
}

void overview_free(struct overview *overview) {
    if (!overview)
        return;
    free(overview->sources);
    free(overview->outputs);
    free(overview);
}

/* Sources that were read anew from the settings are known by their place in the list. */
static void note_source(struct overview *overview, size_t index, struct source *source) {
    bool known = index < overview->source_count;
    if (!known) {
        overview->sources = mem_grow(overview->sources, overview->source_count,
                                     sizeof *overview->sources);
        overview->sources[overview->source_count++] = (struct status_source){0};
    }
    struct status_source *item = &overview->sources[index];
    struct source_status status;
    source_status(source, &status);
    if (!known || item->status.state != status.state)
        item->since = now_ms();
    item->status = status;
    item->name = source_name(source);
}

void overview_note(struct overview *overview, struct feed *feed) {
    struct source *source;
    size_t i = 0;
    for (; (source = feed_source(feed, i)); i++)
        note_source(overview, i, source);
    overview->source_count = i;
}

static void fill_outputs(struct overview *overview, const struct overview_parts *parts,
                         struct status_view *view) {
    const struct outputs *outputs = parts->apply ? apply_outputs(parts->apply) : NULL;
    size_t count = outputs ? outputs->count : 0;
    overview->outputs = mem_resize(overview->outputs, count, sizeof *overview->outputs);
    for (size_t i = 0; i < count; i++) {
        const struct output *output = &outputs->items[i];
        overview->outputs[i] = (struct status_output){
            .settings = output->settings,
            .text = output->exists ? buffer_str(&output->text) : NULL,
            .len = output->text.len,
        };
    }
    view->outputs = overview->outputs;
    view->output_count = count;
}

static void fill_haproxy(const struct overview_parts *parts, struct status_view *view) {
    pid_t pid = 0;
    view->has_haproxy = settings_haproxy_output(parts->settings) != NULL;
    view->in_place =
        view->has_haproxy ? parts->apply && apply_in_place(parts->apply) : parts->settled;
    if (!parts->apply)
        return;
    view->haproxy_running = apply_haproxy_running(parts->apply, &pid);
    view->haproxy_pid = pid;
    apply_pending(parts->apply, &view->warming, &view->leaving);
}

static const char *failure_of(struct overview *overview, const struct error *error) {
    if (!error->text[0])
        return NULL;
    (void)snprintf(overview->failure, sizeof overview->failure, "%s%s%s", error->where,
                   error->where[0] ? ": " : "", error->text);
    return overview->failure;
}

void overview_fill(struct overview *overview, const struct overview_parts *parts,
                   struct status_view *view) {
    overview_note(overview, parts->feed);
    *view = (struct status_view){
        .settings = parts->settings,
        .catalog = parts->catalog,
        .stale = feed_is_stale(parts->feed),
        .problems = parts->problems,
        .sources = overview->sources,
        .source_count = overview->source_count,
        .totals = history_totals(parts->history),
        .failure = failure_of(overview, parts->failure),
        .reread_failed = parts->reread_failed,
        .started = overview->started,
    };
    view->changes = history_changes(parts->history, &view->change_count);
    fill_outputs(overview, parts, view);
    fill_haproxy(parts, view);
}
