/* A host put together from the record of another registry: fields that the Atlas knows
 * are checked as the Atlas's own, scalars that it does not know become labels. */
#include "record/foreign.h"
#include "base/json.h"
#include "base/text.h"
#include "catalog/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 1024, ZONE_MAX = 64, DIGITS_MAX = 9 };

void foreign_init(struct foreign *foreign, const char *where, struct problems *problems) {
    *foreign = (struct foreign){.fields = json_object(),
                                .labels = json_object(),
                                .where = where,
                                .problems = problems};
}

void foreign_fault(struct foreign *foreign, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problems_add(foreign->problems, foreign->where, "%s", text);
    foreign->bad = true;
}

void foreign_set(struct foreign *foreign, const char *field, const json_t *value) {
    if (value)
        (void)json_object_set(foreign->fields, field, (json_t *)value);
}

void foreign_set_number(struct foreign *foreign, const char *field, const json_t *value) {
    const char *text = json_string_value(value);
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (digits && digits <= DIGITS_MAX && !text[digits])
        (void)json_object_set_new(foreign->fields, field,
                                  json_integer(strtol(text, NULL, 10)));
    else
        foreign_set(foreign, field, value);
}

static void add_label(struct foreign *foreign, const char *name, const char *text) {
    char shown[64];
    if (json_object_get(foreign->labels, name))
        return;
    if (text_is_clean(name, strlen(name)) && text_is_clean(text, strlen(text)) &&
        strlen(name) <= LABEL_MAX && strlen(text) <= LABEL_MAX)
        (void)json_object_set_new(foreign->labels, name, json_string(text));
    else
        problems_add(foreign->problems, foreign->where,
                     "the label '%s' is not one line of at most %d bytes; it is left out",
                     text_printable(name, shown, sizeof shown), LABEL_MAX);
}

void foreign_label(struct foreign *foreign, const char *name, const json_t *value) {
    struct buffer text = BUFFER_INIT;
    if (json_is_string(value)) {
        add_label(foreign, name, json_string_value(value));
    } else if (json_is_number(value) || json_is_boolean(value)) {
        json_write(value, 0, &text);
        add_label(foreign, name, buffer_str(&text));
    }
    buffer_free(&text);
}

static bool is_listed(const char *const *list, const char *name) {
    for (; list && *list; list++)
        if (!strcmp(*list, name))
            return true;
    return false;
}

void foreign_labels(struct foreign *foreign, const json_t *members,
                    const char *const *known) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)members, name, value) {
        if (!is_listed(known, name))
            foreign_label(foreign, name, value);
    }
}

/* None of these registries has a field for it; these labels are what people use. */
static void find_zone(struct foreign *foreign) {
    static const char *const names[] = {"zone", "availability_zone", "az"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *zone = json_object_get(foreign->labels, names[i]);
        size_t len = json_string_length(zone);
        if (len && len <= ZONE_MAX) {
            foreign_set(foreign, "zone", zone);
            return;
        }
    }
}

static struct host *with_options(struct host *host, const char *options) {
    struct host values = *host;
    values.options = options;
    struct host *copy = host_new(&values);
    host_unref(host);
    return copy;
}

struct host *foreign_host(struct foreign *foreign, const char *id, const char *options) {
    struct host *host = NULL;
    struct problems problems = {0};
    struct schema_input from = {.where = foreign->where, .problems = &problems};
    find_zone(foreign);
    (void)json_object_set(foreign->fields, "labels", foreign->labels);
    if (!foreign->bad)
        host = host_decode(id, foreign->fields, &from);
    if (host && options)
        host = with_options(host, options);
    problems_append(foreign->problems, &problems);
    problems_free(&problems);
    json_decref(foreign->fields);
    json_decref(foreign->labels);
    return host;
}
