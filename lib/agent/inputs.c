/* All sources of hatlas.yaml as one catalog. */
#include "agent/inputs.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "catalog/fields.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct inputs {
    const struct settings *settings;
    struct source **sources;
    size_t count;
    const struct catalog **parts; /* what the merged catalog was made of */
    const struct catalog *merged;
    struct problems merge_problems;
    uint64_t *due; /* full reads each source has done when the round is complete */
    uint64_t round;
    inputs_changed *changed;
    void *arg;
};

static void on_source(void *arg, struct source *source) {
    struct inputs *inputs = arg;
    (void)source;
    inputs->changed(inputs->arg);
}

struct inputs *inputs_open(struct event_base *base, const struct log *log,
                           const struct settings *settings, inputs_changed *changed,
                           void *arg, struct error *error) {
    struct inputs *inputs = mem_zalloc(sizeof *inputs);
    inputs->settings = settings;
    inputs->changed = changed;
    inputs->arg = arg;
    inputs->sources = mem_zalloc(settings->source_count * sizeof *inputs->sources);
    inputs->parts = mem_zalloc(settings->source_count * sizeof *inputs->parts);
    inputs->due = mem_zalloc(settings->source_count * sizeof *inputs->due);
    for (size_t i = 0; i < settings->source_count; i++) {
        struct source *source =
            source_open(base, log, &settings->sources[i], on_source, inputs, error);
        if (!source) {
            inputs_close(inputs);
            return NULL;
        }
        inputs->sources[inputs->count++] = source;
    }
    return inputs;
}

void inputs_close(struct inputs *inputs) {
    if (!inputs)
        return;
    for (size_t i = 0; i < inputs->count; i++) {
        source_close(inputs->sources[i]);
        catalog_unref(inputs->parts[i]);
    }
    catalog_unref(inputs->merged);
    problems_free(&inputs->merge_problems);
    free(inputs->sources);
    free(inputs->parts);
    free(inputs->due);
    free(inputs);
}

static void merge(struct inputs *inputs) {
    json_t *services = json_object_get(inputs->settings->tree, "services");
    struct catalog_policy policy = {
        (const char *const *)inputs->settings->include,
        (const char *const *)inputs->settings->exclude,
        json_object_get(services, "overrides"),
    };
    catalog_unref(inputs->merged);
    problems_free(&inputs->merge_problems);
    inputs->merged =
        catalog_merge(inputs->parts, inputs->count, &policy, &inputs->merge_problems);
}

const struct catalog *inputs_catalog(struct inputs *inputs, struct problems *problems) {
    bool complete = true;
    bool fresh = !inputs->merged;
    for (size_t i = 0; i < inputs->count; i++) {
        const struct catalog *part = source_catalog(inputs->sources[i]);
        source_problems(inputs->sources[i], problems);
        fresh = fresh || part != inputs->parts[i];
        catalog_unref(inputs->parts[i]);
        inputs->parts[i] = part;
        complete = complete && part;
    }
    if (!complete)
        return NULL;
    if (fresh)
        merge(inputs);
    problems_append(problems, &inputs->merge_problems);
    return catalog_ref(inputs->merged);
}

struct source *inputs_source(struct inputs *inputs, size_t index) {
    return index < inputs->count ? inputs->sources[index] : NULL;
}

static uint64_t full_reads(const struct source *source) {
    struct source_status status;
    source_status(source, &status);
    return status.full_reads;
}

uint64_t inputs_refresh(struct inputs *inputs) {
    for (size_t i = 0; i < inputs->count; i++) {
        inputs->due[i] = full_reads(inputs->sources[i]) + 1;
        source_refresh(inputs->sources[i]);
    }
    return ++inputs->round;
}

uint64_t inputs_rounds(struct inputs *inputs) {
    for (size_t i = 0; i < inputs->count; i++)
        if (full_reads(inputs->sources[i]) < inputs->due[i])
            return inputs->round - 1;
    return inputs->round;
}

enum { PROGRESS_USEC = 200000 };

struct once {
    struct event_base *base;
    const struct inputs_wait *wait;
    struct inputs *inputs;
};

/* Ends the waiting as soon as all have answered, or one never will. */
static void on_once(void *arg) {
    struct once *once = arg;
    bool complete = true;
    bool futile = false;
    for (size_t i = 0; i < once->inputs->count; i++) {
        struct source_status status;
        const struct catalog *part = source_catalog(once->inputs->sources[i]);
        source_status(once->inputs->sources[i], &status);
        complete = complete && part;
        futile = futile || status.futile;
        catalog_unref(part);
    }
    if (complete || futile)
        (void)event_base_loopbreak(once->base);
}

/* Returns the first source without a catalog, or NULL. */
static struct source *silent_source(const struct inputs *inputs) {
    for (size_t i = 0; i < inputs->count; i++) {
        const struct catalog *part = source_catalog(inputs->sources[i]);
        catalog_unref(part);
        if (!part)
            return inputs->sources[i];
    }
    return NULL;
}

static void on_progress(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    const struct once *once = arg;
    const struct source *source = silent_source(once->inputs);
    if (source)
        once->wait->progress(once->wait->arg, source);
}

static void wait_for_all(struct once *once) {
    struct timeval limit = clock_timeval(once->wait->timeout_ms * 1000);
    struct timeval every = clock_timeval(PROGRESS_USEC);
    struct event *progress = NULL;
    if (once->wait->progress) {
        progress = event_new(once->base, -1, EV_PERSIST, on_progress, once);
        (void)event_add(progress, &every);
    }
    (void)event_base_loopexit(once->base, &limit);
    (void)event_base_dispatch(once->base);
    if (progress)
        event_free(progress);
}

static void name_silent(const struct inputs *inputs, int64_t timeout_ms,
                        struct error *error) {
    const struct source *source = silent_source(inputs);
    struct source_status status;
    if (!source)
        return;
    source_status(source, &status);
    if (status.futile)
        (void)error_set(error, source_name(source), "no catalog: %s", status.text);
    else
        (void)error_set(error, source_name(source), "no catalog within %.1f s: %s",
                        (double)timeout_ms / 1000.0, status.text);
}

const struct catalog *inputs_read(const struct log *log, const struct settings *settings,
                                  const struct inputs_wait *wait,
                                  struct problems *problems, struct error *error) {
    struct once once = {.base = event_base_new(), .wait = wait};
    const struct catalog *catalog = NULL;
    once.inputs = inputs_open(once.base, log, settings, on_once, &once, error);
    if (once.inputs) {
        wait_for_all(&once);
        catalog = inputs_catalog(once.inputs, problems);
        if (!catalog)
            name_silent(once.inputs, wait->timeout_ms, error);
    }
    inputs_close(once.inputs);
    event_base_free(once.base);
    return catalog;
}

/* Keys of an override that are hatlas.yaml's own, not fields of a service. */
static bool is_own_key(const char *key) {
    return !strcmp(key, "haproxy") || !strcmp(key, "default_hosts");
}

static const char *place_of(const struct settings *settings, const json_t *container,
                            const char *key, const char *fallback, char *out,
                            size_t size) {
    if (settings->places)
        return places_find(settings->places, container, key, 0, out, size);
    return fallback;
}

static void check_fields(const struct settings *settings, const json_t *fields,
                         const char *name, bool own_keys, struct problems *problems) {
    const char *key;
    json_t *value;
    char at[512];
    json_object_foreach((json_t *)fields, key, value) {
        const struct schema *row = schema_find(service_schema, key);
        if (!row || (own_keys && is_own_key(key)))
            continue;
        const char *where = place_of(settings, fields, key, name, at, sizeof at);
        struct schema_input from = {
            .places = settings->places, .where = where, .problems = problems};
        json_decref(schema_value(row, value, key, where, false, &from));
    }
}

static void check_override(const struct settings *settings, const char *name,
                           const json_t *override, struct problems *problems) {
    static const struct schema lines_row = {.name = "haproxy",
                                            .type = SCHEMA_LIST_OF_TEXT};
    const json_t *lines = json_object_get(override, "haproxy");
    const json_t *hosts = json_object_get(override, "default_hosts");
    char *full_name = mem_printf("services.overrides.%s", name);
    char at[512];
    check_fields(settings, override, full_name, true, problems);
    struct schema_input from = {
        .places = settings->places, .where = full_name, .problems = problems};
    const char *where = place_of(settings, override, "haproxy", full_name, at, sizeof at);
    if (lines)
        json_decref(schema_value(&lines_row, lines, "haproxy", where, false, &from));
    where = place_of(settings, override, "default_hosts", full_name, at, sizeof at);
    if (hosts && !json_is_array(hosts))
        problems_add(problems, where, "default_hosts: expected a list of hosts, found %s",
                     json_type_name(hosts));
    size_t i;
    json_t *item;
    json_array_foreach(hosts, i, item) host_unref(host_decode(NULL, item, &from));
    free(full_name);
}

void inputs_check_settings(const struct settings *settings, struct problems *problems) {
    json_t *services = json_object_get(settings->tree, "services");
    check_fields(settings, json_object_get(services, "defaults"), "services.defaults",
                 false, problems);
    const char *name;
    json_t *override;
    json_object_foreach(json_object_get(services, "overrides"), name, override)
        check_override(settings, name, override, problems);
}
