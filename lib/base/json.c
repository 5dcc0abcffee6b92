/* JSON text, by jansson. */
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

json_t *json_parse(const char *text, size_t len, const char *where, struct error *error) {
    json_error_t fault;
    json_t *value =
        json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (!value)
        (void)error_set(error, where, "not valid JSON: line %d, column %d: %s",
                        fault.line, fault.column, fault.text);
    return value;
}

static int append(const char *bytes, size_t len, void *out) {
    buffer_append(out, bytes, len);
    return 0;
}

/* 15 digits are what people write, and 17 tell any two numbers apart. */
enum { NICE = 15, EXACT = 17 };

static bool is_nice(double real) {
    char text[32];
    (void)snprintf(text, sizeof text, "%.*g", NICE, real);
    double again = strtod(text, NULL);
    return again >= real && again <= real;
}

/* How many digits its numbers need to be read back as they are. */
static size_t digits(const json_t *value) {
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_real(value))
        return is_nice(json_real_value(value)) ? NICE : EXACT;
    json_object_foreach((json_t *)value, key, member) {
        if (digits(member) == EXACT)
            return EXACT;
    }
    json_array_foreach(value, i, member) {
        if (digits(member) == EXACT)
            return EXACT;
    }
    return NICE;
}

void json_write(const json_t *value, size_t indent, struct buffer *out) {
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits(value));
    flags |= indent ? JSON_INDENT(indent) : JSON_COMPACT;
    (void)json_dump_callback(value, append, out, flags);
}

const char *json_type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}
