/* hatlas rm: services go. */
#include "edit.h"

static const struct flag flags_table[] = {
    {"recursive", 'r', NULL, EDIT_FLAG(recursive), "also services that have hosts"},
    EDIT_FLAG_ROWS,
    {0},
};

static void make(struct edit *edit, const void *arg) {
    (void)arg;
    change_remove(&edit->tree, edit->flags->recursive, &edit->edits, &edit->problems);
}

static int run(const void *command_flags) {
    const struct edit_flags *flags = command_flags;
    struct edit how = {.flags = flags};
    return edit_run(&how, flags->common.args[0], make, NULL);
}

const struct command command_rm = {
    .name = "rm",
    .arguments = "SERVICE",
    .args_min = 1,
    .args_max = 1,
    .summary = "remove services",
    .text = "Removes a service (all that match, if SERVICE is a pattern) with its "
            "variables.\nServices that have hosts only with --recursive; all of them or "
            "none.",
    .examples = "  hatlas rm teams\n  hatlas rm --recursive --dry-run 'old-*'\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run,
};
