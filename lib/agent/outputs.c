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

static void start(struct outputs *outputs, const struct settings *settings) {
    *outputs = (struct outputs){
        mem_zalloc(settings->output_count * sizeof *outputs->items),
        settings->output_count,
    };
    for (size_t i = 0; i < outputs->count; i++)
        outputs->items[i].settings = &settings->outputs[i];
}

bool outputs_render(struct outputs *outputs, const struct settings *settings,
                    struct renderer *renderer, const struct catalog *catalog,
                    struct error *error) {
    start(outputs, settings);
    for (size_t i = 0; i < outputs->count; i++) {
        struct output *output = &outputs->items[i];
        if (!renderer_render(renderer, output->settings->template, catalog, &output->text,
                             error)) {
            outputs_free(outputs);
            return false;
        }
        output->exists = true;
    }
    return true;
}

bool outputs_load(struct outputs *outputs, const struct settings *settings,
                  struct error *error) {
    start(outputs, settings);
    for (size_t i = 0; i < outputs->count; i++) {
        struct output *output = &outputs->items[i];
        if (access(output->settings->path, F_OK) < 0 && errno == ENOENT)
            continue;
        if (!file_read(output->settings->path, FILE_MAX, &output->text, error)) {
            outputs_free(outputs);
            return false;
        }
        output->exists = true;
    }
    return true;
}

void outputs_free(struct outputs *outputs) {
    for (size_t i = 0; i < outputs->count; i++)
        buffer_free(&outputs->items[i].text);
    free(outputs->items);
    *outputs = (struct outputs){0};
}

bool output_same(const struct outputs *a, const struct outputs *b, size_t index) {
    if (index >= a->count || index >= b->count)
        return false;
    const struct output *x = &a->items[index];
    const struct output *y = &b->items[index];
    return x->exists == y->exists && x->text.len == y->text.len &&
           (!x->text.len || !memcmp(x->text.data, y->text.data, x->text.len));
}

bool outputs_equal(const struct outputs *a, const struct outputs *b) {
    if (a->count != b->count)
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

bool outputs_touch_haproxy(const struct outputs *old, const struct outputs *new) {
    const struct output *config = outputs_config(new);
    for (size_t i = 0; config && i < new->count; i++) {
        const struct output *output = &new->items[i];
        bool read = output == config ||
                    strstr(buffer_str(&config->text), file_name(output->settings->path));
        if (read && !output_same(old, new, i))
            return true;
    }
    return false;
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
