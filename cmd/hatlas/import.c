/* hatlas import: a cluster file becomes the Atlas. */
#include "base/file.h"
#include "base/text.h"
#include "catalog/text.h"
#include "edit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 256 << 20 };

static const struct flag flags_table[] = {
    {"prune", 0, NULL, EDIT_FLAG(prune), "remove services and hosts that the file lacks"},
    EDIT_FLAG_ROWS,
    {0},
};

static void make(struct edit *edit, const void *arg) {
    change_import(&edit->tree, arg, edit->flags->prune, &edit->edits, &edit->problems);
}

static bool read_input(const char *path, struct buffer *text, struct error *error) {
    if (strcmp(path, "-") != 0)
        return file_read(path, FILE_MAX, text, error);
    return file_read("/dev/stdin", FILE_MAX, text, error);
}

/* A file with a fault is taken as a whole or not at all. */
static const struct catalog *read_catalog(const char *path) {
    struct buffer text = BUFFER_INIT;
    struct problems problems = {0};
    struct error error;
    const struct catalog *catalog = NULL;
    if (read_input(path, &text, &error))
        catalog = catalog_read(buffer_str(&text), text.len, path, NULL, &problems);
    else
        cli_print_error(&error);
    if (problems.count) {
        cli_print_problems(&problems);
        (void)fprintf(stderr, "hatlas: the file has faults; nothing was written\n");
        catalog_unref(catalog);
        catalog = NULL;
    }
    problems_free(&problems);
    buffer_free(&text);
    return catalog;
}

static int run(const void *command_flags) {
    const struct edit_flags *flags = command_flags;
    const struct catalog *catalog = read_catalog(flags->common.args[0]);
    if (!catalog)
        return EXIT_TROUBLE;
    struct edit how = {.flags = flags, .new_service = true, .plan_first = true};
    int code = edit_run(&how, "*", make, catalog);
    catalog_unref(catalog);
    return code;
}

const struct command command_import = {
    .name = "import",
    .arguments = "FILE",
    .args_min = 1,
    .args_max = 1,
    .summary = "bring the Atlas to what a file says",
    .text =
        "Reads a cluster file (YAML or JSON; - is standard input), prints what has to "
        "change\nand changes it by transactions: up to 2000 changes all or none, more "
        "in several\nsteps. What the file lacks stays unless --prune; hosts that a "
        "living process\nannounces always stay.",
    .examples = "  hatlas import --dry-run cluster.yaml\n"
                "  hatlas import --prune backup.yaml\n"
                "  hatlas export --realm production | hatlas import --realm testing -\n",
    .flags = flags_table,
    .flags_size = sizeof(struct edit_flags),
    .run = run,
};
