/* The steps that all commands share that change the Atlas. */
#include "edit.h"
#include "base/mem.h"
#include "base/text.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT = 10000 };

const struct source_settings *edit_source(const struct settings *settings) {
    for (size_t i = 0; i < settings->source_count; i++) {
        const struct source_settings *source = &settings->sources[i];
        if (source->kind != SOURCE_ZOOKEEPER)
            continue;
        if (!source->format || !strcmp(source->format, "atlas"))
            return source;
    }
    (void)fprintf(stderr, "hatlas: no source to write to: that takes a ZooKeeper with "
                          "format atlas (--source zookeeper:HOSTS/ROOT)\n");
    return NULL;
}

/* A pattern that matches no service is most often a wrong name. */
static bool has_services(const struct edit *edit, const char *pattern) {
    if (edit->tree.service_count || edit->new_service)
        return true;
    const char *near = text_nearest(pattern, (const char *const *)edit->tree.names);
    (void)fprintf(stderr, "hatlas: no service '%s' below %s%s%s%s\n", pattern,
                  edit->tree.layout.services, near ? "; did you mean '" : "",
                  near ? near : "", near ? "'?" : "");
    return false;
}

static void print_note(const struct edit *edit, bool written) {
    if (edit->flags->dry_run)
        printf("dry run: nothing was written\n");
    else if (written && edit->plan_first)
        printf("%zu znodes written\n", atlas_edits_changes(&edit->edits));
}

static bool print_report(const struct edit *edit, bool lines, bool written) {
    if (edit->quiet)
        return true;
    if (edit->flags->json && lines) {
        json_t *report = json_pack("{s:b, s:o}", "dry_run", edit->flags->dry_run,
                                   "changes", atlas_edits_json(&edit->edits));
        bool done = cli_print_json(report);
        json_decref(report);
        return done;
    }
    struct buffer text = BUFFER_INIT;
    if (lines)
        atlas_edits_write(&edit->edits, &text);
    bool done = cli_print(&text);
    buffer_free(&text);
    if (done && !edit->flags->json)
        print_note(edit, written);
    return done && fflush(stdout) == 0;
}

static bool commit(struct edit *edit, struct error *error) {
    size_t done = 0;
    if (edit->flags->dry_run || !atlas_edits_changes(&edit->edits))
        return true;
    if (registry_commit(edit->registry, &edit->edits, &done, error))
        return true;
    cli_print_error(error);
    if (done)
        (void)fprintf(stderr, "hatlas: %zu of %zu znodes were written before that\n",
                      done, atlas_edits_changes(&edit->edits));
    else
        (void)fprintf(stderr, "hatlas: nothing was written\n");
    return false;
}

static bool prepare(struct edit *edit, const char *pattern, edit_make *make,
                    const void *arg) {
    struct error error;
    struct atlas_layout layout;
    atlas_layout_init(&layout, edit->source);
    if (!atlas_tree_read(&edit->tree, edit->registry, &layout, pattern, &error)) {
        cli_print_error(&error);
        return false;
    }
    if (!has_services(edit, pattern))
        return false;
    make(edit, arg);
    if (edit->problems.count) {
        cli_print_problems(&edit->problems);
        (void)fprintf(stderr, "hatlas: nothing was written\n");
        return false;
    }
    if (atlas_tree_complete(&edit->tree, edit->registry, &edit->edits, &error))
        return true;
    cli_print_error(&error);
    return false;
}

static bool perform(struct edit *edit, const char *pattern, edit_make *make,
                    const void *arg) {
    struct error error;
    struct log log;
    if (!cli_duration("timeout", edit->flags->timeout, TIMEOUT, &edit->timeout))
        return false;
    edit->settings = cli_settings(&edit->flags->common, &log);
    edit->source = edit->settings ? edit_source(edit->settings) : NULL;
    if (!edit->source)
        return false;
    edit->registry = registry_open(edit->source, edit->timeout);
    if (!prepare(edit, pattern, make, arg))
        return false;
    if (edit->plan_first && !print_report(edit, true, false))
        return false;
    if (!commit(edit, &error))
        return false;
    bool noted = edit->flags->dry_run;
    if (!edit->plan_first || !noted)
        (void)print_report(edit, !edit->plan_first, true);
    return true;
}

int edit_run(const struct edit *how, const char *pattern, edit_make *make,
             const void *arg) {
    struct edit edit = *how;
    bool done = perform(&edit, pattern, make, arg);
    atlas_edits_free(&edit.edits);
    atlas_tree_free(&edit.tree);
    problems_free(&edit.problems);
    registry_close(edit.registry);
    settings_free(edit.settings);
    if (done && edit.flags->wait && !edit.flags->dry_run)
        done = edit_wait(&edit.flags->common, edit.timeout);
    return done ? EXIT_OK : EXIT_TROUBLE;
}
