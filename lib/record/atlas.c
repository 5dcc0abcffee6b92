/* The Atlas's own records: JSON objects whose members are the fields of hosts and
 * services. */
#include "catalog/fields.h"
#include "record/formats.h"

static struct host *decode_host(const char *id, const char *data, size_t len,
                                const char *where, const struct record_options *options,
                                struct problems *problems) {
    (void)options;
    json_t *fields = record_check_id(id, where, problems)
                         ? record_parse(data, len, where, problems)
                         : NULL;
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
    json_t *fields = record_parse(data, len, where, problems);
    if (!fields)
        return NULL;
    struct schema_input from = {.where = where, .problems = problems};
    json_t *good = service_fields_decode(fields, &from);
    json_decref(fields);
    return good;
}

static json_t *decode_vars(const char *data, size_t len, const char *where,
                           struct problems *problems) {
    return len ? record_parse(data, len, where, problems) : json_object();
}

const struct record_format record_atlas = {
    .name = "atlas",
    .prefix = "",
    .host = decode_host,
    .service = decode_service,
    .vars = decode_vars,
};
