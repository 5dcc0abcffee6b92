/* Records of all formats: whatever a znode says is a host that HAProxy can be told of, or
 * is refused with a reason. */
#include "record/record.h"
#include "base/text.h"
#include "catalog/fields.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_host(const struct host *host, bool trusted) {
    fuzz_require(host->host[0] && strspn(host->host, "0123456789.:-_"
                                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                     "abcdefghijklmnopqrstuvwxyz") ==
                                      strlen(host->host),
                 "host \"%s\"", host->host);
    fuzz_require(host->port, "port 0");
    fuzz_require(host->weight >= 0 && host->weight <= 256, "weight %d", host->weight);
    fuzz_require(host->maxconn >= 0, "maxconn %d", host->maxconn);
    fuzz_require(trusted || !host->options, "options without trust");
    fuzz_require_clean(host->id, "id");
    fuzz_require_clean(host->zone, "zone");
    fuzz_require_clean(host->options, "options");
    for (size_t i = 0; i < host->label_count; i++) {
        fuzz_require_clean(host->labels[i].name, "label");
        fuzz_require_clean(host->labels[i].value, "label's value");
        fuzz_require(!i || strcmp(host->labels[i - 1].name, host->labels[i].name) < 0,
                     "labels out of order");
    }
}

/* What a host is written as, is read back as the same. */
static void check_round(const struct host *host) {
    struct problems problems = {0};
    struct schema_input from = {.where = "/again", .problems = &problems};
    json_t *fields = host_encode(host);
    const struct host *again = host_decode(host->id, fields, &from);
    fuzz_require(again && !problems.count, "a host can't be read back");
    struct host plain = *host;
    plain.options = NULL;
    fuzz_require(!again || host_equal(&plain, again), "a host is read back as another");
    host_unref(again);
    json_decref(fields);
}

static void check_format(const struct record_format *format, const char *data, size_t len,
                         const struct record_options *options) {
    struct problems problems = {0};
    struct host *host = format->host("id-1", data, len, "/a/b", options, &problems);
    if (host) {
        check_host(host, options->trust_options);
        check_round(host);
    }
    fuzz_require_problems(&problems, !host);
    host_unref(host);
}

static void check_json(json_t *(*read)(const char *, size_t, const char *,
                                       struct problems *),
                       const char *data, size_t len) {
    struct problems problems = {0};
    json_t *value = read ? read(data, len, "/a/b", &problems) : NULL;
    fuzz_require(!value || json_is_object(value), "no object");
    fuzz_require_problems(&problems, read && !value);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"atlas", "nerve", "serverset", "curator"};
    static const struct record_options options[] = {
        {0},
        {.endpoint = "admin", .ssl = true, .trust_options = true},
    };
    const char *text = size ? (const char *)data : "";
    for (size_t i = 0; i < 4; i++) {
        const struct record_format *format = record_format_find(names[i]);
        for (size_t k = 0; k < 2; k++)
            check_format(format, text, size, &options[k]);
        check_json(format->service, text, size);
        check_json(format->vars, text, size);
    }
    return 0;
}
