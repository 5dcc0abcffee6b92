/* Instances of Curator's service discovery, and of Spring Cloud ZooKeeper on top of it:
 * one JSON object a host, with a payload of the application's own. */
#include "base/text.h"
#include "record/foreign.h"
#include "record/formats.h"

#include <string.h>

/* Fields that say nothing that the catalog does not know already, or whose change means
 * nothing for it. */
static const char *const known[] = {"name",        "id",      "address",
                                    "port",        "sslPort", "payload",
                                    "enabled",     "uriSpec", "registrationTimeUTC",
                                    "serviceType", NULL};
static const char *const payload_known[] = {"@class", "id", "name", "metadata", NULL};

static void set_port(struct foreign *foreign, const json_t *record, bool ssl) {
    const char *name = ssl ? "sslPort" : "port";
    const char *other_name = ssl ? "port" : "sslPort";
    const json_t *port = json_object_get(record, name);
    const json_t *other = json_object_get(record, other_name);
    if (port && !json_is_null(port))
        foreign_set(foreign, "port", port);
    else if (json_is_integer(other))
        foreign_fault(foreign,
                      "%s is not set, only %s is: this source needs ssl: %s for it", name,
                      other_name, ssl ? "false" : "true");
    else
        foreign_fault(foreign, "neither port nor sslPort is set");
}

/* Spring's word for it; nothing said means up. */
static bool is_up(const json_t *status) {
    const char *text = json_string_value(status);
    return !text || !*text || !strcasecmp(text, "UP");
}

/* The payload is anything; only what can be a label is of use here. */
static void add_payload(struct foreign *foreign, const json_t *payload) {
    const json_t *metadata = json_object_get(payload, "metadata");
    const char *text = json_string_value(payload);
    if (!is_up(json_object_get(metadata, "instance_status")))
        foreign_set(foreign, "enabled", json_false());
    foreign_labels(foreign, metadata, NULL);
    foreign_labels(foreign, payload, payload_known);
    if (!text || (text_is_clean(text, strlen(text)) && strlen(text) <= 256))
        foreign_label(foreign, "payload", payload);
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
    const json_t *address = json_object_get(record, "address");
    if (json_is_string(address))
        foreign_set(&foreign, "host", address);
    else
        foreign_fault(&foreign, "address: expected a host name or an IP address");
    set_port(&foreign, record, options->ssl);
    foreign_set(&foreign, "enabled", json_object_get(record, "enabled"));
    add_payload(&foreign, json_object_get(record, "payload"));
    foreign_labels(&foreign, record, known);
    struct host *host = foreign_host(&foreign, id, NULL);
    json_decref(record);
    return host;
}

const struct record_format record_curator = {
    .name = "curator",
    .path = "/services/{service}",
    .prefix = "",
    .host = decode_host,
};
