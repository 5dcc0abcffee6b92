/* hatlas config: variables of services. */
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "edit.h"
#include "lookup.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct flag flags_table[] = {
    EDIT_FLAG_ROWS,
    {0},
};

/* --- get, env --- */

/* A value as text: strings as they are, all else as JSON. */
static void add_value(const json_t *value, struct buffer *out) {
    if (json_is_string(value))
        buffer_append(out, json_string_value(value), json_string_length(value));
    else
        json_write(value, 0, out);
}

static void add_quoted(const char *text, struct buffer *out) {
    buffer_putc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buffer_puts(out, "'\\''");
        else
            buffer_putc(out, *text);
    }
    buffer_putc(out, '\'');
}

static bool is_shell_name(const char *name) {
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

/* A name that a shell can't have is left out, which its exit code tells. */
static bool add_env(const json_t *vars, struct buffer *out) {
    const char *name;
    json_t *value;
    bool good = true;
    json_object_foreach((json_t *)vars, name, value) {
        struct buffer text = BUFFER_INIT;
        char printable[200];
        add_value(value, &text);
        if (is_shell_name(name)) {
            buffer_printf(out, "%s=", name);
            add_quoted(buffer_str(&text), out);
            buffer_putc(out, '\n');
        } else {
            (void)fprintf(stderr, "hatlas: '%s' can't be a shell variable; left out\n",
                          text_printable(name, printable, sizeof printable));
            good = false;
        }
        buffer_free(&text);
    }
    return good;
}

static bool print_one(const json_t *vars, const char *name, const char *service) {
    const json_t *value = json_object_get(vars, name);
    if (!value) {
        (void)fprintf(stderr, "hatlas: service '%s' has no variable '%s'\n", service,
                      name);
        return false;
    }
    struct buffer text = BUFFER_INIT;
    add_value(value, &text);
    buffer_putc(&text, '\n');
    bool done = cli_print(&text);
    buffer_free(&text);
    return done;
}

static bool print_all(const json_t *vars, bool as_json) {
    json_t *none = vars ? NULL : json_object();
    struct buffer text = BUFFER_INIT;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)vars, name, value) {
        buffer_printf(&text, "%s=", name);
        add_value(value, &text);
        buffer_putc(&text, '\n');
    }
    bool done = as_json ? cli_print_json(vars ? vars : none) : cli_print(&text);
    buffer_free(&text);
    json_decref(none);
    return done;
}

static bool show(const struct edit_flags *flags, const json_t *vars) {
    const struct common_flags *common = &flags->common;
    if (!strcmp(common->args[0], "env")) {
        struct buffer text = BUFFER_INIT;
        bool good = add_env(vars, &text);
        bool done = cli_print(&text) && good;
        buffer_free(&text);
        return done;
    }
    if (common->arg_count == 3)
        return print_one(vars, common->args[2], common->args[1]);
    return print_all(vars, flags->json);
}

static int run_show(const struct edit_flags *flags) {
    const char *const *args = flags->common.args;
    struct lookup lookup;
    if (flags->common.arg_count > (!strcmp(args[0], "env") ? 2 : 3)) {
        (void)fprintf(stderr, "hatlas config: unexpected argument '%s'\n",
                      args[flags->common.arg_count - 1]);
        return EXIT_TROUBLE;
    }
    bool done = lookup_open(&lookup, &flags->common, flags->timeout, args + 1, 1);
    const struct service *service = done ? catalog_find(lookup.catalog, args[1]) : NULL;
    done = service && show(flags, service->vars);
    lookup_close(&lookup);
    return done ? EXIT_OK : EXIT_TROUBLE;
}

/* --- set, unset --- */

static void make(struct edit *edit, const void *arg) {
    const struct atlas_service *service =
        atlas_tree_find(&edit->tree, edit->flags->common.args[1]);
    if (!service)
        return;
    if (service->vars.value)
        change_vars(&edit->tree, service, arg, &edit->edits);
    else
        problems_add(&edit->problems, service->vars.path, "%s; mend it by hand",
                     service->vars.fault);
}

/* Words KEY=VALUE (set) or KEY (unset) as a patch. NULL after it printed what is wrong. */
static json_t *make_patch(const struct common_flags *flags, bool set) {
    json_t *patch = json_object();
    for (size_t i = 2; i < flags->arg_count; i++) {
        const char *word = flags->args[i];
        const char *equals = strchr(word, '=');
        json_t *value = set && equals ? json_string(equals + 1) : json_null();
        if (set != (equals != NULL) || equals == word || !*word || !value) {
            (void)fprintf(stderr, "hatlas config: expected %s in UTF-8, found '%s'\n",
                          set ? "KEY=VALUE" : "KEY", word);
            json_decref(value);
            json_decref(patch);
            return NULL;
        }
        char *name = mem_strndup(word, equals ? (size_t)(equals - word) : strlen(word));
        (void)json_object_set_new(patch, name, value);
        free(name);
    }
    return patch;
}

static int run_change(const struct edit_flags *flags, bool set) {
    if (flags->common.arg_count < 3) {
        (void)fprintf(stderr, "hatlas config %s: expected SERVICE %s...\n",
                      set ? "set" : "unset", set ? "KEY=VALUE" : "KEY");
        return EXIT_TROUBLE;
    }
    json_t *patch = make_patch(&flags->common, set);
    if (!patch)
        return EXIT_TROUBLE;
    struct edit how = {.flags = flags};
    int code = edit_run(&how, flags->common.args[1], make, patch);
    json_decref(patch);
    return code;
}

static int run(const void *command_flags) {
    const struct edit_flags *flags = command_flags;
    static const char *const actions[] = {"get", "set", "unset", "env", NULL};
    const char *action = flags->common.args[0];
    if (!strcmp(action, "get") || !strcmp(action, "env"))
        return run_show(flags);
    if (!strcmp(action, "set") || !strcmp(action, "unset"))
        return run_change(flags, !strcmp(action, "set"));
    const char *near = text_nearest(action, actions);
    (void)fprintf(
        stderr, "hatlas config: expected get, set, unset or env, found '%s'%s%s%s\n",
        action, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return EXIT_TROUBLE;
}

const struct command command_config = {
    .name = "config",
    .arguments = "get SERVICE [KEY] | set SERVICE KEY=VALUE... | unset SERVICE KEY... | "
                 "env SERVICE",
    .args_min = 2,
    .args_max = 1000,
    .summary = "variables of a service",
    .text =
        "Variables stand beside a service in the registry; templates read them as\n"
        "service.vars. 'get' prints them, 'env' as lines KEY='value' that a shell can "
        "take.",
    .examples = "  hatlas config set teams DB_URL=postgres://db/teams\n"
                "  hatlas config get teams DB_URL\n"
                "  eval \"$(hatlas config env teams)\"\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run,
};
