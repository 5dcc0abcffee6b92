/* hatlas check: everything that is wrong, at once, touching nothing. */
#include "agent/outputs.h"
#include "oneshot.h"

#include <stdio.h>

struct check_flags {
    struct common_flags common;
    const char *timeout;
};

static const struct flag flags_table[] = {
    {"timeout", 0, "TIME", offsetof(struct check_flags, timeout),
     "how long to wait for the registry (10s)"},
    {0},
};

/* Each template by itself, so that a fault in one does not hide those of the others. */
static void check_templates(struct oneshot *oneshot) {
    for (size_t i = 0; i < oneshot->settings->output_count; i++) {
        struct buffer text = BUFFER_INIT;
        struct error error;
        if (!renderer_render(oneshot->renderer, oneshot->settings->outputs[i].template,
                             oneshot->catalog, &text, &error))
            problems_add_error(&oneshot->problems, &error);
        buffer_free(&text);
    }
}

static void check_config(struct oneshot *oneshot) {
    struct error error;
    const struct outputs *outputs =
        outputs_render(oneshot->settings, oneshot->renderer, oneshot->catalog, &error);
    if (outputs && !outputs_check(outputs, oneshot->settings->haproxy.binary, &error))
        problems_add_error(&oneshot->problems, &error);
    outputs_unref(outputs);
}

static int run(const void *command_flags) {
    const struct check_flags *flags = command_flags;
    struct oneshot oneshot;
    bool good = oneshot_open(&oneshot, &flags->common, "name", flags->timeout);
    if (good) {
        check_templates(&oneshot);
        check_config(&oneshot);
        cli_print_problems(&oneshot.problems);
        good = !oneshot.problems.count;
    }
    if (good)
        printf("good: %zu services, %zu hosts, %zu outputs\n",
               oneshot.catalog->service_count, catalog_host_count(oneshot.catalog),
               oneshot.settings->output_count);
    oneshot_close(&oneshot);
    return good ? EXIT_OK : EXIT_TROUBLE;
}

const struct command command_check = {
    .name = "check",
    .summary = "say everything that is wrong with settings, registry and templates",
    .text =
        "Reads the settings and the registry, renders every output and lets HAProxy "
        "check "
        "its\nconfig, touching nothing. Prints every fault with its place. Exit code 0: "
        "good, 2: not.",
    .examples = "  hatlas check\n  hatlas check --source file:cluster.yaml\n",
    .flags = flags_table,
    .flags_size = sizeof(struct check_flags),
    .run = run,
};
