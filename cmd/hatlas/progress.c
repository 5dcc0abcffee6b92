/* Reading the registry, with what is going on shown on a terminal if it takes long. */
#include "progress.h"
#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PATIENCE_USEC = 500000, LINE_MAX_LEN = 240 };

struct progress {
    int64_t began;
    bool shown;
};

static size_t width(void) {
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    size_t columns = known ? size.ws_col : 80;
    return columns < LINE_MAX_LEN ? columns - 1 : LINE_MAX_LEN;
}

/* The text of the source; its name too where there is room: the text may name the server.
 * A line that wraps could not be taken back. */
static void compose(char *line, const struct source *source) {
    struct source_status status;
    const char *name = source_name(source);
    source_status(source, &status);
    if (strlen(name) + 2 + strlen(status.text) <= width())
        (void)snprintf(line, LINE_MAX_LEN + 1, "%s: %s", name, status.text);
    else
        (void)snprintf(line, width() + 1, "%s", status.text);
    for (char *c = line; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
}

static void show(void *arg, const struct source *source) {
    struct progress *progress = arg;
    char line[LINE_MAX_LEN + 1];
    if (clock_usec() - progress->began < PATIENCE_USEC)
        return;
    compose(line, source);
    (void)fprintf(stderr, "\r\033[K%s", line);
    (void)fflush(stderr);
    progress->shown = true;
}

const struct catalog *progress_read(const struct log *log,
                                    const struct settings *settings, int64_t timeout_ms,
                                    struct problems *problems, struct error *error) {
    struct progress progress = {.began = clock_usec()};
    struct inputs_wait wait = {
        .timeout_ms = timeout_ms,
        .progress = isatty(STDERR_FILENO) ? show : NULL,
        .arg = &progress,
    };
    const struct catalog *catalog = inputs_read(log, settings, &wait, problems, error);
    if (progress.shown)
        (void)fputs("\r\033[K", stderr);
    return catalog;
}
