/* hatlas ls: which services and hosts there are, once or as they change. */
#include "base/mem.h"
#include "catalog/text.h"
#include "lookup.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ls_flags {
    struct common_flags common;
    const char *timeout;
    bool hosts, watch, json;
};

#define FLAG(field) offsetof(struct ls_flags, field)

static const struct flag flags_table[] = {
    {"long", 'l', NULL, FLAG(hosts), "one line a host instead of one a service"},
    {"watch", 'w', NULL, FLAG(watch), "go on with a line for every change, until killed"},
    {"json", 0, NULL, FLAG(json), "print JSON; with --watch one object a line"},
    {"timeout", 0, "TIME", FLAG(timeout), "how long to wait for the registry (10s)"},
    {0},
};

static const char *state_of(const struct host *host) {
    if (!host->enabled)
        return "disabled";
    return host->drain ? "drain" : "enabled";
}

static size_t count_enabled(const struct service *service) {
    size_t count = 0;
    for (size_t i = 0; i < service->host_count; i++)
        count += service->hosts[i]->enabled && !service->hosts[i]->drain;
    return count;
}

static const char *mode_of(const struct service *service) {
    const char *mode = json_string_value(json_object_get(service->fields, "mode"));
    return mode ? mode : "http";
}

/* Text. */

static int name_width(const struct catalog *catalog) {
    size_t width = strlen("SERVICE");
    for (size_t i = 0; i < catalog->service_count; i++)
        if (strlen(catalog->services[i]->name) > width)
            width = strlen(catalog->services[i]->name);
    return (int)width;
}

static void add_services(const struct catalog *catalog, struct buffer *out) {
    int width = name_width(catalog);
    buffer_printf(out, "%-*s  %-4s  %5s  %7s\n", width, "SERVICE", "MODE", "HOSTS",
                  "ENABLED");
    for (size_t i = 0; i < catalog->service_count; i++) {
        const struct service *service = catalog->services[i];
        buffer_printf(out, "%-*s  %-4s  %5zu  %7zu\n", width, service->name,
                      mode_of(service), service->host_count, count_enabled(service));
    }
}

static void add_hosts(const struct catalog *catalog, struct buffer *out) {
    int width = name_width(catalog);
    buffer_printf(out, "%-*s  %-24s  %-8s  %6s  %s\n", width, "SERVICE", "HOST", "STATE",
                  "WEIGHT", "ZONE");
    for (size_t i = 0; i < catalog->service_count; i++)
        for (size_t j = 0; j < catalog->services[i]->host_count; j++) {
            const struct host *host = catalog->services[i]->hosts[j];
            buffer_printf(out, "%-*s  %-24s  %-8s  %6d  %s\n", width,
                          catalog->services[i]->name, host->id, state_of(host),
                          host->weight, host->zone ? host->zone : "-");
        }
}

/* JSON. */

static json_t *host_json(const struct host *host) {
    json_t *item = json_pack("{s:s, s:s, s:i, s:s, s:i, s:b}", "id", host->id, "host",
                             host->host, "port", (int)host->port, "state", state_of(host),
                             "weight", host->weight, "backup", host->backup);
    if (host->zone)
        (void)json_object_set_new(item, "zone", json_string(host->zone));
    return item;
}

static json_t *service_json(const struct service *service, bool with_hosts) {
    json_t *item =
        json_pack("{s:s, s:s, s:I, s:I}", "name", service->name, "mode", mode_of(service),
                  "host_count", (json_int_t)service->host_count, "enabled",
                  (json_int_t)count_enabled(service));
    if (!with_hosts)
        return item;
    json_t *hosts = json_array();
    for (size_t i = 0; i < service->host_count; i++)
        (void)json_array_append_new(hosts, host_json(service->hosts[i]));
    (void)json_object_set_new(item, "hosts", hosts);
    return item;
}

static bool print_json(const struct catalog *catalog, bool with_hosts) {
    json_t *services = json_array();
    for (size_t i = 0; i < catalog->service_count; i++)
        (void)json_array_append_new(services,
                                    service_json(catalog->services[i], with_hosts));
    json_t *tree = json_pack("{s:o}", "services", services);
    bool done = cli_print_json(tree);
    json_decref(tree);
    return done;
}

static bool print_catalog(const struct ls_flags *flags, const struct catalog *catalog) {
    if (flags->json)
        return print_json(catalog, flags->hosts);
    struct buffer text = BUFFER_INIT;
    if (flags->hosts)
        add_hosts(catalog, &text);
    else
        add_services(catalog, &text);
    bool done = cli_print(&text);
    buffer_free(&text);
    return done;
}

/* --watch. */

struct watch {
    const struct ls_flags *flags;
    struct event_base *base;
    struct inputs *inputs;
    const struct catalog *shown;
    bool failed;
};

static const struct {
    const char *sign, *word;
} kinds[] = {
    [SERVICE_ADDED] = {"+", "service added"},
    [SERVICE_REMOVED] = {"-", "service removed"},
    [SERVICE_CHANGED] = {"~", "service changed"},
    [HOST_ADDED] = {"+", "host added"},
    [HOST_REMOVED] = {"-", "host removed"},
    [HOST_CHANGED] = {"~", "host changed"},
};

static void print_change_json(const struct catalog_change *change,
                              const struct host *host) {
    json_t *line = json_pack("{s:s, s:s}", "change", kinds[change->kind].word, "service",
                             change->service->name);
    if (host)
        (void)json_object_set_new(line, "host", host_json(host));
    char *text = json_dumps(line, JSON_COMPACT);
    printf("%s\n", text);
    free(text);
    json_decref(line);
}

static void print_change(void *arg, const struct catalog_change *change) {
    const struct watch *watch = arg;
    const struct host *host = change->new_host ? change->new_host : change->old_host;
    if (watch->flags->json)
        print_change_json(change, host);
    else if (host)
        printf("%s %s %s %s weight %d\n", kinds[change->kind].sign, change->service->name,
               host->id, state_of(host), host->weight);
    else
        printf("%s %s\n", kinds[change->kind].sign, change->service->name);
}

static bool show_changes(struct watch *watch, const struct catalog *catalog) {
    (void)catalog_compare(watch->shown, catalog, print_change, watch);
    return fflush(stdout) == 0;
}

static void on_change(void *arg) {
    struct watch *watch = arg;
    struct problems problems = {0};
    const struct catalog *whole = inputs_catalog(watch->inputs, &problems);
    const struct common_flags *flags = &watch->flags->common;
    problems_free(&problems);
    if (!whole)
        return;
    const struct catalog *catalog = lookup_filter(whole, flags->args, flags->arg_count);
    bool done = watch->shown ? show_changes(watch, catalog)
                             : print_catalog(watch->flags, catalog);
    catalog_unref(whole);
    catalog_unref(watch->shown);
    watch->shown = catalog;
    watch->failed = !done;
    if (!done)
        (void)event_base_loopbreak(watch->base);
}

static int watch_changes(const struct ls_flags *flags) {
    struct log log;
    struct error error;
    struct settings *settings = lookup_settings(&flags->common, &log);
    if (!settings)
        return EXIT_TROUBLE;
    if (!flags->common.log_level)
        log.level = LOG_WARNING;
    struct watch watch = {.flags = flags, .base = event_base_new(), .failed = true};
    watch.inputs = inputs_open(watch.base, &log, settings, on_change, &watch, &error);
    if (watch.inputs)
        (void)event_base_dispatch(watch.base);
    else
        cli_print_error(&error);
    inputs_close(watch.inputs);
    catalog_unref(watch.shown);
    event_base_free(watch.base);
    settings_free(settings);
    return watch.failed ? EXIT_TROUBLE : EXIT_OK;
}

static int run(const void *command_flags) {
    const struct ls_flags *flags = command_flags;
    struct lookup lookup;
    if (flags->watch)
        return watch_changes(flags);
    bool done = lookup_open(&lookup, &flags->common, flags->timeout, flags->common.args,
                            flags->common.arg_count);
    done = done && print_catalog(flags, lookup.catalog);
    lookup_close(&lookup);
    return done ? EXIT_OK : EXIT_TROUBLE;
}

const struct command command_ls = {
    .name = "ls",
    .arguments = "[SERVICE...]",
    .args_max = 1000,
    .summary = "list services and hosts",
    .text = "Lists the services of the registry, or with -l their hosts. SERVICE may be "
            "a\npattern ('team*'). What is listed is what the registry says: whether a "
            "host\nanswers is HAProxy's business.",
    .examples = "  hatlas ls\n  hatlas ls -l 'team*'\n  hatlas ls --watch --json\n",
    .flags = flags_table,
    .flags_size = sizeof(struct ls_flags),
    .run = run,
};
