/* --wait: the registry is read and rendered as the sidecar of this host does it, until
 * the files on disk hold the same and the sidecar owes HAProxy nothing (it puts a
 * `.reload-owed` beside the config before, and takes it away after). */
#include "agent/inputs.h"
#include "agent/outputs.h"
#include "agent/setup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "edit.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOK_EVERY = 50000 };

struct wait {
    struct settings *settings;
    struct log log;
    struct event_base *base;
    struct inputs *inputs;
    struct renderer *renderer;
    struct event *timer;
    int64_t deadline;
    bool done;
    char why[600];
};

static bool is_owed(const struct settings *settings) {
    const struct output_settings *output = settings_haproxy_output(settings);
    char *path = output ? mem_printf("%s.reload-owed", output->path) : NULL;
    bool owed = path && access(path, F_OK) == 0;
    free(path);
    return owed;
}

static bool differs(struct wait *wait, const struct outputs *disk,
                    const struct outputs *wanted) {
    for (size_t i = 0; i < wanted->count; i++)
        if (!output_same(disk, wanted, i)) {
            (void)snprintf(wait->why, sizeof wait->why, "%s is not yet what it should be",
                           wanted->items[i].settings->path);
            return true;
        }
    return false;
}

static bool is_applied(struct wait *wait, const struct catalog *catalog) {
    struct error error;
    const struct outputs *disk = outputs_load(wait->settings, &error);
    const struct outputs *wanted =
        disk ? outputs_render(wait->settings, wait->renderer, catalog, &error) : NULL;
    bool applied = false;
    if (!wanted)
        (void)snprintf(wait->why, sizeof wait->why, "%.250s: %.300s", error.where,
                       error.text);
    else if (is_owed(wait->settings))
        (void)snprintf(wait->why, sizeof wait->why, "HAProxy was not reloaded yet");
    else
        applied = !differs(wait, disk, wanted);
    outputs_unref(disk);
    outputs_unref(wanted);
    return applied;
}

static void look(struct wait *wait) {
    struct problems problems = {0};
    const struct catalog *catalog = inputs_catalog(wait->inputs, &problems);
    problems_free(&problems);
    if (catalog && is_applied(wait, catalog))
        wait->done = true;
    catalog_unref(catalog);
    if (wait->done || clock_usec() > wait->deadline)
        (void)event_base_loopbreak(wait->base);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    look(arg);
}

static void on_change(void *arg) {
    (void)arg; /* the timer looks often enough */
}

static void loop(struct wait *wait, struct error *error) {
    struct timeval every = {0, LOOK_EVERY};
    wait->inputs =
        inputs_open(wait->base, &wait->log, wait->settings, on_change, NULL, error);
    if (!wait->inputs)
        return;
    wait->timer = event_new(wait->base, -1, EV_PERSIST, on_timer, wait);
    (void)event_add(wait->timer, &every);
    (void)event_base_dispatch(wait->base);
    event_free(wait->timer);
    if (!wait->done)
        (void)error_set(error, "",
                        "written, but not applied here in time: %s (is "
                        "'hatlas run' running with these settings? does its "
                        "guard hold the change back?)",
                        wait->why);
}

bool edit_wait(const struct common_flags *flags, int64_t timeout_ms) {
    struct error error = {0};
    struct wait wait = {.deadline = clock_usec() + timeout_ms * 1000,
                        .why = "the registry was not read in time"};
    json_t *globals = NULL;
    wait.settings = cli_settings(flags, &wait.log);
    if (!wait.settings)
        return false;
    wait.log.level = LOG_ERROR;
    wait.base = event_base_new();
    wait.renderer = setup_renderer(wait.settings, wait.settings->node_name, &globals);
    loop(&wait, &error);
    if (!wait.done)
        cli_print_error(&error);
    inputs_close(wait.inputs);
    renderer_free(wait.renderer);
    json_decref(globals);
    event_base_free(wait.base);
    settings_free(wait.settings);
    return wait.done;
}
