/* Fields as people type them. */
#include "atlas/fields.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static json_t *text_value(const char *text) {
    return json_string(text);
}

/* A value that is not JSON is taken for a string, of which the check says what it should
 * have been. */
static json_t *json_value(const char *text) {
    struct error error;
    json_t *value = json_parse(text, strlen(text), "", &error);
    return value ? value : text_value(text);
}

static json_t *list_value(const char *text) {
    if (*text == '[')
        return json_value(text);
    json_t *list = json_array();
    for (;;) {
        size_t len = strcspn(text, ",");
        char *item = mem_strndup(text, len);
        (void)json_array_append_new(list, text_value(item));
        free(item);
        if (!text[len])
            return list;
        text += len + 1;
    }
}

static json_t *parse_value(const struct schema *row, const char *text) {
    switch (row ? row->type : SCHEMA_ANY) {
    case SCHEMA_BOOL:
    case SCHEMA_INT:
    case SCHEMA_ANY:
    case SCHEMA_OBJECT:
    case SCHEMA_LIST_OF_OBJECTS:
    case SCHEMA_MAP_OF_TEXT:
    case SCHEMA_MAP_OF_OBJECTS:
        return json_value(text);
    case SCHEMA_LIST_OF_TEXT:
    case SCHEMA_LIST_OF_NAMES:
        return list_value(text);
    default:
        return text_value(text);
    }
}

/* Where the value of a name goes: the object, and the last part of the name. */
struct target {
    const struct schema *row; /* NULL: unknown, or a key of a map of texts */
    json_t *object;
    const char *key;
    bool known;
};

static json_t *member_object(json_t *object, const char *name, size_t len) {
    char *key = mem_strndup(name, len);
    json_t *member = json_object_get(object, key);
    if (!json_is_object(member)) {
        member = json_object();
        (void)json_object_set_new(object, key, member);
    }
    free(key);
    return member;
}

static const struct schema *row_of(const struct schema *table, const char *name,
                                   size_t len) {
    char *key = mem_strndup(name, len);
    const struct schema *row = schema_find(table, key);
    free(key);
    return row;
}

static struct target find_target(const struct schema *table, json_t *patch,
                                 const char *name) {
    static const struct schema text_row = {.type = SCHEMA_TEXT};
    struct target target = {.object = patch, .key = name, .known = true};
    for (;;) {
        size_t len = strcspn(target.key, ".");
        target.row = table ? row_of(table, target.key, len) : NULL;
        if (!target.row) {
            target.known = target.object != patch; /* the check knows what lies deeper */
            return target;
        }
        if (!target.key[len])
            return target;
        target.object = member_object(target.object, target.key, len);
        target.key += len + 1;
        table = target.row->rows;
        if (target.row->type == SCHEMA_MAP_OF_TEXT) {
            target.row = &text_row;
            return target;
        }
    }
}

static void unknown_field(const struct schema *table, const char *name,
                          struct problems *problems) {
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX + 1] = {NULL};
    for (size_t i = 0; table[i].name && i < NAMES_MAX; i++)
        names[i] = table[i].name;
    const char *near = text_nearest(name, names);
    if (near)
        problems_add(problems, "",
                     "unknown field '%s'; did you mean '%s'? --allow-unknown writes it "
                     "all the same",
                     name, near);
    else
        problems_add(problems, "",
                     "unknown field '%s'; --allow-unknown writes it all the same", name);
}

static void parse_word(const struct schema *table, const char *word, bool allow_unknown,
                       json_t *patch, struct problems *problems) {
    const char *equals = strchr(word, '=');
    if (!equals || equals == word) {
        problems_add(problems, "", "expected field=value, found '%s'", word);
        return;
    }
    char *name = mem_strndup(word, (size_t)(equals - word));
    struct target target = find_target(table, patch, name);
    if (!target.known && !allow_unknown)
        unknown_field(table, name, problems);
    else if (!text_is_clean(word, strlen(word)))
        problems_add(problems, "", "%s: control characters, or not UTF-8", name);
    else
        (void)json_object_set_new(target.object, target.key,
                                  equals[1] ? parse_value(target.row, equals + 1)
                                            : json_null());
    free(name);
}

json_t *atlas_fields_parse(const struct schema *table, const char *const *words,
                           size_t count, bool allow_unknown, struct problems *problems) {
    json_t *patch = json_object();
    for (size_t i = 0; i < count; i++)
        parse_word(table, words[i], allow_unknown, patch, problems);
    return patch;
}

json_t *atlas_fields_patch(const json_t *record, const json_t *patch) {
    json_t *result = json_object();
    if (json_is_object(record))
        (void)json_object_update(result, (json_t *)record);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)patch, name, value) {
        if (json_is_null(value)) {
            (void)json_object_del(result, name);
        } else if (!json_is_object(value)) {
            (void)json_object_set(result, name, value);
        } else {
            json_t *member = atlas_fields_patch(json_object_get(result, name), value);
            if (json_object_size(member))
                (void)json_object_set(result, name, member);
            else
                (void)json_object_del(result, name);
            json_decref(member);
        }
    }
    return result;
}

bool atlas_fields_check(const struct schema *table, const json_t *record,
                        const char *where, struct problems *problems) {
    size_t before = problems->count;
    struct schema_input from = {
        .where = where, .unknown = json_object(), .problems = problems};
    json_decref(schema_apply(table, record, false, &from));
    json_decref(from.unknown);
    return problems->count == before;
}

static void describe(const json_t *patch, const char *prefix, struct buffer *out) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)patch, name, value) {
        char *full = mem_printf("%s%s%s", prefix, *prefix ? "." : "", name);
        if (json_object_size(value)) {
            describe(value, full, out);
        } else {
            buffer_printf(out, "%s%s", out->len ? " " : "", full);
            if (json_is_null(value)) {
                buffer_puts(out, " removed");
            } else {
                buffer_putc(out, '=');
                if (json_is_string(value))
                    buffer_puts(out, json_string_value(value));
                else
                    json_write(value, 0, out);
            }
        }
        free(full);
    }
}

/* What JSON escaped has not been looked at before: it may be meant for the terminal. */
void atlas_fields_describe(const json_t *patch, struct buffer *out) {
    struct buffer text = BUFFER_INIT;
    describe(patch, "", &text);
    size_t size = 4 * text.len + 1;
    char *printable = mem_resize(NULL, size, 1);
    buffer_puts(out, text_printable(buffer_str(&text), printable, size));
    free(printable);
    buffer_free(&text);
}
