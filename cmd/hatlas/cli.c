/* What all commands share. */
#include "cli.h"
#include "agent/inputs.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool cli_duration(const char *flag, const char *text, int64_t fallback,
                  int64_t *milliseconds) {
    *milliseconds = fallback;
    if (!text || text_duration(text, milliseconds))
        return true;
    (void)fprintf(stderr, "hatlas: --%s: expected a duration such as 5s, found '%s'\n",
                  flag, text);
    return false;
}

bool cli_print(const struct buffer *text) {
    bool done = !text->len || fwrite(text->data, text->len, 1, stdout) == 1;
    if (done && fflush(stdout) == 0)
        return true;
    perror("hatlas: standard output");
    return false;
}

bool cli_print_json(const json_t *value) {
    struct buffer text = BUFFER_INIT;
    json_write(value, 1, &text);
    buffer_putc(&text, '\n');
    bool done = cli_print(&text);
    buffer_free(&text);
    return done;
}

void cli_print_error(const struct error *error) {
    struct buffer line = BUFFER_INIT;
    error_format(error, &line);
    (void)fprintf(stderr, "hatlas: %s\n", buffer_str(&line));
    buffer_free(&line);
}

void cli_print_problems(const struct problems *problems) {
    for (size_t i = 0; i < problems->count; i++)
        (void)fprintf(stderr, "%s%s%s\n", problems->items[i].where,
                      problems->items[i].where[0] ? ": " : "", problems->items[i].text);
}

static struct settings *load(const struct common_flags *flags,
                             struct problems *problems) {
    struct settings_flags wanted = {
        .config = flags->config,
        .sources = flags->sources[0] ? flags->sources : NULL,
        .realm = flags->realm,
        .log_level = flags->log_level,
        .log_format = flags->log_format,
    };
    struct settings *settings = settings_load(&wanted, problems);
    if (settings)
        inputs_check_settings(settings, problems);
    if (!problems->count)
        return settings;
    settings_free(settings);
    return NULL;
}

static void set_log(struct log *log, const struct settings *settings) {
    *log = (struct log){
        .fd = STDERR_FILENO,
        .level = settings->log.level,
        .format = settings->log.format,
        .journal = getenv("JOURNAL_STREAM") != NULL && !isatty(STDERR_FILENO),
    };
}

struct settings *cli_settings(const struct common_flags *flags, struct log *log) {
    struct problems problems = {0};
    struct settings *settings = load(flags, &problems);
    cli_print_problems(&problems);
    problems_free(&problems);
    if (settings)
        set_log(log, settings);
    return settings;
}

struct settings *cli_settings_again(const struct common_flags *flags, struct log *log) {
    struct problems problems = {0};
    struct settings *settings = load(flags, &problems);
    for (size_t i = 0; i < problems.count; i++)
        log_error(log, "wrong in the settings", LOG_STR("where", problems.items[i].where),
                  LOG_STR("error", problems.items[i].text));
    problems_free(&problems);
    if (settings)
        set_log(log, settings);
    return settings;
}
