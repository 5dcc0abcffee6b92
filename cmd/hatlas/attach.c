/* hatlas attach, hatlas detach: hosts of a service. */
#include "atlas/fields.h"
#include "catalog/fields.h"
#include "edit.h"

#include <stdio.h>

static const struct flag attach_table[] = {
    {"allow-unknown", 0, NULL, EDIT_FLAG(allow_unknown),
     "take fields that hatlas doesn't know; templates can read them"},
    EDIT_FLAG_ROWS,
    {0},
};

static const struct flag detach_table[] = {
    {"host", 0, "HOST", EDIT_FLAG(host), "this host, of every service that has it"},
    EDIT_FLAG_ROWS,
    {0},
};

static void make_attach(struct edit *edit, const void *arg) {
    const struct common_flags *common = &((const struct edit_flags *)arg)->common;
    json_t *patch =
        atlas_fields_parse(host_schema, common->args + 2, common->arg_count - 2,
                           edit->flags->allow_unknown, &edit->problems);
    for (size_t i = 0; i < edit->tree.service_count && !edit->problems.count; i++)
        change_attach(&edit->tree.services[i], &edit->tree, common->args[1], patch,
                      &edit->edits, &edit->problems);
    json_decref(patch);
}

static int run_attach(const void *command_flags) {
    const struct edit_flags *flags = command_flags;
    struct edit how = {.flags = flags};
    return edit_run(&how, flags->common.args[0], make_attach, flags);
}

static void make_detach(struct edit *edit, const void *arg) {
    change_detach(&edit->tree, arg, &edit->edits, &edit->problems);
}

static int run_detach(const void *command_flags) {
    const struct edit_flags *flags = command_flags;
    const struct common_flags *common = &flags->common;
    const char *host = flags->host ? flags->host : NULL;
    if (!host && common->arg_count == 2)
        host = common->args[1];
    if (!host || common->arg_count + (flags->host != NULL) > 2) {
        (void)fprintf(stderr, "hatlas detach: expected SERVICE HOST or --host HOST\n");
        return EXIT_TROUBLE;
    }
    struct edit how = {.flags = flags};
    return edit_run(&how, common->arg_count ? common->args[0] : "*", make_detach, host);
}

const struct command command_attach = {
    .name = "attach",
    .arguments = "SERVICE HOST:PORT [FIELD=VALUE...]",
    .args_min = 2,
    .args_max = 1000,
    .summary = "add a host to a service",
    .text = "Adds a host to a service (to each that matches, if SERVICE is a pattern). "
            "Adding it\nagain with the same fields is fine.",
    .examples = "  hatlas attach teams host-001:8080\n"
                "  hatlas attach teams host-002:8080 enabled=false zone=a weight=10\n"
                "  hatlas attach teams '[2001:db8::1]:8080'\n",
    .flags = attach_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run_attach,
};

const struct command command_detach = {
    .name = "detach",
    .arguments = "SERVICE HOST | --host HOST",
    .args_max = 2,
    .summary = "remove hosts from services",
    .text = "Removes the hosts that match HOST (an id, a host, a host:port or a pattern "
            "of these)\nfrom the services that match SERVICE, or with --host from all.",
    .examples = "  hatlas detach teams host-001:8080\n  hatlas detach --host host-014\n",
    .flags = detach_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run_detach,
};
