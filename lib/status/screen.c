/* The status on one screen of a terminal. */
#include "status/screen.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    REASONS_MAX = 8,
    PROBLEMS_MAX = 3,
    CHANGES_MAX = 5,
    SERVICES_MIN = 3,
    LINE = 1024
};

/* Lines are written to `out` until the screen is full. */
struct page {
    const struct screen *screen;
    struct buffer *out;
    size_t rows;
};

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *key) {
    return (long long)json_number_value(json_object_get(object, key));
}

static size_t bytes_of_columns(const char *text, size_t columns) {
    size_t bytes = 0;
    while (text[bytes]) {
        bool starts = ((unsigned char)text[bytes] & 0xc0) != 0x80;
        if (starts && !columns--)
            break;
        bytes++;
    }
    return bytes;
}

static const char *colour_of(const char *word) {
    static const struct {
        const char *word, *code;
    } words[] = {
        {"ok", "32"},      {"ready", "32"},   {"running", "32"},     {"done", "32"},
        {"warning", "33"}, {"syncing", "33"}, {"connecting", "33"},  {"error", "31"},
        {"lost", "31"},    {"down", "31"},    {"not running", "31"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(words[i].word, word))
            return words[i].code;
    return NULL;
}

/* One line, cut to the width; `mark` is its first word, in the colour that it has. */
static void put(struct page *page, const char *mark, const char *text) {
    const char *code = page->screen->colour ? colour_of(mark) : NULL;
    char safe[LINE];
    text_printable(text, safe, sizeof safe);
    size_t marked = strlen(mark) + (*mark != '\0');
    size_t room = page->screen->columns > marked ? page->screen->columns - marked : LINE;
    if (*mark)
        buffer_printf(page->out, "%s%s%s%s%s ", code ? "\033[" : "", code ? code : "",
                      code ? ";1m" : "", mark, code ? "\033[0m" : "");
    buffer_append(page->out, safe, bytes_of_columns(safe, room));
    buffer_putc(page->out, '\n');
    page->rows++;
}

static bool has_room(const struct page *page, size_t lines) {
    return !page->screen->rows || page->rows + lines < page->screen->rows;
}

static void put_reasons(struct page *page, const json_t *status) {
    const json_t *reasons = json_object_get(status, "reasons");
    const json_t *reason;
    size_t i;
    char line[LINE];
    if (json_array_size(reasons) < 2)
        return;
    json_array_foreach(reasons, i, reason) {
        if (i == REASONS_MAX)
            break;
        (void)snprintf(line, sizeof line, "  - %s", text_of(reason, "text"));
        put(page, "", line);
    }
}

static void put_head(struct page *page, const json_t *status) {
    char line[LINE];
    put(page, text_of(status, "health"), text_of(status, "summary"));
    put_reasons(page, status);
    (void)snprintf(line, sizeof line, "hatlas %s on %s%s%s, realm %s",
                   text_of(status, "version"), text_of(status, "node"),
                   *text_of(status, "zone") ? ", zone " : "", text_of(status, "zone"),
                   text_of(status, "realm"));
    put(page, "", line);
}

static void put_parts(struct page *page, const json_t *status) {
    const json_t *haproxy = json_object_get(status, "haproxy");
    const json_t *source;
    size_t i;
    char line[LINE];
    put(page, "", "");
    json_array_foreach(json_object_get(status, "sources"), i, source) {
        (void)snprintf(line, sizeof line, "%s: %s", text_of(source, "name"),
                       text_of(source, "text"));
        put(page, text_of(source, "state"), line);
    }
    if (!json_is_object(haproxy))
        return;
    bool runs = json_is_true(json_object_get(haproxy, "running"));
    int len = snprintf(line, sizeof line, "HAProxy: %s", text_of(haproxy, "control"));
    if (number_of(haproxy, "pid"))
        len += snprintf(line + len, sizeof line - (size_t)len, ", process %lld",
                        number_of(haproxy, "pid"));
    if (*text_of(haproxy, "error"))
        (void)snprintf(line + len, sizeof line - (size_t)len, ", %s",
                       text_of(haproxy, "error"));
    put(page, runs ? "running" : "not running", line);
}

static void put_problems(struct page *page, const json_t *status) {
    const json_t *problem;
    size_t i;
    char line[LINE];
    if (!number_of(status, "problem_count"))
        return;
    (void)snprintf(line, sizeof line, "Records with faults: %lld",
                   number_of(status, "problem_count"));
    put(page, "", "");
    put(page, "", line);
    json_array_foreach(json_object_get(status, "problems"), i, problem) {
        if (i == PROBLEMS_MAX)
            break;
        (void)snprintf(line, sizeof line, "  %s: %s", text_of(problem, "where"),
                       text_of(problem, "text"));
        put(page, "", line);
    }
}

static void put_change(struct page *page, const json_t *change) {
    char line[LINE];
    char at[32];
    time_t when = (time_t)number_of(change, "at");
    struct tm local;
    const char *what = text_of(change, "what");
    size_t first = strcspn(what, "\n");
    long long more = number_of(change, "count") - (*what != '\0');
    (void)strftime(at, sizeof at, "%H:%M:%S", localtime_r(&when, &local));
    int len =
        snprintf(line, sizeof line, "%s %s, %.1f ms: %.*s", at, text_of(change, "way"),
                 json_number_value(json_object_get(change, "ms")),
                 (int)(first < LINE / 2 ? first : LINE / 2), what);
    if (more > 0)
        len += snprintf(line + len, sizeof line - (size_t)len, " and %lld more", more);
    const char *why = text_of(change, *text_of(change, "error") ? "error" : "reason");
    if (*why)
        (void)snprintf(line + len, sizeof line - (size_t)len, " (%.300s)", why);
    const char *result = text_of(change, "result");
    put(page, strcmp(result, "done") != 0 ? "error" : "done", line);
}

static void put_changes(struct page *page, const json_t *status) {
    const json_t *changes = json_object_get(status, "changes");
    size_t count = json_array_size(changes);
    if (!count)
        return;
    put(page, "", "");
    for (size_t i = 0; i < CHANGES_MAX && i < count; i++)
        put_change(page, json_array_get(changes, count - 1 - i));
}

/* Trouble first: down, differing, without hosts; then by name. */
static long long weight_of(const json_t *service) {
    bool known = json_is_true(json_object_get(service, "known"));
    bool unserved = known && !number_of(service, "up");
    return unserved * 1000000LL + number_of(service, "down") * 1000 +
           number_of(service, "differs");
}

static int compare(const void *a, const void *b) {
    const json_t *x = *(json_t *const *)a;
    const json_t *y = *(json_t *const *)b;
    long long order = weight_of(y) - weight_of(x);
    return order ? (order > 0) - (order < 0)
                 : strcmp(text_of(x, "name"), text_of(y, "name"));
}

static void put_service(struct page *page, const json_t *service, int width) {
    char line[LINE];
    size_t hosts = json_array_size(json_object_get(service, "hosts"));
    long long differs = number_of(service, "differs");
    bool known = json_is_true(json_object_get(service, "known"));
    char up[48] = "   -";
    if (known)
        (void)snprintf(up, sizeof up, "%4lld", number_of(service, "up"));
    int len = snprintf(line, sizeof line, "%-*.*s %s of %-4zu %8lld %8lld %8lld %6lld ms",
                       width, width, text_of(service, "name"), up, hosts,
                       number_of(service, "sessions"), number_of(service, "rate"),
                       number_of(service, "errors"), number_of(service, "latency"));
    if (differs)
        (void)snprintf(line + len, sizeof line - (size_t)len, "  %lld differ", differs);
    put(page, "", line);
}

static int name_width(const json_t *const *services, size_t count) {
    size_t width = 7;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(text_of(services[i], "name"));
        width = len > width ? len : width;
    }
    return width > 40 ? 40 : (int)width;
}

static void put_services(struct page *page, const json_t *status) {
    const json_t *list = json_object_get(status, "services");
    size_t count = json_array_size(list);
    const json_t **services = mem_zalloc((count + 1) * sizeof *services);
    size_t shown = 0;
    char line[LINE];
    for (size_t i = 0; i < count; i++)
        services[i] = json_array_get(list, i);
    if (count)
        qsort(services, count, sizeof *services, compare);
    int width = name_width(services, count);
    (void)snprintf(line, sizeof line,
                   "%-*s   up of hosts sessions   sess/s   errors  latency", width,
                   count ? "service" : "no services");
    put(page, "", "");
    put(page, "", line);
    for (; shown < count && (shown < SERVICES_MIN || has_room(page, 2)); shown++)
        put_service(page, services[shown], width);
    (void)snprintf(line, sizeof line, "... and %zu more services (hatlas status --all)",
                   count - shown);
    if (shown < count)
        put(page, "", line);
    free(services);
}

void screen_write(const json_t *status, const struct screen *screen, struct buffer *out) {
    struct page page = {.screen = screen, .out = out};
    put_head(&page, status);
    put_parts(&page, status);
    put_problems(&page, status);
    put_changes(&page, status);
    put_services(&page, status);
}
