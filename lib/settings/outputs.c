/* The outputs, and what no table can say of them. */
#include "base/mem.h"
#include "settings/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 64 };

static const char *key_of(size_t index, const char *name, char *key) {
    (void)snprintf(key, KEY_MAX, "outputs[%zu].%s", index, name);
    return key;
}

static mode_t parse_mode(const struct loader *loader, const char *text, size_t index) {
    char key[KEY_MAX];
    size_t digits = strspn(text, "01234567");
    unsigned long mode = strtoul(text, NULL, 8);
    if (digits < 3 || text[digits] || mode > 0777)
        loader_fault(loader, key_of(index, "mode", key),
                     "expected an octal mode such as \"0644\", found the string \"%s\"",
                     text);
    return (mode_t)mode;
}

/* A template is a name, not a path: it can't lead out of the template folders. */
static void check_template(const struct loader *loader,
                           const struct output_settings *output, size_t index) {
    char key[KEY_MAX];
    if (output->template &&
        (strchr(output->template, '/') || strstr(output->template, "..")))
        loader_fault(loader, key_of(index, "template", key),
                     "expected a name without '/' and \"..\", found the string \"%s\"",
                     output->template);
}

static void check_path(const struct loader *loader, const struct output_settings *outputs,
                       size_t index) {
    char key[KEY_MAX];
    const char *path = outputs[index].path;
    if (!path)
        return;
    (void)key_of(index, "path", key);
    if (path[0] != '/' || path[strlen(path) - 1] == '/')
        loader_fault(loader, key, "expected an absolute path of a file, found \"%s\"",
                     path);
    for (size_t i = 0; i < index; i++)
        if (outputs[i].path && !strcmp(outputs[i].path, path)) {
            loader_fault(loader, key, "\"%s\" is written by outputs[%zu] already", path,
                         i);
            return;
        }
}

static void check_single_config(const struct loader *loader,
                                const struct output_settings *outputs, size_t index) {
    char key[KEY_MAX];
    if (!outputs[index].check_haproxy)
        return;
    for (size_t i = 0; i < index; i++)
        if (outputs[i].check_haproxy) {
            loader_fault(loader, key_of(index, "check", key),
                         "HAProxy reads one file, and outputs[%zu] is it already", i);
            return;
        }
}

static void fill_output(const struct loader *loader, struct output_settings *output,
                        const json_t *from, size_t index) {
    char key[KEY_MAX];
    const char *check = json_string_value(json_object_get(from, "check"));
    output->template = mem_strdup(json_string_value(json_object_get(from, "template")));
    output->path = mem_strdup(json_string_value(json_object_get(from, "path")));
    output->on_change = strings_new(json_object_get(from, "on_change"));
    output->mode =
        parse_mode(loader, json_string_value(json_object_get(from, "mode")), index);
    if (check)
        output->check_haproxy = !strcmp(check, "haproxy");
    else
        output->check_haproxy =
            output->template && !strcmp(output->template, "haproxy.cfg");
    if (output->on_change && !*output->on_change[0])
        loader_fault(loader, key_of(index, "on_change[0]", key), "must not be empty");
}

void loader_outputs(struct loader *loader) {
    struct settings *settings = loader->settings;
    const json_t *list = loader_get(loader, "outputs");
    size_t count = json_array_size(list);
    settings->outputs = mem_zalloc(count * sizeof *settings->outputs);
    settings->output_count = count;
    for (size_t i = 0; i < count; i++) {
        fill_output(loader, &settings->outputs[i], json_array_get(list, i), i);
        check_template(loader, &settings->outputs[i], i);
        check_path(loader, settings->outputs, i);
        check_single_config(loader, settings->outputs, i);
    }
}

void loader_outputs_free(struct settings *settings) {
    for (size_t i = 0; i < settings->output_count; i++) {
        free(settings->outputs[i].template);
        free(settings->outputs[i].path);
        strings_free(settings->outputs[i].on_change);
    }
    free(settings->outputs);
}
