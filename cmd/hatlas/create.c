/* hatlas create: a new service. */
#include "atlas/fields.h"
#include "catalog/fields.h"
#include "edit.h"

static const struct flag flags_table[] = {
    {"allow-unknown", 0, NULL, EDIT_FLAG(allow_unknown),
     "take fields that hatlas doesn't know; templates can read them"},
    EDIT_FLAG_ROWS,
    {0},
};

static void make(struct edit *edit, const void *arg) {
    const struct edit_flags *flags = arg;
    json_t *patch = atlas_fields_parse(service_schema, flags->common.args + 1,
                                       flags->common.arg_count - 1, flags->allow_unknown,
                                       &edit->problems);
    if (!edit->problems.count)
        change_create(&edit->tree, flags->common.args[0], patch, &edit->edits,
                      &edit->problems);
    json_decref(patch);
}

static int run(const void *command_flags) {
    const struct edit_flags *flags = command_flags;
    struct edit how = {.flags = flags, .new_service = true};
    return edit_run(&how, flags->common.args[0], make, flags);
}

const struct command command_create = {
    .name = "create",
    .arguments = "SERVICE [FIELD=VALUE...]",
    .args_min = 1,
    .args_max = 1000,
    .summary = "create a service",
    .text =
        "Creates a service without hosts. Fields are those of a cluster file, members "
        "with a\ndot: check.path=/health. Creating it again with the same fields is "
        "fine.",
    .examples = "  hatlas create teams\n  hatlas create teams balance=leastconn "
                "check.path=/health labels.owner=red\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run,
};
