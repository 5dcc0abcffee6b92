/* The last changes, in a ring that is bounded in number and in bytes. */
#include "agent/history.h"
#include "base/diff.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CHANGES_MAX = 100,
    WHAT_MAX = 20,       /* differences that are named */
    DIFF_MAX = 64 << 10, /* of one output */
    DIFFS_MAX = 2 << 20, /* of all changes together */
    EVERYBODY = 0004,
};

struct history {
    struct status_change *changes[CHANGES_MAX]; /* oldest first */
    size_t count;
    size_t diff_bytes;
    uint64_t last_id;
    struct buffer what; /* of the change to come */
    size_t differences;
    struct buffer who;             /* the origin of the first of them */
    struct feed *feed;             /* while it is asked for that */
    const struct outputs *applied; /* of the last change that was done; NULL: none yet */
    struct status_totals totals;
};

struct history *history_new(void) {
    return mem_zalloc(sizeof(struct history));
}

static size_t diff_size(const struct status_change *change) {
    return change->diff ? strlen(change->diff) : 0;
}

static void drop_diff(struct history *history, struct status_change *change) {
    history->diff_bytes -= diff_size(change);
    free((char *)change->diff);
    change->diff = NULL;
}

static void drop(struct history *history, struct status_change *change) {
    drop_diff(history, change);
    free((char *)change->what);
    free((char *)change->who);
    free((char *)change->reason);
    free((char *)change->error);
    free(change);
}

void history_free(struct history *history) {
    if (!history)
        return;
    for (size_t i = 0; i < history->count; i++)
        drop(history, history->changes[i]);
    buffer_free(&history->what);
    buffer_free(&history->who);
    outputs_unref(history->applied);
    free(history);
}

/* What changed. */

static const char *host_state(const struct host *host) {
    return !host->enabled ? "disabled"
           : host->drain  ? "drain"
           : host->backup ? "backup"
                          : "enabled";
}

static void put_host_change(struct buffer *out, const struct host *old,
                            const struct host *new) {
    if (strcmp(host_state(old), host_state(new)) != 0)
        buffer_printf(out, ", %s (was %s)", host_state(new), host_state(old));
    if (old->weight != new->weight)
        buffer_printf(out, ", weight %d (was %d)", new->weight, old->weight);
    if (old->port != new->port || strcmp(old->host, new->host) != 0)
        buffer_printf(out, ", at %s:%u (was %s:%u)", new->host, (unsigned)new->port,
                      old->host, (unsigned)old->port);
}

static void put_line(struct history *history, const char *line) {
    if (history->differences++ >= WHAT_MAX)
        return;
    if (history->what.len)
        buffer_putc(&history->what, '\n');
    buffer_puts(&history->what, line);
}

static void on_difference(void *arg, const struct catalog_change *change) {
    static const char *const names[] = {
        [SERVICE_ADDED] = "service added",     [SERVICE_REMOVED] = "service removed",
        [SERVICE_CHANGED] = "service changed", [HOST_ADDED] = "host added",
        [HOST_REMOVED] = "host removed",       [HOST_CHANGED] = "host changed",
    };
    struct history *history = arg;
    const struct host *host = change->new_host ? change->new_host : change->old_host;
    struct buffer line = BUFFER_INIT;
    buffer_printf(&line, "%s: %s%s%s", names[change->kind], change->service->name,
                  host ? "/" : "", host ? host->id : "");
    if (change->old_host && change->new_host)
        put_host_change(&line, change->old_host, change->new_host);
    else if (change->new_host && strcmp(host_state(change->new_host), "enabled") != 0)
        buffer_printf(&line, ", %s", host_state(change->new_host));
    if (!history->differences)
        feed_origin(history->feed, change->service->name, host ? host->id : NULL,
                    &history->who);
    put_line(history, buffer_str(&line));
    buffer_free(&line);
}

void history_registry(struct history *history, struct feed *feed,
                      const struct catalog *old, const struct catalog *new) {
    char line[96];
    history->feed = feed;
    if (old == new)
        return;
    if (old) {
        (void)catalog_compare(old, new, on_difference, history);
        return;
    }
    (void)snprintf(line, sizeof line, "first catalog: %zu services with %zu hosts",
                   new->service_count, catalog_host_count(new));
    put_line(history, line);
}

void history_note(struct history *history, const char *what) {
    put_line(history, what);
}

/* Adding one. */

/* Files that not everybody may read are secret here too. */
static char *diff_of(const struct outputs *old, const struct outputs *new) {
    struct buffer out = BUFFER_INIT;
    for (size_t i = 0; old && i < new->count &&i < old->count; i++) {
        const struct output *from = &old->items[i];
        const struct output *to = &new->items[i];
        struct diff_text a = {buffer_str(&from->text), from->text.len};
        struct diff_text b = {buffer_str(&to->text), to->text.len};
        if (to->settings->mode & EVERYBODY)
            (void)diff_unified(to->settings->path, &a, &b, DIFF_MAX, &out);
    }
    return out.len ? buffer_steal(&out) : NULL;
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum status_way way_of(const struct plan *plan) {
    return !plan || plan->kind == PLAN_NOTHING ? STATUS_FILES
           : plan->kind == PLAN_RUNTIME        ? STATUS_RUNTIME
                                               : STATUS_RELOAD;
}

/* With what changed since the last one, and what failed of it, if anything. */
static struct status_change *new_change(struct history *history,
                                        enum status_result result,
                                        const struct error *failure) {
    struct status_change *change = mem_zalloc(sizeof *change);
    struct buffer error = BUFFER_INIT;
    if (failure)
        error_format(failure, &error);
    *change = (struct status_change){
        .id = ++history->last_id,
        .at = now_ms(),
        .what = history->what.len ? buffer_steal(&history->what) : NULL,
        .who = history->who.len ? buffer_steal(&history->who) : NULL,
        .count = history->differences,
        .result = result,
        .error = error.len ? buffer_steal(&error) : NULL,
        .tries = 1,
    };
    history->differences = 0;
    return change;
}

static struct status_change *change_of(struct history *history,
                                       const struct apply_report *report) {
    static const enum status_result results[] = {
        [APPLY_DONE] = STATUS_DONE,
        [APPLY_REFUSED] = STATUS_REFUSED,
        [APPLY_NOT_WRITTEN] = STATUS_NOT_WRITTEN,
        [APPLY_ROLLED_BACK] = STATUS_ROLLED_BACK,
        [APPLY_NOT_LOADED] = STATUS_NOT_LOADED,
    };
    struct status_change *change =
        new_change(history, results[report->result], report->error);
    change->way = way_of(report->plan);
    change->reason = mem_strdup(report->plan ? report->plan->reason : NULL);
    change->steps = report->plan ? report->plan->count : 0;
    change->usec = report->usec;
    change->diff = diff_of(history->applied, report->outputs);
    history->diff_bytes += diff_size(change);
    return change;
}

static void make_room(struct history *history) {
    for (size_t i = 0; i < history->count && history->diff_bytes > DIFFS_MAX; i++)
        drop_diff(history, history->changes[i]);
    if (history->count < CHANGES_MAX)
        return;
    drop(history, history->changes[0]);
    memmove(history->changes, history->changes + 1,
            (CHANGES_MAX - 1) * sizeof *history->changes);
    history->count--;
}

/* The last change, if this one is that same change failing once more. */
static struct status_change *failed_again(struct history *history,
                                          const struct status_change *change) {
    struct status_change *last =
        history->count ? history->changes[history->count - 1] : NULL;
    bool same = last && change->error && last->error && !change->what &&
                last->result == change->result && !strcmp(last->error, change->error);
    return same ? last : NULL;
}

/* Keeps the change, or makes it part of the last one. Either has a new number then, by
 * which those who watch learn of it. */
static struct status_change *keep(struct history *history, struct status_change *change) {
    struct status_change *last = failed_again(history, change);
    if (last) {
        last->id = change->id;
        last->at = change->at;
        last->tries++;
        drop(history, change);
        return last;
    }
    make_room(history);
    history->changes[history->count++] = change;
    return change;
}

const struct status_change *history_add(struct history *history,
                                        const struct apply_report *report) {
    struct status_change *change = keep(history, change_of(history, report));
    history->totals.changes[change->way][change->result]++;
    status_histogram_add(&history->totals.apply[change->way], change->usec);
    if (report->result == APPLY_DONE || report->result == APPLY_NOT_LOADED) {
        outputs_unref(history->applied);
        history->applied = outputs_ref(report->outputs);
    }
    return change;
}

void history_add_unrendered(struct history *history, const struct error *error) {
    struct status_change *change =
        keep(history, new_change(history, STATUS_NOT_RENDERED, error));
    history->totals.changes[change->way][change->result]++;
    history->totals.render_errors++;
}

const char *history_headline(const struct status_change *change, char *out, size_t size) {
    if (!change->what)
        return NULL;
    (void)snprintf(out, size, "%.*s", (int)strcspn(change->what, "\n"), change->what);
    return out;
}

const struct status_change *const *history_changes(const struct history *history,
                                                   size_t *count) {
    *count = history->count;
    return (const struct status_change *const *)history->changes;
}

struct status_totals *history_totals(struct history *history) {
    return &history->totals;
}
