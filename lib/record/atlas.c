/* The Atlas's own records: JSON objects whose members are the fields of hosts and
 * services. */
#include "base/json.h"
#include "base/text.h"
#include "catalog/fields.h"
#include "record/formats.h"

#include <string.h>

/* Returns the object in the data, or NULL with the fault added. */
static json_t *parse_object(const char *data, size_t len, const char *where,
                            struct problems *problems) {
    struct error error;
    json_t *value = json_parse(data, len, where, &error);
    if (!value) {
        problems_add_error(problems, &error);
    } else if (!json_is_object(value)) {
        problems_add(problems, where, "expected a JSON object, found %s",
                     json_type_name(value));
        json_decref(value);
        value = NULL;
    }
    return value;
}

static struct host *decode_host(const char *id, const char *data, size_t len,
                                const char *where, struct problems *problems) {
    if (!*id || !text_is_clean(id, strlen(id))) {
        problems_add(problems, where, "the host's id is not one line of UTF-8 text");
        return NULL;
    }
    json_t *fields = parse_object(data, len, where, problems);
    if (!fields)
        return NULL;
    struct schema_input from = {.where = where, .problems = problems};
    struct host *host = host_decode(id, fields, &from);
    json_decref(fields);
    return host;
}

static json_t *decode_service(const char *data, size_t len, const char *where,
                              struct problems *problems) {
    if (!len)
        return json_object();
    json_t *fields = parse_object(data, len, where, problems);
    if (!fields)
        return NULL;
    struct schema_input from = {.where = where, .problems = problems};
    json_t *good = service_fields_decode(fields, &from);
    json_decref(fields);
    return good;
}

static json_t *decode_vars(const char *data, size_t len, const char *where,
                           struct problems *problems) {
    return len ? parse_object(data, len, where, problems) : json_object();
}

const struct record_format record_atlas = {
    .name = "atlas",
    .host = decode_host,
    .service = decode_service,
    .vars = decode_vars,
};
