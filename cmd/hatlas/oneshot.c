/* The first steps of the pipeline, walked once. */
#include "oneshot.h"
#include "agent/setup.h"
#include "base/text.h"
#include "progress.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT = 10000 };

static bool choose_seed(const struct oneshot *oneshot, const char *order,
                        const char **seed) {
    bool node = !strcmp(order, "node");
    *seed = node ? oneshot->settings->node_name : NULL;
    if (node || !strcmp(order, "name"))
        return true;
    (void)fprintf(stderr, "hatlas: --order: expected name or node, found '%s'\n", order);
    return false;
}

static bool read_timeout(const char *text, int64_t *timeout) {
    *timeout = TIMEOUT;
    if (!text || text_duration(text, timeout))
        return true;
    (void)fprintf(
        stderr, "hatlas: --timeout: expected a duration such as 5s, found '%s'\n", text);
    return false;
}

bool oneshot_open(struct oneshot *oneshot, const struct common_flags *flags,
                  const char *order, const char *timeout) {
    struct error error;
    const char *seed;
    int64_t limit;
    *oneshot = (struct oneshot){0};
    oneshot->settings = cli_settings(flags, &oneshot->log);
    if (!oneshot->settings || !choose_seed(oneshot, order, &seed) ||
        !read_timeout(timeout, &limit))
        return false;
    /* What goes wrong is printed at the end; a log line for each step is for `run`. */
    if (!flags->log_level && oneshot->log.level > LOG_ERROR)
        oneshot->log.level = LOG_ERROR;
    oneshot->catalog = progress_read(&oneshot->log, oneshot->settings, limit,
                                     &oneshot->problems, &error);
    if (!oneshot->catalog) {
        cli_print_problems(&oneshot->problems);
        cli_print_error(&error);
        return false;
    }
    oneshot->renderer = setup_renderer(oneshot->settings, seed, &oneshot->globals);
    return true;
}

void oneshot_close(struct oneshot *oneshot) {
    renderer_free(oneshot->renderer);
    json_decref(oneshot->globals);
    catalog_unref(oneshot->catalog);
    problems_free(&oneshot->problems);
    settings_free(oneshot->settings);
}
