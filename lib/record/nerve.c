/* Records of Nerve (SmartStack): one JSON object a host, written by the reporter beside
 * it. Numbers come as its configuration has them, in quotes or not. */
#include "base/text.h"
#include "record/foreign.h"
#include "record/formats.h"

#include <string.h>

enum { OPTIONS_MAX = 1024, WORDS_MAX = 40 };

/* `name` is the instance's id: it stays as a label. */
static const char *const known[] = {"host",
                                    "port",
                                    "weight",
                                    "labels",
                                    "available",
                                    "maintenance",
                                    "haproxy_server_options",
                                    NULL};

/* Raw text for HAProxy's server line, from a source that is trusted with it: even so it
 * must not end the line, hide the rest of it or leave a quote open, which would cost all
 * other hosts their config. */
static bool is_safe(const char *text) {
    size_t words = 0;
    for (const char *c = text; *c; c++)
        words += *c == ' ' && c[1] != ' ';
    return text_is_clean(text, strlen(text)) && !strpbrk(text, "\"'\\#$;") &&
           strlen(text) <= OPTIONS_MAX && words < WORDS_MAX;
}

/* Returns the text of the options, or NULL if there are none to use. */
static const char *server_options(struct foreign *foreign, const json_t *value,
                                  const struct record_options *options) {
    const char *text = json_string_value(value);
    if (!value || json_is_null(value) || (text && !*text))
        return NULL;
    if (!options->trust_options) {
        foreign_label(foreign, "haproxy_server_options", value);
        return NULL;
    }
    if (text && is_safe(text))
        return text;
    foreign_fault(foreign,
                  "haproxy_server_options: expected one line of at most %d words without "
                  "quotes and \\ # $ ;",
                  WORDS_MAX);
    return NULL;
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
    foreign_set(&foreign, "host", json_object_get(record, "host"));
    foreign_set_number(&foreign, "port", json_object_get(record, "port"));
    foreign_set_number(&foreign, "weight", json_object_get(record, "weight"));
    foreign_set(&foreign, "enabled", json_object_get(record, "available"));
    if (json_is_true(json_object_get(record, "maintenance")))
        foreign_set(&foreign, "enabled", json_false());
    foreign_labels(&foreign, json_object_get(record, "labels"), NULL);
    foreign_labels(&foreign, record, known);
    const char *text = server_options(
        &foreign, json_object_get(record, "haproxy_server_options"), options);
    struct host *host = foreign_host(&foreign, id, text);
    json_decref(record);
    return host;
}

const struct record_format record_nerve = {
    .name = "nerve",
    .path = "/nerve/services/{service}/services",
    .prefix = "",
    .host = decode_host,
};
