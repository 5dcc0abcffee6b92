/* Reading and overriding keys of settings that are being loaded, and saying where a key
 * with a fault was set. */
#include "settings/loader.h"
#include "base/buffer.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Follows the key as far as the value has containers for it. Sets `container` to the last
 * one, and `name` or `index` to what the key wants of it. Returns the value at the end.
 */
static json_t *follow(json_t *value, const char *key, const json_t **container,
                      char name[256], size_t *index) {
    while (*key) {
        size_t len = 0;
        *container = value;
        if (*key == '[') {
            char *end = NULL;
            *index = strtoul(key + 1, &end, 10);
            *name = '\0';
            value = json_array_get(value, *index);
            key = end + (*end == ']');
        } else {
            len = strcspn(key, ".[");
            (void)snprintf(name, 256, "%.*s", (int)len, key);
            value = json_object_get(value, name);
            key += len;
        }
        key += *key == '.';
        if (!value)
            return NULL;
    }
    return value;
}

json_t *loader_get(const struct loader *loader, const char *key) {
    const json_t *container = NULL;
    char name[256];
    size_t index = 0;
    return follow(loader->settings->tree, key, &container, name, &index);
}

char *loader_text(const struct loader *loader, const char *key) {
    return mem_strdup(json_string_value(loader_get(loader, key)));
}

int64_t loader_duration(const struct loader *loader, const char *key) {
    const char *text = json_string_value(loader_get(loader, key));
    int64_t milliseconds = 0;
    return text && text_duration(text, &milliseconds) ? milliseconds : 0;
}

int loader_percent(const struct loader *loader, const char *key) {
    const char *text = json_string_value(loader_get(loader, key));
    int64_t percent = 0;
    return text && text_percent(text, &percent) ? (int)percent : 0;
}

/* The variable or flag that set the key or what holds it; NULL if the file did. */
static const char *origin(const struct loader *loader, const char *key) {
    const char *name;
    json_t *where;
    json_object_foreach(loader->origins, name, where) {
        size_t len = strlen(name);
        if (!strncmp(key, name, len) && strchr(".[", key[len]))
            return json_string_value(where);
    }
    return NULL;
}

static const char *place(const struct loader *loader, const char *key, char *out) {
    const struct settings *settings = loader->settings;
    const char *where = origin(loader, key);
    if (where || !settings->places) {
        (void)snprintf(out, LOADER_PLACE_MAX, "%s", where ? where : "");
        return out;
    }
    const json_t *container = settings->input;
    char name[256];
    size_t index = 0;
    (void)follow(settings->input, key, &container, name, &index);
    return places_find(settings->places, container, *name ? name : NULL, index, out,
                       LOADER_PLACE_MAX);
}

void loader_fault(const struct loader *loader, const char *key, const char *format, ...) {
    char where[LOADER_PLACE_MAX];
    struct buffer text = BUFFER_INIT;
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    problems_add(loader->problems, place(loader, key, where), "%s: %s", key,
                 buffer_str(&text));
    buffer_free(&text);
}

void loader_override(struct loader *loader, const char *key, json_t *value,
                     const char *where) {
    struct schema_input from = {.where = where, .problems = loader->problems};
    json_t *good =
        schema_value(schema_find(settings_schema, key), value, key, where, true, &from);
    const char *dot = strrchr(key, '.');
    json_t *parent = loader->settings->tree;
    char name[256];
    if (dot) {
        (void)snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
        parent = loader_get(loader, name);
    }
    if (good) {
        (void)json_object_set_new(parent, dot ? dot + 1 : key, good);
        (void)json_object_set_new(loader->origins, key, json_string(where));
    }
}

char **strings_new(const json_t *list) {
    if (!list)
        return NULL;
    char **strings = mem_zalloc((json_array_size(list) + 1) * sizeof *strings);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) strings[i] = mem_strdup(json_string_value(item));
    return strings;
}

void strings_free(char **strings) {
    for (size_t i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}
