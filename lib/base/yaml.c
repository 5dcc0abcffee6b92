/* YAML text to and from jansson values. Objects and lists are never shared in jansson
 * (the way true, false and null are), so a place is kept by its container and key or
 * index. */
#include "base/yaml.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { NODES_MAX = 1000000, DEPTH_MAX = 64 };

struct place {
    const json_t *container;
    size_t slot; /* hash of the key, or the index */
    size_t line, column;
};

struct places {
    char *name;
    struct place *items; /* sorted by container and slot once parsed */
    size_t count;
};

struct parser {
    yaml_document_t *document;
    struct places *places;
    struct problems *problems;
    size_t nodes;
};

static size_t key_slot(const char *key) {
    size_t hash = 14695981039346656037UL;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211UL;
    return hash | 1UL << 63;
}

/* The container itself stands under a slot that neither a key nor an index has. */
static const size_t self_slot = 1UL << 62;

static void keep_place(struct places *places, const json_t *container, size_t slot,
                       yaml_mark_t mark) {
    places->items = mem_grow(places->items, places->count, sizeof *places->items);
    places->items[places->count++] =
        (struct place){container, slot, mark.line + 1, mark.column + 1};
}

static json_t *fault(struct parser *parser, yaml_mark_t mark, const char *what,
                     const char *which) {
    char where[512];
    (void)snprintf(where, sizeof where, "%s:%zu:%zu", parser->places->name, mark.line + 1,
                   mark.column + 1);
    problems_add(parser->problems, where, "%s%s%s", what, which ? ": " : "",
                 which ? which : "");
    return NULL;
}

static json_t *number(const char *text) {
    const char *digits = text + (*text == '-' || *text == '+');
    if (!*digits || strspn(digits, "0123456789.eE+-") != strlen(digits) ||
        !strpbrk(digits, "0123456789"))
        return NULL;
    char *end = NULL;
    errno = 0;
    if (strspn(digits, "0123456789") == strlen(digits)) {
        long long whole = strtoll(text, &end, 10);
        return errno ? NULL : json_integer(whole);
    }
    double real = strtod(text, &end);
    return *end || !isfinite(real) ? NULL : json_real(real);
}

static json_t *scalar(struct parser *parser, const yaml_node_t *node) {
    const char *text = (const char *)node->data.scalar.value;
    size_t len = node->data.scalar.length;
    if (strlen(text) != len)
        return fault(parser, node->start_mark, "a NUL byte is not allowed", NULL);
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (!strcmp(text, "true"))
            return json_true();
        if (!strcmp(text, "false"))
            return json_false();
        if (!len || !strcmp(text, "null") || !strcmp(text, "~"))
            return json_null();
        json_t *value = number(text);
        if (value)
            return value;
    }
    json_t *value = json_stringn(text, len);
    return value ? value : fault(parser, node->start_mark, "not valid UTF-8", NULL);
}

static json_t *convert(struct parser *parser, int id, int depth);

static json_t *sequence(struct parser *parser, const yaml_node_t *node, int depth) {
    json_t *list = json_array();
    keep_place(parser->places, list, self_slot, node->start_mark);
    bool good = true;
    for (yaml_node_item_t *i = node->data.sequence.items.start;
         i < node->data.sequence.items.top; i++) {
        yaml_mark_t mark = yaml_document_get_node(parser->document, *i)->start_mark;
        keep_place(parser->places, list, json_array_size(list), mark);
        json_t *item = convert(parser, *i, depth);
        good = good && item;
        json_array_append_new(list, item ? item : json_null());
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static bool add_pair(struct parser *parser, json_t *object, const yaml_node_pair_t *pair,
                     int depth) {
    const yaml_node_t *key = yaml_document_get_node(parser->document, pair->key);
    if (key->type != YAML_SCALAR_NODE)
        return fault(parser, key->start_mark, "expected a key that is a string", NULL);
    const char *name = (const char *)key->data.scalar.value;
    if (json_object_get(object, name))
        return fault(parser, key->start_mark, "this key is there twice", name);
    keep_place(parser->places, object, key_slot(name), key->start_mark);
    json_t *value = convert(parser, pair->value, depth);
    if (!value)
        return false;
    if (!json_object_set_new(object, name, value))
        return true;
    return fault(parser, key->start_mark, "key is not valid UTF-8", NULL);
}

static json_t *mapping(struct parser *parser, const yaml_node_t *node, int depth) {
    json_t *object = json_object();
    keep_place(parser->places, object, self_slot, node->start_mark);
    bool good = true;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++)
        good = add_pair(parser, object, pair, depth) && good;
    if (good)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *convert(struct parser *parser, int id, int depth) {
    const yaml_node_t *node = yaml_document_get_node(parser->document, id);
    if (++parser->nodes > NODES_MAX)
        return parser->nodes == NODES_MAX + 1
                   ? fault(parser, node->start_mark, "more than a million values", NULL)
                   : NULL;
    if (depth > DEPTH_MAX)
        return fault(parser, node->start_mark, "nested too deeply", NULL);
    switch (node->type) {
    case YAML_SCALAR_NODE:
        return scalar(parser, node);
    case YAML_SEQUENCE_NODE:
        return sequence(parser, node, depth + 1);
    case YAML_MAPPING_NODE:
        return mapping(parser, node, depth + 1);
    case YAML_NO_NODE:
        break;
    }
    return NULL;
}

static int compare_places(const void *a, const void *b) {
    const struct place *x = a;
    const struct place *y = b;
    if (x->container != y->container)
        return (uintptr_t)x->container < (uintptr_t)y->container ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void syntax_fault(struct parser *parser, const yaml_parser_t *yaml) {
    const char *text = yaml->problem ? yaml->problem : "not valid YAML";
    yaml_mark_t mark = yaml->problem_mark;
    if (yaml->error == YAML_READER_ERROR)
        mark = yaml->mark;
    fault(parser, mark, "not valid YAML", text);
}

static json_t *load(struct parser *parser, yaml_parser_t *yaml) {
    yaml_document_t document;
    json_t *value = NULL;
    if (!yaml_parser_load(yaml, &document)) {
        syntax_fault(parser, yaml);
        return NULL;
    }
    parser->document = &document;
    if (!yaml_document_get_root_node(&document)) {
        value = json_object();
    } else {
        value = convert(parser, 1, 0);
        yaml_document_t next;
        if (!yaml_parser_load(yaml, &next)) {
            syntax_fault(parser, yaml);
            json_decref(value);
            value = NULL;
        } else {
            yaml_node_t *more = yaml_document_get_root_node(&next);
            if (more && value) {
                json_decref(value);
                value = fault(parser, more->start_mark, "a second document", NULL);
            }
            yaml_document_delete(&next);
        }
    }
    yaml_document_delete(&document);
    parser->document = NULL;
    return value;
}

json_t *yaml_parse(const char *text, size_t len, const char *name, struct places **places,
                   struct problems *problems) {
    struct parser parser = {.problems = problems};
    parser.places = mem_zalloc(sizeof *parser.places);
    parser.places->name = mem_strdup(name);
    yaml_parser_t yaml;
    json_t *value = NULL;
    if (yaml_parser_initialize(&yaml)) {
        yaml_parser_set_input_string(&yaml, (const unsigned char *)text, len);
        value = load(&parser, &yaml);
        yaml_parser_delete(&yaml);
    } else {
        problems_add(problems, name, "can't start the YAML parser");
    }
    if (value && places) {
        if (parser.places->count)
            qsort(parser.places->items, parser.places->count,
                  sizeof *parser.places->items, compare_places);
        *places = parser.places;
    } else {
        places_free(parser.places);
        if (places)
            *places = NULL;
    }
    return value;
}

void places_free(struct places *places) {
    if (!places)
        return;
    free(places->name);
    free(places->items);
    free(places);
}

const char *places_find(const struct places *places, const json_t *container,
                        const char *key, size_t index, char *out, size_t size) {
    struct place wanted = {container, key ? key_slot(key) : index, 0, 0};
    const struct place *found = NULL;
    if (places->count)
        found =
            bsearch(&wanted, places->items, places->count, sizeof wanted, compare_places);
    wanted.slot = self_slot;
    if (!found && places->count)
        found =
            bsearch(&wanted, places->items, places->count, sizeof wanted, compare_places);
    if (found)
        (void)snprintf(out, size, "%s:%zu:%zu", places->name, found->line, found->column);
    else
        (void)snprintf(out, size, "%s", places->name);
    return out;
}

static int append(void *out, unsigned char *bytes, size_t len) {
    buffer_append(out, bytes, len);
    return 1;
}

/* A string that yaml_parse would take for something else has to be quoted. */
static yaml_scalar_style_t string_style(const char *text, size_t len) {
    json_t *as_number = number(text);
    bool special = as_number || !len || !strcmp(text, "true") || !strcmp(text, "false") ||
                   !strcmp(text, "null") || !strcmp(text, "~");
    json_decref(as_number);
    return special ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_ANY_SCALAR_STYLE;
}

static void emit(yaml_emitter_t *emitter, yaml_event_t *event) {
    (void)yaml_emitter_emit(emitter, event);
}

static void emit_text(yaml_emitter_t *emitter, const char *text, size_t len,
                      yaml_scalar_style_t style) {
    yaml_event_t event;
    (void)yaml_scalar_event_initialize(&event, NULL, NULL, (const unsigned char *)text,
                                       (int)len, 1, 1, style);
    emit(emitter, &event);
}

static void emit_value(yaml_emitter_t *emitter, const json_t *value);

static void emit_object(yaml_emitter_t *emitter, const json_t *object) {
    yaml_event_t event;
    yaml_mapping_style_t style =
        json_object_size(object) ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE;
    (void)yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style);
    emit(emitter, &event);
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)object, key, member) {
        emit_text(emitter, key, strlen(key), string_style(key, strlen(key)));
        emit_value(emitter, member);
    }
    (void)yaml_mapping_end_event_initialize(&event);
    emit(emitter, &event);
}

static void emit_list(yaml_emitter_t *emitter, const json_t *list) {
    yaml_event_t event;
    yaml_sequence_style_t style =
        json_array_size(list) ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
    (void)yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style);
    emit(emitter, &event);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) emit_value(emitter, item);
    (void)yaml_sequence_end_event_initialize(&event);
    emit(emitter, &event);
}

static void emit_value(yaml_emitter_t *emitter, const json_t *value) {
    if (json_is_object(value)) {
        emit_object(emitter, value);
    } else if (json_is_array(value)) {
        emit_list(emitter, value);
    } else if (json_is_string(value)) {
        const char *text = json_string_value(value);
        size_t len = json_string_length(value);
        emit_text(emitter, text, len, string_style(text, len));
    } else {
        struct buffer text = BUFFER_INIT;
        json_write(value, 0, &text);
        if (text.len)
            emit_text(emitter, text.data, text.len, YAML_PLAIN_SCALAR_STYLE);
        buffer_free(&text);
    }
}

void yaml_write(const json_t *value, struct buffer *out) {
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (!yaml_emitter_initialize(&emitter))
        return;
    yaml_emitter_set_output(&emitter, append, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    (void)yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    emit(&emitter, &event);
    (void)yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    emit(&emitter, &event);
    emit_value(&emitter, value);
    (void)yaml_document_end_event_initialize(&event, 1);
    emit(&emitter, &event);
    (void)yaml_stream_end_event_initialize(&event);
    emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
}
