/* Members of server sets (Finagle, Aurora): one JSON object a host, which has an endpoint
 * for the service and may have more of them. */
#include "base/buffer.h"
#include "base/json.h"
#include "base/text.h"
#include "record/foreign.h"
#include "record/formats.h"

#include <string.h>

static const char *const known[] = {"serviceEndpoint", "additionalEndpoints", "metadata",
                                    NULL};

static void name_endpoints(struct foreign *foreign, const char *wanted,
                           const json_t *endpoints) {
    struct buffer names = BUFFER_INIT;
    char shown[64];
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)endpoints, name, value) {
        if (names.len < 256)
            buffer_printf(&names, "%s%s", names.len ? ", " : "",
                          text_printable(name, shown, sizeof shown));
    }
    foreign_fault(foreign, "additionalEndpoints has no '%s' (it has: %s)", wanted,
                  names.len ? buffer_str(&names) : "none");
    buffer_free(&names);
}

static const json_t *find_endpoint(struct foreign *foreign, const json_t *record,
                                   const char *wanted) {
    const json_t *more = json_object_get(record, "additionalEndpoints");
    const json_t *endpoint = wanted ? json_object_get(more, wanted)
                                    : json_object_get(record, "serviceEndpoint");
    if (!endpoint && wanted)
        name_endpoints(foreign, wanted, more);
    else if (!json_is_object(endpoint))
        foreign_fault(foreign, "%s: expected an object with host and port, found %s",
                      wanted ? wanted : "serviceEndpoint",
                      endpoint ? json_type_name(endpoint) : "none");
    return endpoint;
}

/* STARTING, STOPPING, DEAD, … and what is not said at all: not to be used. */
static bool is_alive(const json_t *status) {
    return json_is_string(status) && !strcmp(json_string_value(status), "ALIVE");
}

static struct host *decode_host(const char *id, const char *data, size_t len,
                                const char *where, const struct record_options *options,
                                struct problems *problems) {
    if (!record_check_id(id, where, problems))
        return NULL;
    json_t *record = record_parse(data, len, where, problems);
    if (!record)
        return NULL;
    struct foreign foreign;
    foreign_init(&foreign, where, problems);
    const json_t *endpoint = find_endpoint(&foreign, record, options->endpoint);
    foreign_set(&foreign, "host", json_object_get(endpoint, "host"));
    foreign_set(&foreign, "port", json_object_get(endpoint, "port"));
    if (!is_alive(json_object_get(record, "status")))
        foreign_set(&foreign, "enabled", json_false());
    foreign_labels(&foreign, json_object_get(record, "metadata"), NULL);
    foreign_labels(&foreign, record, known);
    struct host *host = foreign_host(&foreign, id, NULL);
    json_decref(record);
    return host;
}

const struct record_format record_serverset = {
    .name = "serverset",
    .path = "/discovery/{service}",
    .prefix = "member_",
    .host = decode_host,
};
