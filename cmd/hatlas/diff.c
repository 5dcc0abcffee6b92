/* hatlas diff: what an apply would change, touching nothing. */
#include "differ.h"
#include "oneshot.h"

struct diff_flags {
    struct common_flags common;
    const char *order, *timeout;
};

#define FLAG(field) offsetof(struct diff_flags, field)

static const struct flag flags_table[] = {
    {"order", 0, "ORDER", FLAG(order), "of hosts: node (default; as run has it) or name"},
    {"timeout", 0, "TIME", FLAG(timeout), "how long to wait for the registry (10s)"},
    {0},
};

static int show(struct oneshot *oneshot) {
    struct outputs old = {0};
    struct outputs new = {0};
    struct error error = {0};
    int code = EXIT_TROUBLE;
    if (outputs_load(&old, oneshot->settings, &error) &&
        outputs_render(&new, oneshot->settings, oneshot->renderer, oneshot->catalog,
                       &error))
        code = differ_show(&old, &new, &error);
    if (code == EXIT_TROUBLE)
        cli_print_error(&error);
    outputs_free(&old);
    outputs_free(&new);
    return code;
}

static int run(const void *command_flags) {
    const struct diff_flags *flags = command_flags;
    struct oneshot oneshot;
    int code = EXIT_TROUBLE;
    if (oneshot_open(&oneshot, &flags->common, flags->order ? flags->order : "node",
                     flags->timeout)) {
        cli_print_problems(&oneshot.problems);
        code = show(&oneshot);
    }
    oneshot_close(&oneshot);
    return code;
}

const struct command command_diff = {
    .name = "diff",
    .summary = "show what would change on disk",
    .text = "Renders the outputs and compares them with the files in place. Touches "
            "nothing.\n"
            "Exit code 0: no difference, 1: differences, 2: error. HATLAS_EXTERNAL_DIFF "
            "names\nanother diff command; it is given two folders.",
    .examples = "  hatlas diff\n"
                "  hatlas diff --source file:cluster.yaml && echo in step\n"
                "  HATLAS_EXTERNAL_DIFF='diff -r --stat' hatlas diff\n",
    .flags = flags_table,
    .flags_size = sizeof(struct diff_flags),
    .run = run,
};
