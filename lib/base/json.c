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
static size_t digits_of_real(double real) {
    enum { NICE = 15, EXACT = 17 };
    char text[32];
    (void)snprintf(text, sizeof text, "%.*g", NICE, real);
    double again = strtod(text, NULL);
    return again < real || again > real ? EXACT : NICE;
}

size_t json_digits(const json_t *value) {
    size_t digits = digits_of_real(json_real_value(value));
    const char *key;
    json_t *member;
    size_t i;
    json_object_foreach((json_t *)value, key, member) {
        size_t more = json_digits(member);
        digits = more > digits ? more : digits;
    }
    json_array_foreach(value, i, member) {
        size_t more = json_digits(member);
        digits = more > digits ? more : digits;
    }
    return digits;
}

void json_write(const json_t *value, size_t indent, struct buffer *out) {
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(json_digits(value));
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
