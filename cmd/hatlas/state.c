/* hatlas enable, disable, drain, weight: the state of hosts. */
#include "atlas/fields.h"
#include "base/json.h"
#include "base/mem.h"
#include "catalog/fields.h"
#include "edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct flag flags_table[] = {
    {"host", 0, "HOST", EDIT_FLAG(host), "this host, of every service that has it"},
    EDIT_FLAG_ROWS,
    {0},
};

struct state {
    const char *host;
    json_t *patch;
    const char *what;
};

static void make(struct edit *edit, const void *arg) {
    const struct state *state = arg;
    change_hosts(&edit->tree, state->host, state->patch, state->what, &edit->edits,
                 &edit->problems);
}

/* SERVICE [HOST], or --host HOST with or without SERVICE. */
static int change(const struct edit_flags *flags, size_t args, json_t *patch,
                  const char *what) {
    const char *const *words = flags->common.args;
    struct state state = {.host = flags->host, .patch = patch, .what = what};
    int code = EXIT_TROUBLE;
    if (!state.host)
        state.host = args == 2 ? words[1] : "*";
    if (args > 2 || (flags->host && args == 2) || (!flags->host && !args)) {
        (void)fprintf(stderr, "hatlas: expected SERVICE [HOST] or --host HOST\n");
    } else {
        struct edit how = {.flags = flags};
        code = edit_run(&how, args ? words[0] : "*", make, &state);
    }
    json_decref(patch);
    return code;
}

/* What is the default is not written. */
static int run_enable(const void *flags) {
    return change(flags, ((const struct common_flags *)flags)->arg_count,
                  json_pack("{s:n, s:n}", "enabled", "drain"), "enabled");
}

static int run_disable(const void *flags) {
    return change(flags, ((const struct common_flags *)flags)->arg_count,
                  json_pack("{s:b}", "enabled", 0), "disabled");
}

static int run_drain(const void *flags) {
    return change(flags, ((const struct common_flags *)flags)->arg_count,
                  json_pack("{s:b}", "drain", 1), "draining");
}

static int run_weight(const void *command_flags) {
    const struct edit_flags *flags = command_flags;
    size_t last = flags->common.arg_count - 1;
    struct problems problems = {0};
    char *word = mem_printf("weight=%s", flags->common.args[last]);
    json_t *patch =
        atlas_fields_parse(host_schema, (const char *const[]){word}, 1, false, &problems);
    const struct schema *row = schema_find(host_schema, "weight");
    struct schema_input from = {.where = "", .problems = &problems};
    json_decref(
        schema_value(row, json_object_get(patch, "weight"), "weight", "", false, &from));
    int code = EXIT_TROUBLE;
    if (problems.count) {
        cli_print_problems(&problems);
        json_decref(patch);
    } else {
        word[strlen("weight")] = ' ';
        code = change(flags, last, patch, word);
    }
    problems_free(&problems);
    free(word);
    return code;
}

#define TEXT                                                                             \
    "HOST is an id, a host, a host:port or a pattern of these; without it all hosts of " \
    "the\nservice are meant. SERVICE may be a pattern. --host means one host in all "    \
    "services,\nas before a reboot."

const struct command command_enable = {
    .name = "enable",
    .arguments = "SERVICE [HOST] | --host HOST",
    .args_max = 2,
    .summary = "let hosts have requests again",
    .text = "Ends what disable and drain began. " TEXT,
    .examples = "  hatlas enable teams host-001:8080\n  hatlas enable --host host-014\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run_enable,
};

const struct command command_disable = {
    .name = "disable",
    .arguments = "SERVICE [HOST] | --host HOST",
    .args_max = 2,
    .summary = "take hosts out at once",
    .text = "The hosts get no request any more. " TEXT,
    .examples =
        "  hatlas disable teams host-001:8080\n  hatlas disable --host host-014\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run_disable,
};

const struct command command_drain = {
    .name = "drain",
    .arguments = "SERVICE [HOST] | --host HOST",
    .args_max = 2,
    .summary = "let hosts finish what they have",
    .text = "The hosts get no new sessions and finish those that they have. " TEXT,
    .examples = "  hatlas drain teams host-001:8080\n"
                "  hatlas drain --host host-014 --wait\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run_drain,
};

const struct command command_weight = {
    .name = "weight",
    .arguments = "SERVICE [HOST] WEIGHT | --host HOST WEIGHT",
    .args_min = 1,
    .args_max = 3,
    .summary = "change the share of hosts",
    .text = "Gives hosts a weight from 0 to 256; 1 is what all have. " TEXT,
    .examples = "  hatlas weight teams host-001:8080 10\n"
                "  hatlas weight --host host-014 0\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run_weight,
};
