/* Showing what differs between two sets of outputs, by diff(1). */
#include "differ.h"
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 32 };

static void on_end(void *arg, const struct child_end *end) {
    *(int *)arg = WIFEXITED(end->status) ? WEXITSTATUS(end->status) : EXIT_TROUBLE;
}

/* Runs a command that prints by itself. Returns its exit code. */
static int run(const char *const *argv, struct error *error) {
    int code = EXIT_TROUBLE;
    struct event_base *base = event_base_new();
    (void)fflush(stdout);
    if (child_start(base, argv, false, 0, on_end, &code, error)) {
        (void)event_base_dispatch(base);
        if (code > EXIT_DIFFERENT)
            (void)error_set(error, argv[0], "failed with exit status %d", code);
    }
    event_base_free(base);
    return code < EXIT_TROUBLE ? code : EXIT_TROUBLE;
}

/* Where output number `index` stands in a temporary folder. */
static char *copy_path(const struct outputs *outputs, size_t index, const char *dir) {
    return mem_printf("%s/%s", dir, outputs->items[index].settings->path + 1);
}

static bool write_copies(const struct outputs *outputs, const char *dir,
                         struct error *error) {
    bool done = file_make_dirs(dir, 0700, error);
    for (size_t i = 0; done && i < outputs->count; i++) {
        const struct output *output = &outputs->items[i];
        char *path = copy_path(outputs, i, dir);
        char *parent = file_dir(path);
        done = !output->exists || (file_make_dirs(parent, 0700, error) &&
                                   file_replace(path, buffer_str(&output->text),
                                                output->text.len, 0600, error));
        free(parent);
        free(path);
    }
    return done;
}

static int run_external(const char *command, const char *old_dir, const char *new_dir,
                        struct error *error) {
    char *words = mem_strdup(command);
    const char *argv[WORDS_MAX + 3] = {0};
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(words, " ", &rest); word && count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest))
        argv[count++] = word;
    argv[count++] = old_dir;
    argv[count] = new_dir;
    int code = run(argv, error);
    free(words);
    return code;
}

static int run_diff(const struct outputs *old, const struct outputs *new, size_t index,
                    const char *old_dir, const char *new_dir, struct error *error) {
    const char *path = new->items[index].settings->path;
    char *old_path = copy_path(old, index, old_dir);
    char *new_path = copy_path(new, index, new_dir);
    char *old_label = mem_printf("%s (in place)", path);
    char *new_label = mem_printf("%s (rendered)", path);
    const char *argv[] = {
        "diff",    "-u",
        "-N",      isatty(STDOUT_FILENO) ? "--color=always" : "--color=never",
        "--label", old->items[index].exists ? old_label : "/dev/null",
        "--label", new_label,
        old_path,  new_path,
        NULL};
    int code = run(argv, error);
    free(old_path);
    free(new_path);
    free(old_label);
    free(new_label);
    return code;
}

static int run_all(const struct outputs *old, const struct outputs *new,
                   const char *old_dir, const char *new_dir, struct error *error) {
    const char *external = getenv("HATLAS_EXTERNAL_DIFF");
    int worst = EXIT_OK;
    if (external && *external)
        return run_external(external, old_dir, new_dir, error);
    for (size_t i = 0; i < new->count; i++) {
        if (output_same(old, new, i))
            continue;
        int code = run_diff(old, new, i, old_dir, new_dir, error);
        worst = code > worst ? code : worst;
    }
    return worst;
}

static void remove_tree(const char *dir) {
    const char *argv[] = {"rm", "-rf", "--", dir, NULL};
    struct buffer output = BUFFER_INIT;
    (void)child_run(argv, 10000, &output, NULL, NULL);
    buffer_free(&output);
}

int differ_show(const struct outputs *old, const struct outputs *new,
                struct error *error) {
    const char *tmp = getenv("TMPDIR");
    if (outputs_equal(old, new))
        return EXIT_OK;
    char *dir = mem_printf("%s/hatlas-diff.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        (void)error_set(error, dir, "can't make a folder: %s", strerror(errno));
        free(dir);
        return EXIT_TROUBLE;
    }
    char *old_dir = mem_printf("%s/in-place", dir);
    char *new_dir = mem_printf("%s/rendered", dir);
    int code = EXIT_TROUBLE;
    if (write_copies(old, old_dir, error) && write_copies(new, new_dir, error))
        code = run_all(old, new, old_dir, new_dir, error);
    remove_tree(dir);
    free(old_dir);
    free(new_dir);
    free(dir);
    return code;
}

struct plan *differ_plan(const struct settings *settings, const struct outputs *old,
                         const struct outputs *new) {
    bool runtime = settings->apply.runtime;
    struct plan_abilities abilities = {.dynamic_servers = runtime,
                                       .map_versions = runtime};
    return outputs_config(new) ? outputs_plan(old, new, &abilities) : NULL;
}

void differ_print_plan(const struct plan *plan) {
    struct buffer text = BUFFER_INIT;
    plan_describe(plan, &text);
    (void)fputs(buffer_str(&text), stdout);
    buffer_free(&text);
}

void differ_print_json(const struct plan *plan, const struct outputs *old,
                       const struct outputs *new) {
    json_t *files = json_array();
    for (size_t i = 0; i < new->count; i++)
        if (!output_same(old, new, i))
            json_array_append_new(files, json_string(new->items[i].settings->path));
    json_t *object = plan ? plan_json(plan) : json_object();
    json_object_set_new(object, "files", files);
    (void)json_dumpf(object, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(object);
}
