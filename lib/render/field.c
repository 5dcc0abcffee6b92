/* The fields that services may have, with what holds where a service does not say. */
#include "render/field.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/schema.h"

#include <stdlib.h>
#include <string.h>

const json_t *fields_value(const json_t *const *layers, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        const json_t *value =
            json_object_size(layers[i]) ? json_object_get(layers[i], name) : NULL;
        if (value && !json_is_null(value))
            return value;
    }
    return NULL;
}

static json_t *parse(const char *fallback) {
    return fallback ? json_parse(fallback, strlen(fallback), "fallback", NULL) : NULL;
}

/* The first layer that has a member wins; an object's own fallback is one more layer. */
static struct field *build(const struct schema *rows, const json_t *const *layers,
                           size_t *count) {
    *count = 0;
    for (const struct schema *row = rows; row->name; row++)
        ++*count;
    struct field *fields = mem_zalloc((*count + 1) * sizeof *fields);
    for (size_t i = 0; i < *count; i++) {
        struct field *field = &fields[i];
        field->row = &rows[i];
        field->fallback = parse(rows[i].fallback);
        field->base = fields_value(layers, 2, rows[i].name);
        if (rows[i].type == SCHEMA_OBJECT && rows[i].rows) {
            const json_t *inner[2] = {field->base, field->fallback};
            field->members = build(rows[i].rows, inner, &field->member_count);
        }
        if (!field->base)
            field->base = field->fallback;
    }
    return fields;
}

struct field *fields_new(const struct schema *rows, const json_t *defaults,
                         size_t *count) {
    const json_t *layers[2] = {defaults, NULL};
    return build(rows, layers, count);
}

void fields_free(struct field *fields, size_t count) {
    for (size_t i = 0; i < count; i++) {
        fields_free(fields[i].members, fields[i].member_count);
        json_decref(fields[i].fallback);
    }
    free(fields);
}

const struct field *fields_find(const struct field *fields, size_t count,
                                const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!strcmp(fields[i].row->name, name))
            return &fields[i];
    return NULL;
}
