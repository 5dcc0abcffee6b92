/* The shipped templates, rendered from a hostile registry: the first line of an input says
 * which settings (a digit) and which reader ("yaml", or the format of records, which
 * follow as lines "service <tab> id <tab> record"). */
#include "agent/setup.h"
#include "base/mem.h"
#include "base/text.h"
#include "catalog/text.h"
#include "expect.h"
#include "fuzz.h"
#include "plan/plan.h"
#include "record/record.h"

#include <stdlib.h>
#include <string.h>

enum { SERVICES_MAX = 64, HOSTS_MAX = 64 };

/* Each turns on other parts of the templates. */
static const char *const settings_texts[] = {
    "{}",
    "routing: {mode: map, suffix: atlas.test}\nnode: {name: n, zone: a, near_zones: [b]}",
    "routing: {path: true}\nhaproxy: {resolve: dns, log: stdout}",
    ("routing: {mode: acl, suffix: x, socket: /run/s}\n"
     "node: {name: n, zone: a}\n"
     "haproxy: {log: 127.0.0.1:514, log_format: haproxy, ca_files: {corp: /c.pem}}"),
};

enum { VARIANTS = sizeof settings_texts / sizeof settings_texts[0] };

/* One set of settings with its renderer, kept for the next input. */
struct variant {
    struct settings *settings;
    json_t *globals;
    struct renderer *renderer;
};

static const struct variant *get_variant(unsigned number) {
    static struct variant variants[VARIANTS];
    struct variant *variant = &variants[number % VARIANTS];
    const char *text = settings_texts[number % VARIANTS];
    struct problems problems = {0};
    if (variant->settings)
        return variant;
    variant->settings = settings_parse(text, strlen(text), "t.yaml", NULL, &problems);
    fuzz_require(variant->settings, "bad settings of the test: %s",
                 problems.count ? problems.items[0].text : "");
    variant->renderer = setup_renderer(variant->settings, NULL, &variant->globals);
    return variant;
}

/* A service as its records come in. */
struct gathered {
    const char *name;
    json_t *fields, *vars;
    const struct host *hosts[HOSTS_MAX];
    size_t host_count;
};

static struct gathered *gather(struct gathered *services, size_t *count,
                               const char *name) {
    for (size_t i = 0; i < *count; i++)
        if (!strcmp(services[i].name, name))
            return &services[i];
    if (*count == SERVICES_MAX || !text_is_service_name(name))
        return NULL;
    services[*count] = (struct gathered){.name = name};
    return &services[(*count)++];
}

static void take_json(json_t **slot, json_t *value) {
    json_decref(*slot);
    *slot = value;
}

/* One line: "service <tab> id <tab> record". No id: the service's own record; an id of
 * "=": its variables. */
static void read_line(const struct record_format *format, char *line,
                      struct gathered *services, size_t *count) {
    static const struct record_options options = {.endpoint = NULL};
    struct problems problems = {0};
    char *id = strchr(line, '\t');
    char *record = id ? strchr(id + 1, '\t') : NULL;
    if (!record)
        return;
    *id++ = *record++ = '\0';
    size_t len = strlen(record);
    struct gathered *service = gather(services, count, line);
    if (!service)
        return;
    if (!*id && format->service) {
        take_json(&service->fields, format->service(record, len, "/s", &problems));
    } else if (!strcmp(id, "=") && format->vars) {
        take_json(&service->vars, format->vars(record, len, "/v", &problems));
    } else if (*id && service->host_count < HOSTS_MAX) {
        const struct host *host =
            format->host(id, record, len, "/h", &options, &problems);
        if (host)
            service->hosts[service->host_count++] = host;
    }
    problems_free(&problems);
}

static struct catalog *make_catalog(struct gathered *gathered, size_t count) {
    const struct service *services[SERVICES_MAX] = {NULL};
    struct problems problems = {0};
    for (size_t i = 0; i < count; i++) {
        struct gathered *from = &gathered[i];
        services[i] = service_new(from->name, from->fields, from->vars, from->hosts,
                                  from->host_count, "/s", &problems);
        while (from->host_count)
            host_unref(from->hosts[--from->host_count]);
        json_decref(from->fields);
        json_decref(from->vars);
    }
    struct catalog *catalog = catalog_new(services, count, &problems);
    while (count)
        service_unref(services[--count]);
    problems_free(&problems);
    return catalog;
}

static struct catalog *read_records(const struct record_format *format, char *text) {
    struct gathered *services = mem_zalloc(SERVICES_MAX * sizeof *services);
    size_t count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest))
        read_line(format, line, services, &count);
    struct catalog *catalog = make_catalog(services, count);
    free(services);
    return catalog;
}

static struct catalog *read_catalog(const char *reader, char *text) {
    const struct record_format *format = record_format_find(reader);
    struct problems problems = {0};
    if (format)
        return read_records(format, text);
    struct catalog *catalog = catalog_read(text, strlen(text), "c", NULL, &problems);
    problems_free(&problems);
    return catalog;
}

/* A catalog that is good may not cost more than itself: it is always rendered. */
static char *render(const struct variant *variant, const char *template,
                    const struct catalog *catalog) {
    struct buffer out = BUFFER_INIT;
    struct error error = {0};
    bool good = renderer_render(variant->renderer, template, catalog, &out, &error);
    fuzz_require(good, "refused: %s: %s", error.where, error.text);
    return buffer_steal(&out);
}

static void check_plan(const char *old, const char *new) {
    struct plan_side sides[2] = {{.config = old}, {.config = new}};
    struct plan_abilities abilities = {true, true};
    struct plan *same = plan_new(&sides[0], &sides[0], &abilities);
    struct plan *plan = plan_new(&sides[0], &sides[1], &abilities);
    fuzz_require(same->kind == PLAN_NOTHING, "a plan for nothing: %s", same->reason);
    plan_free(same);
    plan_free(plan);
}

/* For a look at what HAProxy itself says of it. */
static void keep(const char *text) {
    const char *path = getenv("FUZZ_KEEP");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file)
        fuzz_require(fputs(text, file) >= 0 && !fclose(file), "can't write %s", path);
}

static void check_catalog(const struct variant *variant, const struct catalog *catalog) {
    struct catalog *twin = expect_twin(catalog);
    char *config = render(variant, "haproxy.cfg", catalog);
    char *twin_config = render(variant, "haproxy.cfg", twin);
    char *map = render(variant, "services.map", catalog);
    char *hosts = render(variant, "hosts", catalog);
    keep(config);
    expect_sections(config, catalog);
    expect_same_words(config, twin_config, catalog);
    expect_map(map, catalog);
    expect_hosts(hosts);
    check_plan(config, twin_config);
    free(config);
    free(twin_config);
    free(map);
    free(hosts);
    catalog_unref(twin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    char *body = strchr(text, '\n');
    if (body && text[0] >= '0' && text[0] <= '9') {
        *body++ = '\0';
        struct catalog *catalog = read_catalog(text + 1 + (text[1] == ' '), body);
        if (catalog)
            check_catalog(get_variant((unsigned)(text[0] - '0')), catalog);
        catalog_unref(catalog);
    }
    free(text);
    return 0;
}
