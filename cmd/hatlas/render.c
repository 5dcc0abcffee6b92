/* hatlas render: source → catalog → render, once. */
#include "agent/outputs.h"
#include "base/file.h"
#include "base/mem.h"
#include "oneshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct render_flags {
    struct common_flags common;
    const char *template, *output_dir, *order, *timeout;
    bool write, check, strict;
};

#define FLAG(field) offsetof(struct render_flags, field)

static const struct flag flags_table[] = {
    {"template", 't', "NAME", FLAG(template), "render this template to standard output"},
    {"output-dir", 'o', "DIR", FLAG(output_dir), "write all outputs into this folder"},
    {"write", 'w', NULL, FLAG(write), "write all outputs to their configured paths"},
    {"check", 0, NULL, FLAG(check), "let HAProxy check the config first (haproxy -c)"},
    {"strict", 0, NULL, FLAG(strict), "bad records are an error, not a warning"},
    {"order", 0, "ORDER", FLAG(order),
     "of hosts: name (default; the same on every machine) or node (as run has it)"},
    {"timeout", 0, "TIME", FLAG(timeout), "how long to wait for the registry (10s)"},
    {0},
};

static bool print(const struct buffer *text) {
    bool done = !text->len || fwrite(text->data, text->len, 1, stdout) == 1;
    if (!done || fflush(stdout) != 0) {
        perror("hatlas: standard output");
        return false;
    }
    return true;
}

static bool print_template(struct oneshot *oneshot, const char *template) {
    struct buffer text = BUFFER_INIT;
    struct error error;
    bool done =
        renderer_render(oneshot->renderer, template, oneshot->catalog, &text, &error);
    if (done)
        done = print(&text);
    else
        cli_print_error(&error);
    buffer_free(&text);
    return done;
}

static bool write_to_dir(const struct outputs *outputs, const char *dir,
                         struct error *error) {
    bool done = file_make_dirs(dir, 0755, error);
    for (size_t i = 0; done && i < outputs->count; i++) {
        const struct output *output = &outputs->items[i];
        char *path = mem_printf("%s/%s", dir, file_name(output->settings->path));
        done = file_replace(path, buffer_str(&output->text), output->text.len,
                            output->settings->mode, error);
        free(path);
    }
    return done;
}

static bool write_in_place(const struct outputs *outputs, const struct settings *settings,
                           struct error *error) {
    const struct outputs *old = outputs_load(settings, error);
    bool done = old && outputs_write(outputs, old, error);
    outputs_unref(old);
    return done;
}

static bool deliver(struct oneshot *oneshot, const struct render_flags *flags) {
    struct error error = {0};
    const struct settings *settings = oneshot->settings;
    const struct outputs *outputs =
        outputs_render(settings, oneshot->renderer, oneshot->catalog, &error);
    bool done = outputs;
    if (done && flags->check)
        done = outputs_check(outputs, settings->haproxy.binary, &error);
    if (done && flags->output_dir)
        done = write_to_dir(outputs, flags->output_dir, &error);
    if (done && flags->write)
        done = write_in_place(outputs, settings, &error);
    if (!done)
        cli_print_error(&error);
    else if (!flags->output_dir && !flags->write && !flags->template)
        done = print(&outputs->items[0].text);
    outputs_unref(outputs);
    return done;
}

static int run(const void *command_flags) {
    const struct render_flags *flags = command_flags;
    struct oneshot oneshot;
    bool done = oneshot_open(&oneshot, &flags->common,
                             flags->order ? flags->order : "name", flags->timeout);
    bool whole = !flags->template || flags->check || flags->write || flags->output_dir;
    if (done) {
        cli_print_problems(&oneshot.problems);
        done = !(flags->strict && oneshot.problems.count);
    }
    done = done && (!whole || deliver(&oneshot, flags));
    done = done && (!flags->template || print_template(&oneshot, flags->template));
    oneshot_close(&oneshot);
    return done ? EXIT_OK : EXIT_TROUBLE;
}

const struct command command_render = {
    .name = "render",
    .summary = "render the config once and print or write it",
    .text = "Reads the registry once and renders the outputs of the settings. Prints the "
            "first "
            "of\nthem unless told where to write.",
    .examples = "  hatlas render --source file:cluster.yaml\n"
                "  hatlas render --source file:cluster.yaml --check --output-dir out\n"
                "  hatlas render --template services.map\n",
    .flags = flags_table,
    .flags_size = sizeof(struct render_flags),
    .run = run,
};
