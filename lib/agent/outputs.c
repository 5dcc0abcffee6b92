/* The files that hatlas keeps. */
#include "agent/outputs.h"
#include "base/file.h"
#include "base/mem.h"
#include "haproxy/haproxy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 30 };

static struct outputs *outputs_new(const struct settings *settings) {
    size_t size = settings->output_count * sizeof(struct output);
    struct outputs *outputs = mem_zalloc(sizeof *outputs + size);
    outputs->refs = 1;
    outputs->count = settings->output_count;
    for (size_t i = 0; i < outputs->count; i++)
        outputs->items[i].settings = &settings->outputs[i];
    return outputs;
}

const struct outputs *outputs_render(const struct settings *settings,
                                     struct renderer *renderer,
                                     const struct catalog *catalog, struct error *error) {
    struct outputs *outputs = outputs_new(settings);
    for (size_t i = 0; i < outputs->count; i++) {
        struct output *output = &outputs->items[i];
        if (!renderer_render(renderer, output->settings->template, catalog, &output->text,
                             error)) {
            outputs_unref(outputs);
            return NULL;
        }
        output->exists = true;
    }
    return outputs;
}

const struct outputs *outputs_load(const struct settings *settings, struct error *error) {
    struct outputs *outputs = outputs_new(settings);
    for (size_t i = 0; i < outputs->count; i++) {
        struct output *output = &outputs->items[i];
        if (access(output->settings->path, F_OK) < 0 && errno == ENOENT)
            continue;
        if (!file_read(output->settings->path, FILE_MAX, &output->text, error)) {
            outputs_unref(outputs);
            return NULL;
        }
        output->exists = true;
    }
    return outputs;
}

const struct outputs *outputs_ref(const struct outputs *outputs) {
    ((struct outputs *)outputs)->refs++;
    return outputs;
}

void outputs_unref(const struct outputs *outputs) {
    struct outputs *last = (struct outputs *)outputs;
    if (!last || --last->refs)
        return;
    for (size_t i = 0; i < last->count; i++)
        buffer_free(&last->items[i].text);
    free(last);
}

bool output_same(const struct outputs *a, const struct outputs *b, size_t index) {
    if (index >= a->count || index >= b->count)
        return false;
    const struct output *x = &a->items[index];
    const struct output *y = &b->items[index];
    if (x == y)
        return true;
    return x->exists == y->exists && x->text.len == y->text.len &&
           (!x->text.len || !memcmp(x->text.data, y->text.data, x->text.len));
}

bool outputs_equal(const struct outputs *a, const struct outputs *b) {
    if (a == b)
        return true;
    if (!a || !b || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!output_same(a, b, i))
            return false;
    return true;
}

const struct output *outputs_config(const struct outputs *outputs) {
    for (size_t i = 0; i < outputs->count; i++)
        if (outputs->items[i].settings->check_haproxy)
            return &outputs->items[i];
    return NULL;
}

/* How the config names the file of another output: by its path, or by its name alone
 * (configuration manual, 3.1 "default-path config"). NULL if it does not. */
static const char *name_in(const struct output *config, const struct output *output) {
    const char *path = output->settings->path;
    if (strstr(buffer_str(&config->text), path))
        return path;
    return strstr(buffer_str(&config->text), file_name(path)) ? file_name(path) : NULL;
}

bool outputs_touch_haproxy(const struct outputs *old, const struct outputs *new) {
    const struct output *config = outputs_config(new);
    for (size_t i = 0; config && i < new->count; i++) {
        const struct output *output = &new->items[i];
        if (!output_same(old, new, i) && (output == config || name_in(config, output)))
            return true;
    }
    return false;
}

/* Files that are the same in `other` have no part in a plan. */
static struct plan_side side_of(const struct outputs *outputs,
                                const struct outputs *other, struct plan_file *files) {
    const struct output *config = outputs_config(outputs);
    struct plan_side side = {buffer_str(&config->text), files, 0};
    for (size_t i = 0; i < outputs->count; i++) {
        const struct output *output = &outputs->items[i];
        bool same = output == config || output_same(outputs, other, i);
        const char *name = same ? NULL : name_in(config, output);
        if (name)
            files[side.file_count++] =
                (struct plan_file){name, buffer_str(&output->text)};
    }
    return side;
}

struct plan *outputs_plan(const struct outputs *old, const struct outputs *new,
                          const struct plan_abilities *abilities) {
    struct plan_file *files = mem_zalloc(2 * new->count * sizeof *files);
    struct plan_side from = side_of(old, new, files);
    struct plan_side to = side_of(new, old, files + new->count);
    struct plan *plan = plan_new(&from, &to, abilities);
    free(files);
    return plan;
}

static bool beside_config(const struct outputs *outputs, size_t index) {
    char *dir = file_dir(outputs->items[index].settings->path);
    char *config_dir = file_dir(outputs_config(outputs)->settings->path);
    bool same = !strcmp(dir, config_dir);
    free(dir);
    free(config_dir);
    return same;
}

static char *staged_path(const struct outputs *outputs, size_t index, const char *dir) {
    return mem_printf("%s/%s", dir, file_name(outputs->items[index].settings->path));
}

static bool write_plain(const char *path, const struct buffer *text,
                        struct error *error) {
    FILE *file = fopen(path, "we");
    bool done = file && (!text->len || fwrite(text->data, text->len, 1, file) == 1);
    int fault = errno;
    if (file && fclose(file) != 0) {
        fault = errno;
        done = false;
    }
    return done || error_set(error, path, "can't write: %s", strerror(fault));
}

char *outputs_stage(const struct outputs *outputs, const char *dir, struct error *error) {
    char *config = NULL;
    bool done = file_make_dirs(dir, 0700, error);
    for (size_t i = 0; done && i < outputs->count; i++) {
        if (!beside_config(outputs, i))
            continue;
        char *path = staged_path(outputs, i, dir);
        done = write_plain(path, &outputs->items[i].text, error);
        if (done && &outputs->items[i] == outputs_config(outputs))
            config = path;
        else
            free(path);
    }
    if (done)
        return config;
    outputs_unstage(outputs, dir);
    free(config);
    return NULL;
}

void outputs_unstage(const struct outputs *outputs, const char *dir) {
    for (size_t i = 0; i < outputs->count; i++) {
        char *path = staged_path(outputs, i, dir);
        (void)unlink(path);
        free(path);
    }
    (void)rmdir(dir);
}

static void replace_all(char *text, size_t size, const char *old, const char *new) {
    struct buffer out = BUFFER_INIT;
    const char *rest = text;
    for (const char *hit; (hit = strstr(rest, old)); rest = hit + strlen(old)) {
        buffer_append(&out, rest, (size_t)(hit - rest));
        buffer_puts(&out, new);
    }
    buffer_puts(&out, rest);
    (void)snprintf(text, size, "%s", buffer_str(&out));
    buffer_free(&out);
}

void outputs_name_own(const struct outputs *outputs, const char *dir,
                      struct error *error) {
    char *own = file_dir(outputs_config(outputs)->settings->path);
    replace_all(error->where, sizeof error->where, dir, own);
    replace_all(error->text, sizeof error->text, dir, own);
    free(own);
}

bool outputs_check(const struct outputs *outputs, const char *binary,
                   struct error *error) {
    const char *tmp = getenv("TMPDIR");
    if (!outputs_config(outputs))
        return true;
    char *dir = mem_printf("%s/hatlas-check.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    char *config = NULL;
    bool good = false;
    if (!mkdtemp(dir))
        (void)error_set(error, dir, "can't make a folder: %s", strerror(errno));
    else
        config = outputs_stage(outputs, dir, error);
    if (config) {
        good = haproxy_check(binary, config, error);
        outputs_unstage(outputs, dir);
        if (!good)
            outputs_name_own(outputs, dir, error);
    }
    free(config);
    free(dir);
    return good;
}

static bool write_one(const struct output *output, struct error *error) {
    const char *path = output->settings->path;
    if (!output->exists)
        return unlink(path) == 0 || errno == ENOENT ||
               error_set(error, path, "can't remove: %s", strerror(errno));
    char *dir = file_dir(path);
    bool done = file_make_dirs(dir, 0755, error) &&
                file_replace(path, buffer_str(&output->text), output->text.len,
                             output->settings->mode, error);
    free(dir);
    return done;
}

bool outputs_write(const struct outputs *outputs, const struct outputs *old,
                   struct error *error) {
    const struct output *config = outputs_config(outputs);
    bool done = true;
    for (int last = 0; last < 2; last++)
        for (size_t i = 0; done && i < outputs->count; i++)
            if ((&outputs->items[i] == config) == last && !output_same(outputs, old, i))
                done = write_one(&outputs->items[i], error);
    return done;
}
