/* What the log says of the catalog. */
#include "agent/reporter.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 20 };

struct reporter {
    const struct log *log;
    struct problems known; /* sorted */
    size_t lines;          /* of the comparison under way */
};

struct reporter *reporter_new(const struct log *log) {
    struct reporter *reporter = mem_zalloc(sizeof *reporter);
    reporter->log = log;
    return reporter;
}

void reporter_free(struct reporter *reporter) {
    if (!reporter)
        return;
    problems_free(&reporter->known);
    free(reporter);
}

static int compare(const void *a, const void *b) {
    const struct problem *x = a;
    const struct problem *y = b;
    int order = strcmp(x->where, y->where);
    return order ? order : strcmp(x->text, y->text);
}

void reporter_problems(struct reporter *reporter, struct problems *problems) {
    struct problems *known = &reporter->known;
    size_t i = 0;
    size_t j = 0;
    if (problems->count)
        qsort(problems->items, problems->count, sizeof *problems->items, compare);
    while (i < known->count || j < problems->count) {
        int order = i == known->count ? 1
                    : j == problems->count
                        ? -1
                        : compare(&known->items[i], &problems->items[j]);
        if (order < 0)
            log_notice(reporter->log, "problem gone",
                       LOG_STR("where", known->items[i].where),
                       LOG_STR("problem", known->items[i].text));
        if (order > 0)
            log_warning(reporter->log, "problem",
                        LOG_STR("where", problems->items[j].where),
                        LOG_STR("problem", problems->items[j].text));
        i += order <= 0;
        j += order >= 0;
    }
    problems_free(known);
    *known = *problems;
    *problems = (struct problems){0};
}

const struct problems *reporter_known(const struct reporter *reporter) {
    return &reporter->known;
}

static const char *host_state(const struct host *host) {
    return !host            ? NULL
           : !host->enabled ? "disabled"
           : host->drain    ? "drain"
           : host->backup   ? "backup"
                            : "enabled";
}

static void report(void *arg, const struct catalog_change *change) {
    static const char *const names[] = {
        [SERVICE_ADDED] = "service added",     [SERVICE_REMOVED] = "service removed",
        [SERVICE_CHANGED] = "service changed", [HOST_ADDED] = "host added",
        [HOST_REMOVED] = "host removed",       [HOST_CHANGED] = "host changed",
    };
    struct reporter *reporter = arg;
    const struct host *host = change->new_host ? change->new_host : change->old_host;
    if (reporter->lines++ >= LINES_MAX)
        return;
    log_info(reporter->log, names[change->kind],
             LOG_STR("service", change->service->name),
             LOG_STR("host", host ? host->id : NULL),
             LOG_STR("state", host_state(change->new_host)));
}

void reporter_changes(struct reporter *reporter, const struct catalog *old,
                      const struct catalog *new) {
    reporter->lines = 0;
    if (old == new)
        return;
    if (!old) {
        log_info(reporter->log, "first catalog", LOG_INT("services", new->service_count),
                 LOG_INT("hosts", catalog_host_count(new)));
        return;
    }
    size_t count = catalog_compare(old, new, report, reporter);
    if (count > LINES_MAX)
        log_info(reporter->log, "more changes", LOG_INT("count", count - LINES_MAX));
}
