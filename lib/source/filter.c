/* What a node wants of a registry, by the patterns of services.include, services.exclude
 * and services.hosts. */
#include "source/filter.h"
#include "base/mem.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

bool filter_service(const struct settings *wants, const char *name) {
    if (!wants)
        return true;
    const struct catalog_policy policy = {
        .include = (const char *const *)wants->include,
        .exclude = (const char *const *)wants->exclude,
    };
    return catalog_policy_wants(&policy, name);
}

static bool wants_zone(const struct settings *wants, const char *zone) {
    char *const *pattern = wants->host_zones;
    if (!pattern || !*pattern)
        return true;
    for (; *pattern; pattern++)
        if (fnmatch(*pattern, zone ? zone : "", 0) == 0)
            return true;
    return false;
}

static const char *label(const struct host *host, const char *name) {
    for (size_t i = 0; i < host->label_count; i++)
        if (!strcmp(host->labels[i].name, name))
            return host->labels[i].value;
    return "";
}

bool filter_host(const struct settings *wants, const struct host *host) {
    if (!wants)
        return true;
    const char *name;
    json_t *pattern;
    json_object_foreach((json_t *)wants->host_labels, name, pattern) {
        if (fnmatch(json_string_value(pattern), label(host, name), 0) != 0)
            return false;
    }
    return wants_zone(wants, host->zone);
}

/* The service without hosts that are not wanted: a new reference. What is wrong with its
 * hosts among each other was said already. */
static const struct service *filter_hosts(const struct settings *wants,
                                          const struct service *service, size_t *out) {
    const struct host **hosts = mem_resize(NULL, service->host_count, sizeof *hosts);
    size_t count = 0;
    for (size_t i = 0; i < service->host_count; i++)
        if (filter_host(wants, service->hosts[i]))
            hosts[count++] = service->hosts[i];
    const struct service *kept = NULL;
    struct problems none = {0};
    if (count == service->host_count)
        kept = service_ref(service);
    else
        kept = service_new(service->name, service->fields, service->vars, hosts, count,
                           "", &none);
    *out += service->host_count - count;
    problems_free(&none);
    free(hosts);
    return kept;
}

struct catalog *filter_catalog(const struct settings *wants, struct catalog *catalog,
                               size_t *services_out, size_t *hosts_out) {
    if (!wants)
        return catalog;
    struct problems none = {0};
    size_t count = 0;
    const struct service **services =
        mem_resize(NULL, catalog->service_count, sizeof *services);
    for (size_t i = 0; i < catalog->service_count; i++)
        if (filter_service(wants, catalog->services[i]->name))
            services[count++] = filter_hosts(wants, catalog->services[i], hosts_out);
    *services_out += catalog->service_count - count;
    struct catalog *kept = catalog_new(services, count, &none);
    while (count)
        service_unref(services[--count]);
    free(services);
    problems_free(&none);
    catalog_unref(catalog);
    return kept;
}
