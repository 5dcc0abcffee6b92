/* hatlas diff: what an apply would change, touching nothing. */
#include "differ.h"
#include "oneshot.h"

struct diff_flags {
    struct common_flags common;
    const char *order, *timeout;
    bool json;
};

#define FLAG(field) offsetof(struct diff_flags, field)

static const struct flag flags_table[] = {
    {"order", 0, "ORDER", FLAG(order), "of hosts: node (default; as run has it) or name"},
    {"json", 0, NULL, FLAG(json), "print the plan and the names of the files as JSON"},
    {"timeout", 0, "TIME", FLAG(timeout), "how long to wait for the registry (10s)"},
    {0},
};

static int print(const struct oneshot *oneshot, bool as_json, const struct outputs *old,
                 const struct outputs *new, struct error *error) {
    struct plan *plan = differ_plan(oneshot->settings, old, new);
    int code = outputs_equal(old, new) ? EXIT_OK : EXIT_DIFFERENT;
    if (as_json) {
        differ_print_json(plan, old, new);
    } else {
        code = differ_show(old, new, error);
        if (code == EXIT_DIFFERENT && plan)
            differ_print_plan(plan);
    }
    plan_free(plan);
    return code;
}

static int show(const struct oneshot *oneshot, bool as_json) {
    struct error error = {0};
    int code = EXIT_TROUBLE;
    const struct outputs *old = outputs_load(oneshot->settings, &error);
    const struct outputs *new = old ? outputs_render(oneshot->settings, oneshot->renderer,
                                                     oneshot->catalog, &error)
                                    : NULL;
    if (new)
        code = print(oneshot, as_json, old, new, &error);
    if (code == EXIT_TROUBLE)
        cli_print_error(&error);
    outputs_unref(old);
    outputs_unref(new);
    return code;
}

static int run(const void *command_flags) {
    const struct diff_flags *flags = command_flags;
    struct oneshot oneshot;
    int code = EXIT_TROUBLE;
    if (oneshot_open(&oneshot, &flags->common, flags->order ? flags->order : "node",
                     flags->timeout)) {
        cli_print_problems(&oneshot.problems);
        code = show(&oneshot, flags->json);
    }
    oneshot_close(&oneshot);
    return code;
}

const struct command command_diff = {
    .name = "diff",
    .summary = "show what would change on disk",
    .text =
        "Renders the outputs and compares them with the files in place, then says what "
        "it\nwould take: which commands of HAProxy's Runtime API, or why a reload. "
        "Touches nothing.\n"
        "Exit code 0: no difference, 1: differences, 2: error. HATLAS_EXTERNAL_DIFF "
        "names\nanother diff command; it is given two folders.",
    .examples = "  hatlas diff\n"
                "  hatlas diff --source file:cluster.yaml && echo in step\n"
                "  HATLAS_EXTERNAL_DIFF='diff -r --stat' hatlas diff\n",
    .flags = flags_table,
    .flags_size = sizeof(struct diff_flags),
    .run = run,
};
