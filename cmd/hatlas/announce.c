/* hatlas announce: a host stands in the registry while it is well. */
#include "atlas/announce.h"
#include "atlas/fields.h"
#include "base/text.h"
#include "catalog/fields.h"
#include "edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct announce_flags {
    struct common_flags common;
    const char *service, *host, *port, *check, *interval, *timeout, *rise, *fall;
    const char *settle, *stop;
    const char *fields[REPEATS_MAX + 1];
    bool allow_unknown;
};

#define FLAG(field) offsetof(struct announce_flags, field)

static const struct flag flags_table[] = {
    {"service", 0, "SERVICE", FLAG(service), "what it serves"},
    {"host", 0, "HOST", FLAG(host), "where it is reached (default: node.name)"},
    {"port", 'p', "PORT", FLAG(port), "port it serves on"},
    {"field", 'f', "FIELD=VALUE...", FLAG(fields),
     "a field of the host, such as weight=5; may be repeated"},
    {"allow-unknown", 0, NULL, FLAG(allow_unknown),
     "take fields that hatlas doesn't know; templates can read them"},
    {"check", 0, "CHECK", FLAG(check),
     "http:/PATH, tcp or exec:COMMAND; http://ADDRESS:PORT/PATH and tcp:ADDRESS:PORT "
     "ask there instead of 127.0.0.1 and --port (default: no check)"},
    {"interval", 0, "TIME", FLAG(interval), "between two checks (2s)"},
    {"timeout", 0, "TIME", FLAG(timeout), "for a check to answer (1s)"},
    {"rise", 0, "N", FLAG(rise), "good checks in a row until it is announced (2)"},
    {"fall", 0, "N", FLAG(fall), "bad checks in a row until it is taken off (3)"},
    {"settle", 0, "TIME", FLAG(settle),
     "from taking it off to stopping COMMAND, for sidecars to follow (1s)"},
    {"stop-timeout", 0, "TIME", FLAG(stop),
     "for COMMAND to end after SIGTERM, then it is killed (30s)"},
    {0},
};

static bool read_count(const char *flag, const char *text, int fallback, int max,
                       int *number) {
    char *end = NULL;
    long value = text ? strtol(text, &end, 10) : fallback;
    *number = (int)value;
    if ((!text || (*text && !*end)) && value >= 1 && value <= max)
        return true;
    (void)fprintf(stderr, "hatlas: --%s: expected a number from 1 to %d, found '%s'\n",
                  flag, max, text);
    return false;
}

/* The host's record: from flags, settings and --field, checked as a whole. */
static json_t *make_record(const struct announce_flags *flags,
                           const struct settings *settings, int port) {
    struct problems problems = {0};
    size_t count = 0;
    while (flags->fields[count])
        count++;
    json_t *patch = atlas_fields_parse(host_schema, flags->fields, count,
                                       flags->allow_unknown, &problems);
    json_t *base =
        json_pack("{s:s, s:i}", "host", flags->host ? flags->host : settings->node_name,
                  "port", port);
    if (settings->node_zone)
        (void)json_object_set_new(base, "zone", json_string(settings->node_zone));
    json_t *record = base ? atlas_fields_patch(base, patch) : NULL;
    if (record)
        (void)atlas_fields_check(host_schema, record, "", &problems);
    cli_print_problems(&problems);
    if (problems.count) {
        json_decref(record);
        record = NULL;
    }
    problems_free(&problems);
    json_decref(patch);
    json_decref(base);
    return record;
}

static bool read_numbers(const struct announce_flags *flags,
                         struct announce_options *options, struct probe_options *check,
                         int *port) {
    int64_t timeout = 0;
    struct error error;
    if (!flags->service || !text_is_service_name(flags->service) || !flags->port) {
        (void)fprintf(stderr, "hatlas: announce needs --service NAME and --port PORT\n");
        return false;
    }
    if (!read_count("port", flags->port, 0, 65535, port) ||
        !read_count("rise", flags->rise, 2, 100, &options->rise) ||
        !read_count("fall", flags->fall, 3, 100, &options->fall) ||
        !cli_duration("interval", flags->interval, 2000, &options->interval_ms) ||
        !cli_duration("timeout", flags->timeout, 1000, &timeout) ||
        !cli_duration("settle", flags->settle, 1000, &options->settle_ms) ||
        !cli_duration("stop-timeout", flags->stop, 30000, &options->stop_ms))
        return false;
    if (options->interval_ms < 10 || timeout < 1) {
        (void)fprintf(stderr, "hatlas: --interval is at least 10ms, --timeout 1ms\n");
        return false;
    }
    if (!flags->check)
        return true;
    if (!probe_parse(flags->check, (uint16_t)*port, check, &error)) {
        (void)fprintf(stderr, "hatlas: --check: %s\n", error.text);
        return false;
    }
    check->timeout_ms = timeout;
    options->check = check;
    return true;
}

static int announce(const struct announce_flags *flags,
                    const struct announce_options *given, int port) {
    struct announce_options options = *given;
    struct log log;
    struct error error;
    int code = -1;
    struct settings *settings = cli_settings(&flags->common, &log);
    options.log = &log;
    options.service = flags->service;
    options.command = flags->common.arg_count ? flags->common.args : NULL;
    options.source = settings ? edit_source(settings) : NULL;
    options.record = options.source ? make_record(flags, settings, port) : NULL;
    if (options.record) {
        code = announce_run(&options, &error);
        if (code < 0)
            cli_print_error(&error);
    }
    json_decref(options.record);
    settings_free(settings);
    return code < 0 ? EXIT_TROUBLE : code;
}

static int run(const void *command_flags) {
    const struct announce_flags *flags = command_flags;
    struct announce_options options = {0};
    struct probe_options check = {0};
    int port = 0;
    int code = EXIT_TROUBLE;
    if (read_numbers(flags, &options, &check, &port))
        code = announce(flags, &options, port);
    probe_options_free(&check);
    return code;
}

const struct command command_announce = {
    .name = "announce",
    .arguments = "[-- COMMAND [WORD...]]",
    .args_max = 1000,
    .summary = "keep a host in the registry while it is well",
    .text =
        "Runs beside a service and keeps it in the registry, as a record that goes with "
        "this\nprocess, while its check passes. A host that comes and goes is held back "
        "longer each\ntime. SIGTERM takes it off; with COMMAND the service itself is "
        "run, "
        "and stopped only\nafter that. The exit code is then COMMAND's.",
    .examples = "  hatlas announce --service teams --port 8080 --check http:/health\n"
                "  hatlas announce --service teams --port 8080 --check tcp -- "
                "./teams-server --port 8080\n"
                "  hatlas announce --service jobs -p 9000 --check 'exec:pgrep -x jobs' "
                "-f weight=5\n",
    .flags = flags_table,
    .flags_size = sizeof(struct announce_flags),
    .run = run,
};
