/* Several catalogs made one, and cut to what this node wants. */
#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/fields.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static bool matches(const char *const *patterns, const char *name) {
    for (; patterns && *patterns; patterns++)
        if (!strcmp(*patterns, "*") || fnmatch(*patterns, name, 0) == 0)
            return true;
    return false;
}

bool catalog_policy_wants(const struct catalog_policy *policy, const char *name) {
    return (!policy->include || matches(policy->include, name)) &&
           !matches(policy->exclude, name);
}

static int compare_addresses(const void *a, const void *b) {
    const struct host *one = *(const struct host *const *)a;
    const struct host *other = *(const struct host *const *)b;
    int order = strcasecmp(one->host, other->host);
    return order ? order : (one->port > other->port) - (one->port < other->port);
}

/* Adds the hosts of the service to the `*count` others, but for those whose address one of
 * these has. Returns all, sorted by address. */
static const struct host **add_hosts(const struct host **hosts, size_t *count,
                                     const struct service *service) {
    size_t others = *count;
    for (size_t i = 0; i < service->host_count; i++) {
        const struct host *host = service->hosts[i];
        if (others && bsearch(&host, hosts, others, sizeof *hosts, compare_addresses))
            continue;
        hosts = mem_grow(hosts, *count, sizeof *hosts);
        hosts[(*count)++] = host;
    }
    if (*count)
        qsort(hosts, *count, sizeof *hosts, compare_addresses);
    return hosts;
}

/* The service as the parts have it together: a new reference. */
static const struct service *join(const struct catalog *const *parts, size_t count,
                                  const struct service *first,
                                  struct problems *problems) {
    const struct host **hosts = NULL;
    size_t host_count = 0;
    size_t holders = 0;
    if (count == 1)
        return service_ref(first);
    for (size_t i = 0; i < count; i++) {
        const struct service *service = catalog_find(parts[i], first->name);
        if (!service)
            continue;
        holders++;
        hosts = add_hosts(hosts, &host_count, service);
    }
    const struct service *joined = NULL;
    if (holders == 1)
        joined = service_ref(first);
    else
        joined = service_new(first->name, first->fields, first->vars, hosts, host_count,
                             first->name, problems);
    free(hosts);
    return joined;
}

/* The service with the hosts that hatlas.yaml names for one that has none. Takes over the
 * reference and returns one. */
static const struct service *with_defaults(const struct service *service,
                                           const json_t *overrides,
                                           struct problems *problems) {
    if (service->host_count || !overrides)
        return service;
    const json_t *override = json_object_get(overrides, service->name);
    const json_t *list = json_object_get(override, "default_hosts");
    if (!json_array_size(list))
        return service;
    char *where = mem_printf("services.overrides.%s.default_hosts", service->name);
    struct schema_input from = {.where = where, .problems = problems};
    const struct host **hosts = mem_zalloc(json_array_size(list) * sizeof *hosts);
    size_t count = 0;
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        const struct host *host = host_decode(NULL, item, &from);
        if (host)
            hosts[count++] = host;
    }
    const struct service *full = service_new(
        service->name, service->fields, service->vars, hosts, count, where, problems);
    while (count)
        host_unref(hosts[--count]);
    free(hosts);
    free(where);
    service_unref(service);
    return full;
}

static bool in_earlier(const struct catalog *const *parts, size_t count,
                       const char *name) {
    for (size_t i = 0; i < count; i++)
        if (catalog_find(parts[i], name))
            return true;
    return false;
}

static bool is_made_of(const struct catalog *catalog,
                       const struct service *const *services, size_t count) {
    return catalog->service_count == count && count &&
           !memcmp(catalog->services, services, count * sizeof *services);
}

struct catalog *catalog_merge(const struct catalog *const *parts, size_t count,
                              const struct catalog_policy *policy,
                              struct problems *problems) {
    const struct service **services = NULL;
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < parts[i]->service_count; j++) {
            const struct service *service = parts[i]->services[j];
            if (!catalog_policy_wants(policy, service->name) ||
                in_earlier(parts, i, service->name))
                continue;
            services = mem_grow(services, total, sizeof *services);
            services[total++] = with_defaults(join(parts, count, service, problems),
                                              policy->overrides, problems);
        }
    /* One part of which nothing was cut or changed needs no second look. */
    struct catalog *merged = count == 1 && is_made_of(parts[0], services, total)
                                 ? (struct catalog *)catalog_ref(parts[0])
                                 : catalog_new(services, total, problems);
    while (total)
        service_unref(services[--total]);
    free(services);
    return merged;
}
