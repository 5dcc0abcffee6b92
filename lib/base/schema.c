/* Checks JSON values against tables of keys: what is good comes back as a new value, what
 * is not becomes a problem with its place, what was found and what was expected. */
#include "base/schema.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 512, PLACE_MAX = 512, FOUND_MAX = 100, PORT_MAX = 65535 };

/* What is the same for all values below one: where they come from and what is wanted. */
struct checker {
    const struct schema_input *from;
    bool defaults;
};

/* One value on its way through the checks. */
struct subject {
    const struct schema *row;
    const json_t *value;
    const char *key;
    const char *where;
};

static json_t *check(const struct checker *checker, const struct subject *subject);
static json_t *check_object(const struct checker *checker, const struct schema *rows,
                            const json_t *input, const char *prefix, json_t *unknown);

/* Returns the place; `out` is room for one that has to be made. Most values are good, and
 * nobody asks for the place or the whole name of what is good: so neither may cost much. */
static const char *place(const struct schema_input *from, const json_t *container,
                         const char *key, size_t index, char *out) {
    if (from->places)
        return places_find(from->places, container, key, index, out, PLACE_MAX);
    return from->where ? from->where : "";
}

/* Returns the name; `out` is room for one that has to be made. */
static const char *member_name(const char *prefix, const char *key, char *out) {
    if (!*prefix)
        return key;
    (void)snprintf(out, KEY_MAX, "%s%s%s", prefix, *prefix ? "." : "", key);
    return out;
}

static const char *item_name(const char *list, size_t index, char *out) {
    (void)snprintf(out, KEY_MAX, "%s[%zu]", list, index);
    return out;
}

/* --- what was expected, what was found --- */

static bool has_limits(const struct schema *row) {
    return row->min || row->max;
}

static bool in_limits(const struct schema *row, int64_t number) {
    return !has_limits(row) || (number >= row->min && (!row->max || number <= row->max));
}

static void describe_limits(const struct schema *row, const char *unit,
                            struct buffer *out) {
    if (!has_limits(row))
        return;
    if (row->max)
        buffer_printf(out, " from %" PRId64 " to %" PRId64 "%s", row->min, row->max,
                      unit);
    else
        buffer_printf(out, " of at least %" PRId64 "%s", row->min, unit);
}

static void describe_size(const struct schema *row, const char *unit,
                          struct buffer *out) {
    if (row->min && row->max)
        buffer_printf(out, " of %" PRId64 " to %" PRId64 " %s", row->min, row->max, unit);
    else if (row->max)
        buffer_printf(out, " of at most %" PRId64 " %s", row->max, unit);
    else if (row->min)
        buffer_printf(out, " of at least %" PRId64 " %s", row->min, unit);
}

static void describe_duration(const struct schema *row, struct buffer *out) {
    char least[32];
    char most[32];
    buffer_puts(out, "a duration such as 250ms, 5s or 2m");
    if (row->max)
        buffer_printf(out, ", from %s to %s",
                      text_format_duration(row->min, least, sizeof least),
                      text_format_duration(row->max, most, sizeof most));
    else if (row->min)
        buffer_printf(out, ", at least %s",
                      text_format_duration(row->min, least, sizeof least));
}

static void describe_choices(const struct schema *row, struct buffer *out) {
    buffer_puts(out, "one of ");
    for (const char *const *choice = row->choices; *choice; choice++)
        buffer_printf(out, "%s%s", choice == row->choices ? "" : ", ", *choice);
}

static const char *const type_names[] = {
    [SCHEMA_BOOL] = "true or false",
    [SCHEMA_NAME] = "a name of letters, digits, '-', '_' and '.', at most 127 of them",
    [SCHEMA_HOST] = "a host name or an IP address",
    [SCHEMA_ADDRESS] = "an address such as 127.0.0.1:8000, [::1]:80 or /run/x.sock",
    [SCHEMA_URI_PATH] = "a path that begins with '/', without spaces and quotes",
    [SCHEMA_PERCENT] = "a percentage such as 30%",
    [SCHEMA_STATUS] = "HTTP status codes such as 200, or \"200,204,300-399\"",
    [SCHEMA_OBJECT] = "an object",
    [SCHEMA_MAP_OF_TEXT] = "an object with strings",
    [SCHEMA_MAP_OF_OBJECTS] = "an object with objects",
    [SCHEMA_ANY] = "any value",
};

static void describe_expected(const struct schema *row, struct buffer *out) {
    switch (row->type) {
    case SCHEMA_INT:
        buffer_puts(out, "a whole number");
        describe_limits(row, "", out);
        return;
    case SCHEMA_TEXT:
        buffer_puts(out, "a string");
        describe_size(row, "bytes", out);
        return;
    case SCHEMA_PATH:
        buffer_puts(out, "a path");
        describe_size(row, "bytes", out);
        return;
    case SCHEMA_DURATION:
        describe_duration(row, out);
        return;
    case SCHEMA_CHOICE:
        describe_choices(row, out);
        return;
    case SCHEMA_LIST_OF_TEXT:
    case SCHEMA_LIST_OF_NAMES:
    case SCHEMA_LIST_OF_OBJECTS:
        buffer_printf(out, "a list of %s",
                      row->type == SCHEMA_LIST_OF_TEXT    ? "strings"
                      : row->type == SCHEMA_LIST_OF_NAMES ? "names"
                                                          : "objects");
        return;
    default:
        buffer_puts(out, type_names[row->type]);
        if (row->type == SCHEMA_PERCENT)
            describe_limits(row, "%", out);
        else if (row->type == SCHEMA_URI_PATH)
            describe_size(row, "bytes", out);
    }
}

static void describe_found(const json_t *value, struct buffer *out) {
    char text[FOUND_MAX];
    if (json_is_string(value)) {
        /* A NUL would end the text early; jansson only lets one in on request. */
        buffer_printf(out, "the string \"%s\"",
                      text_printable(json_string_value(value), text, sizeof text));
    } else if (json_is_number(value)) {
        buffer_puts(out, "the number ");
        json_write(value, 0, out);
    } else if (json_is_boolean(value)) {
        buffer_puts(out, json_is_true(value) ? "true" : "false");
    } else {
        buffer_puts(out, json_type_name(value));
    }
}

static bool wants_string(enum schema_type type) {
    switch (type) {
    case SCHEMA_TEXT:
    case SCHEMA_NAME:
    case SCHEMA_HOST:
    case SCHEMA_PATH:
    case SCHEMA_CHOICE:
        return true;
    default:
        return false;
    }
}

/* What would have been right, where a mistake is a common one. */
static void describe_hint(const struct subject *subject, struct buffer *out) {
    const json_t *value = subject->value;
    enum schema_type type = subject->row->type;
    if (wants_string(type) && (json_is_number(value) || json_is_boolean(value))) {
        buffer_puts(out, "; if it is meant, put it in quotes: \"");
        json_write(value, 0, out);
        buffer_puts(out, "\"");
    } else if (type == SCHEMA_DURATION && json_is_integer(value)) {
        buffer_printf(out, "; it needs a unit: %" JSON_INTEGER_FORMAT "s",
                      json_integer_value(value));
    } else if (type == SCHEMA_PERCENT && json_is_integer(value)) {
        buffer_printf(out, "; it needs its sign: %" JSON_INTEGER_FORMAT "%%",
                      json_integer_value(value));
    } else if (type == SCHEMA_CHOICE && json_is_string(value)) {
        const char *near = text_nearest(json_string_value(value), subject->row->choices);
        if (near)
            buffer_printf(out, "; did you mean \"%s\"?", near);
    }
}

static json_t *unexpected(const struct checker *checker, const struct subject *subject) {
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%s: expected ",
                  *subject->key ? subject->key : "the whole text");
    describe_expected(subject->row, &text);
    buffer_puts(&text, ", found ");
    describe_found(subject->value, &text);
    describe_hint(subject, &text);
    problems_add(checker->from->problems, subject->where, "%s", buffer_str(&text));
    buffer_free(&text);
    return NULL;
}

/* --- single values --- */

static bool is_clean(const json_t *value) {
    return text_is_clean(json_string_value(value), json_string_length(value));
}

static json_t *unclean(const struct checker *checker, const struct subject *subject) {
    char text[FOUND_MAX];
    problems_add(checker->from->problems, subject->where,
                 "%s: control characters and bytes that are not UTF-8 are not allowed, "
                 "found the string \"%s\"",
                 subject->key,
                 text_printable(json_string_value(subject->value), text, sizeof text));
    return NULL;
}

static bool is_port(const char *text, uint16_t *port) {
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 5 || text[digits])
        return false;
    unsigned long number = strtoul(text, NULL, 10);
    *port = (uint16_t)number;
    return number > 0 && number <= PORT_MAX;
}

bool schema_split_address(const char *address, char *host, size_t size, uint16_t *port) {
    const char *colon = strrchr(address, ':');
    if (!colon || !is_port(colon + 1, port))
        return false;
    size_t len = (size_t)(colon - address);
    bool bracketed = len >= 2 && address[0] == '[' && colon[-1] == ']';
    const char *start = bracketed ? address + 1 : address;
    len -= bracketed ? 2 : 0;
    if (len >= size)
        return false;
    memcpy(host, start, len);
    host[len] = '\0';
    if (bracketed)
        return text_is_ipv6(host);
    return !len || (text_is_host(host) && !strchr(host, ':'));
}

static bool is_address(const char *text) {
    char host[256];
    uint16_t port;
    if (!strncmp(text, "unix@", 5))
        return text[5] == '/';
    return text[0] == '/' || schema_split_address(text, host, sizeof host, &port);
}

static bool is_uri_path(const char *text) {
    return text[0] == '/' && !strpbrk(text, " \"'\\");
}

static bool take_code(const char **text) {
    const char *p = *text;
    if (p[0] < '1' || p[0] > '5' || strspn(p, "0123456789") != 3)
        return false;
    *text = p + 3;
    return true;
}

static bool is_status(const char *text) {
    for (;; text++) {
        const char *first = text;
        if (!take_code(&text))
            return false;
        if (*text == '-') {
            const char *last = ++text;
            if (!take_code(&text) || strncmp(first, last, 3) > 0)
                return false;
        }
        if (*text != ',')
            return !*text;
    }
}

static bool is_choice(const struct schema *row, const char *text) {
    for (const char *const *choice = row->choices; *choice; choice++)
        if (!strcmp(*choice, text))
            return true;
    return false;
}

static bool good_string(const struct schema *row, const char *text, size_t len) {
    int64_t number = 0;
    switch (row->type) {
    case SCHEMA_TEXT:
        return in_limits(row, (int64_t)len);
    case SCHEMA_PATH:
        return len > 0 && in_limits(row, (int64_t)len);
    case SCHEMA_NAME:
        return text_is_service_name(text);
    case SCHEMA_HOST:
        return text_is_host(text);
    case SCHEMA_ADDRESS:
        return is_address(text);
    case SCHEMA_URI_PATH:
        return is_uri_path(text) && in_limits(row, (int64_t)len);
    case SCHEMA_DURATION:
        return text_duration(text, &number) && in_limits(row, number);
    case SCHEMA_PERCENT:
        return text_percent(text, &number) && in_limits(row, number);
    case SCHEMA_STATUS:
        return len < 256 && is_status(text);
    case SCHEMA_CHOICE:
        return is_choice(row, text);
    default:
        return false;
    }
}

/* A status is a number to YAML and JSON, and a text where it is one of several. */
static json_t *status_from_number(const struct schema *row, const json_t *value) {
    char text[24];
    if (!json_is_integer(value) ||
        (row->type != SCHEMA_STATUS && row->type != SCHEMA_CHOICE))
        return NULL;
    (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return good_string(row, text, strlen(text)) ? json_string(text) : NULL;
}

static json_t *check_string(const struct checker *checker,
                            const struct subject *subject) {
    const json_t *value = subject->value;
    const struct schema *row = subject->row;
    json_t *status = status_from_number(row, value);
    if (status)
        return status;
    /* 0 needs no unit, and without quotes YAML makes it a number. */
    if (row->type == SCHEMA_DURATION && json_is_integer(value) &&
        !json_integer_value(value) && in_limits(row, 0))
        return json_string("0");
    if (!json_is_string(value))
        return unexpected(checker, subject);
    if (!is_clean(value))
        return unclean(checker, subject);
    if (!good_string(row, json_string_value(value), json_string_length(value)))
        return unexpected(checker, subject);
    return json_incref((json_t *)value);
}

static json_t *check_int(const struct checker *checker, const struct subject *subject) {
    if (!json_is_integer(subject->value) ||
        !in_limits(subject->row, json_integer_value(subject->value)))
        return unexpected(checker, subject);
    return json_incref((json_t *)subject->value);
}

/* --- lists and maps --- */

static json_t *check_size(const struct checker *checker, const struct subject *subject,
                          size_t count, const char *unit) {
    const struct schema *row = subject->row;
    if (in_limits(row, (int64_t)count))
        return NULL;
    struct buffer text = BUFFER_INIT;
    describe_size(row, unit, &text);
    problems_add(checker->from->problems, subject->where,
                 "%s: expected a list%s, found %zu", subject->key, buffer_str(&text),
                 count);
    buffer_free(&text);
    return (json_t *)subject->value;
}

static struct schema item_row(const struct schema *row) {
    struct schema item = {.name = row->name, .rows = row->rows, .type = SCHEMA_OBJECT};
    item.choices = row->choices;
    if (row->type == SCHEMA_LIST_OF_TEXT)
        item.type = row->choices ? SCHEMA_CHOICE : SCHEMA_TEXT;
    else if (row->type == SCHEMA_LIST_OF_NAMES)
        item.type = SCHEMA_NAME;
    return item;
}

static json_t *check_list(const struct checker *checker, const struct subject *subject) {
    if (!json_is_array(subject->value))
        return unexpected(checker, subject);
    if (check_size(checker, subject, json_array_size(subject->value), "items"))
        return NULL;
    struct schema row = item_row(subject->row);
    json_t *list = json_array();
    bool good = true;
    size_t i;
    json_t *item;
    json_array_foreach(subject->value, i, item) {
        char where[PLACE_MAX];
        char key[KEY_MAX];
        struct subject one = {&row, item, item_name(subject->key, i, key),
                              place(checker->from, subject->value, NULL, i, where)};
        json_t *value = check(checker, &one);
        good = good && value;
        if (value)
            (void)json_array_append_new(list, value);
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *scalar_to_text(const json_t *value) {
    struct buffer text = BUFFER_INIT;
    json_write(value, 0, &text);
    json_t *string = json_string(buffer_str(&text));
    buffer_free(&text);
    return string;
}

/* One entry of a map; its key comes from outside too. */
static json_t *check_entry(const struct checker *checker, const struct subject *entry,
                           const char *name) {
    bool names = entry->row->type == SCHEMA_MAP_OF_OBJECTS;
    if (names ? !text_is_service_name(name) : !text_is_clean(name, strlen(name))) {
        problems_add(checker->from->problems, entry->where,
                     "%s: expected a key that is %s", entry->key,
                     names ? type_names[SCHEMA_NAME] : "free of control characters");
        return NULL;
    }
    if (!names && (json_is_number(entry->value) || json_is_boolean(entry->value)))
        return scalar_to_text(entry->value);
    struct schema row = {.name = entry->row->name,
                         .type = names ? SCHEMA_OBJECT : SCHEMA_TEXT,
                         .rows = entry->row->rows};
    struct subject one = {&row, entry->value, entry->key, entry->where};
    return check(checker, &one);
}

static json_t *check_map(const struct checker *checker, const struct subject *subject) {
    if (!json_is_object(subject->value))
        return unexpected(checker, subject);
    if (check_size(checker, subject, json_object_size(subject->value), "keys"))
        return NULL;
    json_t *map = json_object();
    bool good = true;
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)subject->value, name, member) {
        char where[PLACE_MAX];
        char key[KEY_MAX];
        struct subject entry = {subject->row, member,
                                member_name(subject->key, name, key),
                                place(checker->from, subject->value, name, 0, where)};
        if (json_is_null(member))
            continue;
        json_t *value = check_entry(checker, &entry, name);
        good = good && value;
        if (value)
            (void)json_object_set_new(map, name, value);
    }
    if (good)
        return map;
    json_decref(map);
    return NULL;
}

static bool any_is_clean(const struct checker *checker, const struct subject *subject) {
    const json_t *value = subject->value;
    char where[PLACE_MAX];
    char key[KEY_MAX];
    bool good = true;
    if (json_is_string(value)) {
        good = is_clean(value);
        if (!good)
            (void)unclean(checker, subject);
    } else if (json_is_array(value)) {
        size_t i;
        json_t *item;
        json_array_foreach(value, i, item) {
            struct subject one = {subject->row, item, item_name(subject->key, i, key),
                                  place(checker->from, value, NULL, i, where)};
            good = any_is_clean(checker, &one) && good;
        }
    } else if (json_is_object(value)) {
        const char *name;
        json_t *member;
        json_object_foreach((json_t *)value, name, member) {
            struct subject one = {subject->row, member,
                                  member_name(subject->key, name, key),
                                  place(checker->from, value, name, 0, where)};
            if (!text_is_clean(name, strlen(name))) {
                problems_add(checker->from->problems, one.where,
                             "%s: expected a key that is free of control characters",
                             one.key);
                good = false;
            }
            good = any_is_clean(checker, &one) && good;
        }
    }
    return good;
}

static json_t *check_any(const struct checker *checker, const struct subject *subject) {
    return any_is_clean(checker, subject) ? json_incref((json_t *)subject->value) : NULL;
}

static json_t *check(const struct checker *checker, const struct subject *subject) {
    switch (subject->row->type) {
    case SCHEMA_BOOL:
        return json_is_boolean(subject->value) ? json_incref((json_t *)subject->value)
                                               : unexpected(checker, subject);
    case SCHEMA_INT:
        return check_int(checker, subject);
    case SCHEMA_LIST_OF_TEXT:
    case SCHEMA_LIST_OF_NAMES:
    case SCHEMA_LIST_OF_OBJECTS:
        return check_list(checker, subject);
    case SCHEMA_MAP_OF_TEXT:
    case SCHEMA_MAP_OF_OBJECTS:
        return check_map(checker, subject);
    case SCHEMA_OBJECT:
        if (!json_is_object(subject->value))
            return unexpected(checker, subject);
        if (!subject->row->rows)
            return check_any(checker, subject);
        return check_object(checker, subject->row->rows, subject->value, subject->key,
                            NULL);
    case SCHEMA_ANY:
        return check_any(checker, subject);
    default:
        return check_string(checker, subject);
    }
}

/* --- objects --- */

static const struct schema *find_row(const struct schema *table, const char *name,
                                     size_t len) {
    for (; table->name; table++)
        if (strlen(table->name) == len && !memcmp(table->name, name, len))
            return table;
    return NULL;
}

static const char *nearest_row(const struct schema *table, const char *name) {
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX + 1] = {NULL};
    for (size_t i = 0; table[i].name && i < NAMES_MAX; i++)
        names[i] = table[i].name;
    return text_nearest(name, names);
}

static void unknown_key(const struct checker *checker, const struct schema *rows,
                        const char *prefix, const char *name, const char *where) {
    char key[KEY_MAX];
    char other[KEY_MAX];
    struct buffer known = BUFFER_INIT;
    const char *near = nearest_row(rows, name);
    if (near)
        buffer_printf(&known, "; did you mean '%s'?", member_name(prefix, near, other));
    else
        for (const struct schema *row = rows; row->name; row++)
            buffer_printf(&known, "%s%s", row == rows ? "; known here: " : ", ",
                          row->name);
    problems_add(checker->from->problems, where, "unknown key '%s'%s",
                 member_name(prefix, name, key), buffer_str(&known));
    buffer_free(&known);
}

/* A new value of what a table says by default. */
static json_t *parse_fallback(const struct schema *row, const char *key,
                              struct error *error) {
    if (row->type == SCHEMA_BOOL)
        return json_boolean(!strcmp(row->fallback, "true"));
    if (row->type == SCHEMA_INT)
        return json_integer(strtoll(row->fallback, NULL, 10));
    return json_parse(row->fallback, strlen(row->fallback), key, error);
}

static void check_unknown(const struct checker *checker, const struct schema *rows,
                          const json_t *input, const char *prefix, json_t *unknown) {
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)input, name, member) {
        char place_room[PLACE_MAX];
        char key_room[KEY_MAX];
        if (find_row(rows, name, strlen(name)))
            continue;
        const char *where = place(checker->from, input, name, 0, place_room);
        const char *key = member_name(prefix, name, key_room);
        if (!unknown) {
            unknown_key(checker, rows, prefix, name, where);
            continue;
        }
        static const struct schema any = {.type = SCHEMA_ANY};
        struct subject one = {&any, member, key, where};
        if (!text_is_clean(name, strlen(name)))
            problems_add(checker->from->problems, where,
                         "%s: expected a key that is free of control characters", key);
        else if (any_is_clean(checker, &one))
            (void)json_object_set(unknown, name, member);
    }
}

/* The default goes through the same check, so that it gets the defaults within it. */
static json_t *default_value(const struct checker *checker, const struct schema *row,
                             const char *key, const char *where) {
    if (!checker->defaults || !row->fallback)
        return NULL;
    struct error error;
    json_t *raw = parse_fallback(row, key, &error);
    if (!raw) {
        problems_add_error(checker->from->problems, &error);
        return NULL;
    }
    struct subject one = {row, raw, key, where};
    json_t *value = check(checker, &one);
    json_decref(raw);
    return value;
}

static void check_member(const struct checker *checker, const struct schema *row,
                         const json_t *input, const char *prefix, json_t *out) {
    char place_room[PLACE_MAX];
    char key_room[KEY_MAX];
    const json_t *given = json_object_get(input, row->name);
    const char *where = place(checker->from, input, row->name, 0, place_room);
    const char *key = member_name(prefix, row->name, key_room);
    struct subject one = {row, given, key, where};
    json_t *value = NULL;
    if (given && !json_is_null(given))
        value = check(checker, &one);
    else if (row->required)
        problems_add(checker->from->problems, where, "%s: missing", key);
    if (!value)
        value = default_value(checker, row, key, where);
    if (value)
        (void)json_object_set_new(out, row->name, value);
}

static json_t *check_object(const struct checker *checker, const struct schema *rows,
                            const json_t *input, const char *prefix, json_t *unknown) {
    json_t *out = json_object();
    for (const struct schema *row = rows; row->name; row++)
        check_member(checker, row, input, prefix, out);
    check_unknown(checker, rows, input, prefix, unknown);
    return out;
}

json_t *schema_apply(const struct schema *table, const json_t *input, bool defaults,
                     const struct schema_input *from) {
    char room[PLACE_MAX];
    static const struct schema whole = {.type = SCHEMA_OBJECT};
    struct checker checker = {from, defaults};
    /* Only objects and lists have places of their own. */
    struct schema_input caller = {.where = from->where};
    bool has_place = !from->where || json_is_object(input) || json_is_array(input);
    const char *where = place(has_place ? from : &caller, input, NULL, SIZE_MAX, room);
    struct subject subject = {&whole, input, "", where};
    if (!json_is_object(input))
        return unexpected(&checker, &subject);
    return check_object(&checker, table, input, "", from->unknown);
}

json_t *schema_value(const struct schema *row, const json_t *value, const char *key,
                     const char *where, bool defaults, const struct schema_input *from) {
    struct checker checker = {from, defaults};
    struct subject subject = {row, value, key, where};
    return check(&checker, &subject);
}

const struct schema *schema_find(const struct schema *table, const char *name) {
    const struct schema *row = NULL;
    while (table) {
        size_t len = strcspn(name, ".");
        row = find_row(table, name, len);
        if (!row || !name[len])
            return row;
        table = row->rows;
        name += len + 1;
    }
    return NULL;
}
