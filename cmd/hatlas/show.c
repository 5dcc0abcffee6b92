/* hatlas show, hatlas export: services with all that the registry says of them. */
#include "base/file.h"
#include "catalog/text.h"
#include "lookup.h"

#include <stdio.h>
#include <string.h>

struct show_flags {
    struct common_flags common;
    const char *timeout, *format, *output;
    bool json;
};

#define FLAG(field) offsetof(struct show_flags, field)

static const struct flag show_table[] = {
    {"json", 0, NULL, FLAG(json), "print JSON instead of YAML"},
    {"timeout", 0, "TIME", FLAG(timeout), "how long to wait for the registry (10s)"},
    {0},
};

static const struct flag export_table[] = {
    {"json", 0, NULL, FLAG(json), "print JSON instead of YAML"},
    {"output", 'o', "FILE", FLAG(output),
     "replace this file (atomically) instead of printing"},
    {"timeout", 0, "TIME", FLAG(timeout), "how long to wait for the registry (10s)"},
    {0},
};

static bool deliver(const struct show_flags *flags, const struct catalog *catalog) {
    struct buffer text = BUFFER_INIT;
    struct error error;
    catalog_write(catalog, flags->json ? CATALOG_JSON : CATALOG_YAML, &text);
    bool done = flags->output
                    ? file_replace(flags->output, text.data, text.len, 0644, &error)
                    : cli_print(&text);
    if (!done && flags->output)
        cli_print_error(&error);
    buffer_free(&text);
    return done;
}

static int run_show(const void *command_flags) {
    const struct show_flags *flags = command_flags;
    struct lookup lookup;
    bool done = lookup_open(&lookup, &flags->common, flags->timeout, flags->common.args,
                            flags->common.arg_count) &&
                deliver(flags, lookup.catalog);
    lookup_close(&lookup);
    return done ? EXIT_OK : EXIT_TROUBLE;
}

/* An export that lacks what could not be read would be a bad backup. */
static int run_export(const void *command_flags) {
    const struct show_flags *flags = command_flags;
    struct lookup lookup;
    bool done = lookup_open(&lookup, &flags->common, flags->timeout, flags->common.args,
                            flags->common.arg_count);
    if (done && lookup.problems.count) {
        (void)fprintf(stderr, "hatlas: %zu records are not as above; nothing exported\n",
                      lookup.problems.count);
        done = false;
    }
    done = done && deliver(flags, lookup.catalog);
    lookup_close(&lookup);
    return done ? EXIT_OK : EXIT_TROUBLE;
}

const struct command command_show = {
    .name = "show",
    .arguments = "SERVICE...",
    .args_min = 1,
    .args_max = 1000,
    .summary = "show services with all their fields, hosts and variables",
    .text = "Prints what the registry says of the services, in the form of a cluster "
            "file.\nSERVICE may be a pattern.",
    .examples = "  hatlas show teams\n  hatlas show --json 'team*'\n",
    .flags = show_table,
    .flags_size = sizeof(struct show_flags),
    .run = run_show,
};

const struct command command_export = {
    .name = "export",
    .arguments = "[SERVICE...]",
    .args_max = 1000,
    .summary = "write the registry as one YAML or JSON file",
    .text = "Prints the services of any source and record format as a cluster file, "
            "which\n'hatlas import' and 'file:' sources read. The same registry always "
            "gives the\nsame bytes. A record that can't be read is an error: nothing is "
            "exported then.",
    .examples = "  hatlas export > backup.yaml\n  hatlas export --realm production -o "
                "production.yaml 'team*'\n",
    .flags = export_table,
    .flags_size = sizeof(struct show_flags),
    .run = run_export,
};
