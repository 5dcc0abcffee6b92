/* What services and hosts may say of themselves. */
#include "catalog/fields.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct schema host_schema[] = {
    {"host", SCHEMA_HOST, .required = true, .text = "name or address of the host"},
    {"port", SCHEMA_INT, .required = true, .min = 1, .max = 65535,
     .text = "port it serves on"},
    {"enabled", SCHEMA_BOOL, "true", .text = "false: gets no requests"},
    {"drain", SCHEMA_BOOL, "false", .text = "true: finishes what it has, gets no more"},
    {"weight", SCHEMA_INT, "1", .min = 0, .max = 256, .text = "share of the requests"},
    {"backup", SCHEMA_BOOL, "false", .text = "true: used when no other host is up"},
    {"zone", SCHEMA_TEXT, .min = 1, .max = 64, .text = "failure domain it stands in"},
    {"maxconn", SCHEMA_INT, "0", .min = 0, .max = 1000000,
     .text = "connections at once; 0: no limit"},
    {"labels", SCHEMA_MAP_OF_TEXT, .text = "free names and values"},
    {0},
};

static const char *const modes[] = {"http", "tcp", NULL};
static const char *const check_types[] = {"http",  "tcp",   "none", "redis",
                                          "pgsql", "mysql", "smtp", NULL};
static const char *const check_methods[] = {"GET", "HEAD", "OPTIONS", NULL};
static const char *const balances[] = {"roundrobin", "static-rr", "leastconn", "first",
                                       "source",     "uri",       "random",    NULL};
static const char *const zone_choices[] = {"prefer", "weigh", "strict", "any", NULL};
static const char *const all_down[] = {"fail", "panic", NULL};
static const char *const verify[] = {"required", "none", NULL};
static const char *const protocols[] = {"h1", "h2", NULL};
static const char *const proxy_versions[] = {"v1", "v2", NULL};
static const char *const retry_causes[] = {"conn-failure",
                                           "empty-response",
                                           "response-timeout",
                                           "junk-response",
                                           "500",
                                           "502",
                                           "503",
                                           "504",
                                           NULL};

enum { MINUTE = 60000, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

static const struct schema check_schema[] = {
    {"type", SCHEMA_CHOICE, .choices = check_types,
     .text = "how a host is checked; default: http with a path, else tcp"},
    {"path", SCHEMA_URI_PATH, .min = 1, .max = 1024, .text = "http: what is asked for"},
    {"method", SCHEMA_CHOICE, "\"GET\"", .choices = check_methods,
     .text = "http: how it is asked for"},
    {"host", SCHEMA_HOST, .text = "http: Host header, without one HTTP/1.0 is spoken"},
    {"status", SCHEMA_STATUS, .text = "http: answers that are good; default: 200-399"},
    {"user", SCHEMA_NAME, "\"haproxy\"", .text = "pgsql, mysql: who logs in"},
    {"port", SCHEMA_INT, .min = 1, .max = 65535,
     .text = "port that is checked; default: the host's own"},
    {"interval", SCHEMA_DURATION, "\"2s\"", .min = 10, .max = HOUR,
     .text = "time between checks"},
    {"rise", SCHEMA_INT, "2", .min = 1, .max = 100, .text = "good checks until it is up"},
    {"fall", SCHEMA_INT, "3", .min = 1, .max = 100,
     .text = "failed checks until it is down"},
    {0},
};

static const struct schema agent_schema[] = {
    {"port", SCHEMA_INT, .min = 1, .max = 65535,
     .text = "where each host's agent answers; not said: there is none"},
    {"interval", SCHEMA_DURATION, "\"2s\"", .min = 10, .max = HOUR,
     .text = "time between questions"},
    {0},
};

static const struct schema timeouts_schema[] = {
    {"connect", SCHEMA_DURATION, .min = 1, .max = DAY, .text = "to connect to a host"},
    {"server", SCHEMA_DURATION, .min = 1, .max = DAY, .text = "for a host to answer"},
    {"queue", SCHEMA_DURATION, .min = 1, .max = DAY, .text = "to wait for a free host"},
    {"client", SCHEMA_DURATION, .min = 1, .max = DAY,
     .text = "for a client of a tcp service to go on"},
    {"tunnel", SCHEMA_DURATION, .min = 1, .max = DAY,
     .text = "for websockets and other tunnels without traffic"},
    {0},
};

static const struct schema sticky_schema[] = {
    {"cookie", SCHEMA_NAME, .text = "http: cookie that HAProxy gives to clients"},
    {"header", SCHEMA_NAME, .text = "http: request header that decides, by its hash"},
    {0},
};

static const struct schema limit_schema[] = {
    {"rate", SCHEMA_INT, .min = 1, .max = 1000000000,
     .text = "http: requests of one caller in `period`, more get a 429"},
    {"period", SCHEMA_DURATION, "\"1s\"", .min = 1000, .max = DAY,
     .text = "time that `rate` is counted in"},
    {"requests", SCHEMA_INT, .min = 1, .max = 1000000,
     .text = "http: requests at once, more get a 503"},
    {"queue", SCHEMA_INT, .min = 1, .max = 1000000,
     .text = "http: requests that wait for a host, more get a 503"},
    {0},
};

static const struct schema tls_schema[] = {
    {"enabled", SCHEMA_BOOL,
     .text = "whether hosts are spoken to by TLS; default: with any of the other keys"},
    {"verify", SCHEMA_CHOICE, .choices = verify,
     .text = "whether a host's certificate must be good; default: required"},
    {"name", SCHEMA_HOST,
     .text = "name that the certificate must have, sent as SNI; default: the service's"},
    {"ca", SCHEMA_NAME,
     .text = "who must have signed it: a name in haproxy.ca_files; default: haproxy.ca"},
    {0},
};

static const struct schema cache_schema[] = {
    {"max_age", SCHEMA_DURATION, .min = 1000, .max = HOUR,
     .text = "http: answers are kept, those that don't say how long for this long"},
    {0},
};

const struct schema service_schema[] = {
    {"mode", SCHEMA_CHOICE, "\"http\"", .choices = modes, .text = "http or tcp"},
    {"port", SCHEMA_INT, .min = 1, .max = 65535,
     .text = "tcp: the local port it is reached on"},
    {"balance", SCHEMA_CHOICE, "\"roundrobin\"", .choices = balances,
     .text = "how hosts are chosen (HAProxy: balance); uri: http"},
    {"check", SCHEMA_OBJECT, "{}", .rows = check_schema, .text = "health checks"},
    {"agent", SCHEMA_OBJECT, "{}", .rows = agent_schema,
     .text = "agents on the hosts that tell their load or state (HAProxy: agent-check)"},
    {"eject_after", SCHEMA_INT, .min = 1, .max = 100000,
     .text = "errors in a row after which a host is down, in real traffic"},
    {"slow_start", SCHEMA_DURATION, .min = 1000, .max = HOUR,
     .text = "time in which a host that came up gets its full share"},
    {"timeouts", SCHEMA_OBJECT, "{}", .rows = timeouts_schema, .text = "time-outs"},
    {"maxconn", SCHEMA_INT, .min = 1, .max = 1000000,
     .text = "default for its hosts: connections at once"},
    {"limit", SCHEMA_OBJECT, "{}", .rows = limit_schema,
     .text = "protection from too many requests"},
    {"retries", SCHEMA_INT, .min = 0, .max = 10, .text = "tries after the first"},
    {"retry_on", SCHEMA_LIST_OF_TEXT, .max = 8, .choices = retry_causes,
     .text = "http: what is tried again (HAProxy: retry-on)"},
    {"idempotent", SCHEMA_BOOL, "false",
     .text = "http: true if POST and PATCH may be sent twice too"},
    {"zones", SCHEMA_CHOICE, "\"prefer\"", .choices = zone_choices,
     .text = "hosts of zones other than node.zone: a reserve, few requests, none, alike"},
    {"on_all_down", SCHEMA_CHOICE, "\"fail\"", .choices = all_down,
     .text = "panic: if no host is up, all are tried"},
    {"sticky", SCHEMA_OBJECT, "{}", .rows = sticky_schema,
     .text = "one client, one host"},
    {"tls", SCHEMA_OBJECT, "{}", .rows = tls_schema, .text = "TLS to the hosts"},
    {"protocol", SCHEMA_CHOICE, "\"h1\"", .choices = protocols,
     .text = "http: version spoken with the hosts, HTTP/1.1 or HTTP/2"},
    {"proxy_protocol", SCHEMA_CHOICE, .choices = proxy_versions,
     .text = "version of the PROXY protocol that the hosts expect"},
    {"cache", SCHEMA_OBJECT, "{}", .rows = cache_schema, .text = "cache of answers"},
    {"labels", SCHEMA_MAP_OF_TEXT, .text = "free names and values"},
    {"aliases", SCHEMA_LIST_OF_NAMES, .max = 64, .text = "more names it is reached by"},
    {0},
};

static bool flag(const json_t *fields, const char *name) {
    return json_is_true(json_object_get(fields, name));
}

static int number(const json_t *fields, const char *name) {
    return (int)json_integer_value(json_object_get(fields, name));
}

static const char *text(const json_t *fields, const char *name) {
    return json_string_value(json_object_get(fields, name));
}

static struct host *from_fields(const char *id, json_t *fields, json_t *extra) {
    char own_id[300];
    struct host values = {
        .host = text(fields, "host"),
        .zone = text(fields, "zone"),
        .port = (uint16_t)number(fields, "port"),
        .weight = number(fields, "weight"),
        .maxconn = number(fields, "maxconn"),
        .enabled = flag(fields, "enabled"),
        .drain = flag(fields, "drain"),
        .backup = flag(fields, "backup"),
        .extra = json_object_size(extra) ? extra : NULL,
    };
    (void)snprintf(own_id, sizeof own_id, "%s:%u", values.host, values.port);
    values.id = id ? id : own_id;
    json_t *labels = json_object_get(fields, "labels");
    struct pair *pairs = mem_zalloc(json_object_size(labels) * sizeof *pairs);
    values.labels = pairs;
    const char *name;
    json_t *value;
    json_object_foreach(labels, name, value) pairs[values.label_count++] =
        (struct pair){name, json_string_value(value)};
    struct host *host = host_new(&values);
    free(pairs);
    return host;
}

struct host *host_decode(const char *id, const json_t *fields,
                         const struct schema_input *from) {
    size_t faults = from->problems->count;
    struct schema_input mine = *from;
    mine.unknown = json_object();
    json_t *good = schema_apply(host_schema, fields, true, &mine);
    struct host *host = NULL;
    if (good && from->problems->count == faults)
        host = from_fields(id, good, mine.unknown);
    json_decref(good);
    json_decref(mine.unknown);
    return host;
}

json_t *service_fields_decode(const json_t *fields, const struct schema_input *from) {
    struct schema_input mine = *from;
    size_t faults = from->problems->count;
    mine.unknown = json_object();
    json_t *good = schema_apply(service_schema, fields, false, &mine);
    problems_note(from->problems, faults, "; its default is used");
    if (good)
        (void)json_object_update_missing(good, mine.unknown);
    json_decref(mine.unknown);
    return good ? good : json_object();
}

json_t *host_encode(const struct host *host) {
    json_t *fields = json_pack("{s:s, s:i}", "host", host->host, "port", (int)host->port);
    if (!host->enabled)
        json_object_set_new(fields, "enabled", json_false());
    if (host->drain)
        json_object_set_new(fields, "drain", json_true());
    if (host->weight != 1)
        json_object_set_new(fields, "weight", json_integer(host->weight));
    if (host->backup)
        json_object_set_new(fields, "backup", json_true());
    if (host->zone)
        json_object_set_new(fields, "zone", json_string(host->zone));
    if (host->maxconn)
        json_object_set_new(fields, "maxconn", json_integer(host->maxconn));
    json_t *labels = json_object();
    for (size_t i = 0; i < host->label_count; i++)
        json_object_set_new(labels, host->labels[i].name,
                            json_string(host->labels[i].value));
    if (host->label_count)
        json_object_set(fields, "labels", labels);
    json_decref(labels);
    if (host->extra)
        (void)json_object_update_missing(fields, host->extra);
    return fields;
}
