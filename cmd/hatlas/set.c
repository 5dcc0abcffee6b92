/* hatlas set: fields of services and hosts. */
#include "atlas/fields.h"
#include "base/mem.h"
#include "catalog/fields.h"
#include "edit.h"

#include <stdlib.h>
#include <string.h>

static const struct flag flags_table[] = {
    {"host", 0, "HOST", EDIT_FLAG(host), "this host, of the service or (*) of all"},
    {"allow-unknown", 0, NULL, EDIT_FLAG(allow_unknown),
     "take fields that hatlas doesn't know; templates can read them"},
    EDIT_FLAG_ROWS,
    {0},
};

struct words {
    const struct edit_flags *flags;
    const char *host; /* NULL: the service itself */
    const char *const *fields;
    size_t count;
};

static void make(struct edit *edit, const void *arg) {
    const struct words *words = arg;
    json_t *patch =
        atlas_fields_parse(words->host ? host_schema : service_schema, words->fields,
                           words->count, words->flags->allow_unknown, &edit->problems);
    struct buffer what = BUFFER_INIT;
    atlas_fields_describe(patch, &what);
    if (!edit->problems.count && words->host)
        change_hosts(&edit->tree, words->host, patch, buffer_str(&what), &edit->edits,
                     &edit->problems);
    else if (!edit->problems.count)
        change_services(&edit->tree, patch, &edit->edits, &edit->problems);
    buffer_free(&what);
    json_decref(patch);
}

static int run(const void *command_flags) {
    const struct edit_flags *flags = command_flags;
    const struct common_flags *common = &flags->common;
    struct words words = {.flags = flags,
                          .host = flags->host,
                          .fields = common->args + 1,
                          .count = common->arg_count - 1};
    if (!words.host && !strchr(common->args[1], '=')) {
        words.host = common->args[1];
        words.fields++;
        words.count--;
    }
    struct edit how = {.flags = flags};
    return edit_run(&how, common->args[0], make, &words);
}

const struct command command_set = {
    .name = "set",
    .arguments = "SERVICE [HOST] FIELD=VALUE...",
    .args_min = 2,
    .args_max = 1000,
    .summary = "change fields of services or hosts",
    .text =
        "Changes fields of a service, or of its hosts that match HOST (an id, a host, "
        "a\nhost:port or a pattern of these). SERVICE may be a pattern. An empty "
        "value takes a\nfield away, so that its default holds.",
    .examples = "  hatlas set teams balance=leastconn retries=\n"
                "  hatlas set teams host-001:8080 zone=a maxconn=200\n"
                "  hatlas set '*' --host host-014 labels.rack=r7\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run,
};
