/* What people and machines are shown of a hostile registry (cluster.yaml), of what HAProxy
 * says (behind "%%%"), and of what a sidecar answered (behind another): JSON that is JSON,
 * metrics of which no line is forged, and a screen without a control character. */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "catalog/text.h"
#include "fuzz.h"
#include "status/board.h"
#include "status/document.h"
#include "status/metrics.h"
#include "status/screen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct settings *get_settings(void) {
    static struct settings *settings;
    static const char text[] = "node: {name: n}";
    struct problems problems = {0};
    if (!settings)
        settings = settings_parse(text, sizeof text - 1, "t.yaml", NULL, &problems);
    fuzz_require(settings, "bad settings of the test");
    return settings;
}

static void check_json(struct buffer *text, const char *what) {
    struct error error = {0};
    json_t *value = json_parse(buffer_str(text), text->len, what, &error);
    fuzz_require(json_is_object(value), "%s is no JSON: %s", what, error.text);
    json_decref(value);
    buffer_free(text);
}

static void check_lines(const char *text, size_t width, const char *what) {
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        fuzz_require(text_is_clean(line, len), "%s: %.*s", what, (int)len, line);
        fuzz_require(!width || len <= 4 * width, "%s: %zu bytes in a line", what, len);
        line += len + (line[len] != '\0');
    }
}

static void check_screen(const json_t *document) {
    static const struct screen screens[] = {
        {false, 24, 80}, {false, 0, 0}, {false, 2, 40}};
    for (size_t i = 0; i < sizeof screens / sizeof screens[0]; i++) {
        struct buffer out = BUFFER_INIT;
        screen_write(document, &screens[i], &out);
        check_lines(buffer_str(&out), screens[i].columns, "the screen");
        buffer_free(&out);
    }
}

/* "name{label="value",…} number": quotes inside of values are escaped. */
static bool is_sample(const char *line, size_t len) {
    const char *end = line + len;
    const char *p = line + strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    bool quoted = false;
    bool ours = !strncmp(line, "hatlas_", 7) || !strncmp(line, "process_", 8);
    if (!ours)
        return false;
    if (*p == '{') {
        for (p++; p < end && (quoted || *p != '}'); p++) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                quoted = !quoted;
        }
        p++;
    }
    if (p >= end || *p++ != ' ')
        return false;
    return p < end && p + strspn(p, "0123456789.e+-") == end;
}

static void check_metrics(struct buffer *text) {
    for (const char *line = buffer_str(text); *line;) {
        size_t len = strcspn(line, "\n");
        fuzz_require(line[len], "the metrics have no newline at their end");
        fuzz_require(!len || *line == '#' || is_sample(line, len), "metrics: %.*s",
                     (int)len, line);
        line += len + 1;
    }
    buffer_free(text);
}

static void check_view(const struct status_view *view, const struct facts_stats *stats) {
    struct buffer document = BUFFER_INIT;
    struct buffer metrics = BUFFER_INIT;
    struct buffer update = BUFFER_INIT;
    struct board *board = board_new();
    struct board_mark mark = {0};
    document_write(&document, view, stats);
    metrics_write(&metrics, view, stats);
    board_update(board, view, stats);
    board_tell(board, view, stats, &mark, &update);
    json_t *value = json_parse(buffer_str(&document), document.len, "status", NULL);
    check_screen(value);
    json_decref(value);
    fuzz_require(!strstr(buffer_str(&document), "</") &&
                     !strstr(buffer_str(&update), "</"),
                 "the status can end a script element");
    check_json(&document, "the status");
    check_json(&update, "an update");
    check_metrics(&metrics);
    board_free(board);
}

/* A line of the log for each problem is one line, whatever it says. */
static void check_log(const struct problems *problems) {
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("log", MFD_CLOEXEC);
    for (size_t i = 0; i < problems->count && i < 8; i++)
        for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
            struct log log = {
                .fd = fd, .level = LOG_INFO, .format = (enum log_format)format};
            struct buffer line = BUFFER_INIT;
            fuzz_require(!ftruncate(fd, 0) && !lseek(fd, 0, SEEK_SET), "no log");
            log_info(&log, "a problem", LOG_STR("where", problems->items[i].where),
                     LOG_STR("text", problems->items[i].text));
            char *room = buffer_reserve(&line, 16384);
            ssize_t got = pread(fd, room, 16384, 0);
            fuzz_require(got > 1 && room[got - 1] == '\n', "no line");
            room[got - 1] = '\0';
            line.len = (size_t)got - 1;
            fuzz_require_clean(room, "a line of the log");
            if (format == LOG_JSON)
                check_json(&line, "a line of the log");
            buffer_free(&line);
        }
}

static void check_catalog(const char *text, const char *stat) {
    static const struct status_totals totals;
    struct problems problems = {0};
    struct facts_stats stats = {.known = true, .at = 1};
    struct catalog *catalog =
        catalog_read(text, strlen(text), "cluster.yaml", NULL, &problems);
    stats.known = stats_parse(stat, &stats.table, &stats.error);
    struct status_change change = {.id = 1,
                                   .at = 1,
                                   .what = text,
                                   .who = text,
                                   .count = 1,
                                   .reason = stat,
                                   .error = stats.error.text,
                                   .diff = text};
    const struct status_change *changes[] = {&change};
    struct status_source source = {.name = text, .status = {.text = stat}, .since = 1};
    struct status_view view = {
        .settings = get_settings(),
        .catalog = catalog,
        .problems = &problems,
        .sources = &source,
        .source_count = 1,
        .changes = changes,
        .change_count = 1,
        .totals = &totals,
        .failure = problems.count ? problems.items[0].text : NULL,
        .in_place = true,
        .has_haproxy = true,
        .haproxy_running = true,
    };
    check_view(&view, &stats);
    check_log(&problems);
    stats_table_free(&stats.table);
    problems_free(&problems);
    catalog_unref(catalog);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *parts[3];
    fuzz_split(data, size, parts, 3);
    check_catalog(parts[0], parts[1]);
    json_t *answer = json_parse(parts[2], strlen(parts[2]), "answer", NULL);
    if (answer)
        check_screen(answer);
    json_decref(answer);
    for (size_t i = 0; i < 3; i++)
        free(parts[i]);
    return 0;
}
