/* hatlas status: how the running sidecar stands. */
#include "base/json.h"
#include "cli.h"
#include "status/client.h"
#include "status/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct status_flags {
    struct common_flags common;
    bool json, watch, all;
};

#define FLAG(field) offsetof(struct status_flags, field)

static const struct flag flags_table[] = {
    {"all", 'a', NULL, FLAG(all), "all services, however many lines that takes"},
    {"json", 0, NULL, FLAG(json), "what GET /status answers"},
    {"watch", 'w', NULL, FLAG(watch), "again and again, every 2 seconds"},
    {0},
};

/* The height and width of the terminal, and whether to use colours (no-color.org). */
static struct screen screen_of(const struct status_flags *flags) {
    struct screen screen = {.rows = flags->all ? 0 : 40, .columns = 0};
    struct winsize size;
    const char *plain = getenv("NO_COLOR");
    if (!isatty(STDOUT_FILENO))
        return screen;
    screen.colour = !plain || !*plain;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
        screen.rows = flags->all ? 0 : size.ws_row;
        screen.columns = size.ws_col;
    }
    return screen;
}

/* Exit codes of a check, as monitoring knows them. */
static int code_of(const json_t *status) {
    const char *health = json_string_value(json_object_get(status, "health"));
    return !strcmp(health, "ok") ? 0 : !strcmp(health, "warning") ? 1 : 2;
}

static int show(const struct status_flags *flags, const char *address) {
    struct screen screen = screen_of(flags);
    struct buffer out = BUFFER_INIT;
    struct error error;
    int code = EXIT_TROUBLE;
    json_t *status = client_status(address, &error);
    if (flags->watch && screen.colour)
        buffer_puts(&out, "\033[H\033[2J");
    if (!status) {
        cli_print_error(&error);
    } else {
        code = code_of(status);
        if (flags->json)
            json_write(status, 2, &out);
        else
            screen_write(status, &screen, &out);
    }
    (void)fputs(buffer_str(&out), stdout);
    (void)fflush(stdout);
    json_decref(status);
    buffer_free(&out);
    return code;
}

static int run(const void *command_flags) {
    enum { PAUSE_S = 2 };
    const struct status_flags *flags = command_flags;
    struct log log;
    struct settings *settings = cli_settings(&flags->common, &log);
    int code = EXIT_TROUBLE;
    if (!settings)
        return EXIT_TROUBLE;
    if (!settings->status_enabled) {
        (void)fprintf(stderr,
                      "hatlas: status.enabled is false: there is nothing to ask\n");
    } else {
        do
            code = show(flags, settings->status_listen);
        while (flags->watch && !ferror(stdout) && sleep(PAUSE_S) == 0);
    }
    settings_free(settings);
    return code;
}

const struct command command_status = {
    .name = "status",
    .summary = "say how the running sidecar stands",
    .text =
        "Asks the sidecar that runs with these settings (status.listen). On one screen: "
        "whether all is\nwell, sources, HAProxy, the last changes, services with trouble "
        "first.\nExit codes: 0 ok, 1 warning, 2 error or no answer.",
    .examples = "  hatlas status\n"
                "  hatlas status --watch\n"
                "  hatlas status --json | jq .summary\n",
    .flags = flags_table,
    .flags_size = sizeof(struct status_flags),
    .run = run,
};
