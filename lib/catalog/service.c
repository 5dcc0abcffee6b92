/* One service with its hosts, sorted, each of them once. */
#include "base/mem.h"
#include "catalog/catalog.h"

#include <stdlib.h>
#include <string.h>

typedef int host_order(const struct host *a, const struct host *b);

static int by_id(const struct host *a, const struct host *b) {
    return strcmp(a->id, b->id);
}

static int by_address(const struct host *a, const struct host *b) {
    int order = strcasecmp(a->host, b->host);
    return order ? order : (a->port > b->port) - (a->port < b->port);
}

static int by_name(const struct host *a, const struct host *b) {
    return strcmp(a->name, b->name);
}

/* What stays of hosts that claim the same must not depend on the order they came in. */
static int compare_id(const void *a, const void *b) {
    return by_id(*(const struct host *const *)a, *(const struct host *const *)b);
}

static int compare_address(const void *a, const void *b) {
    int order =
        by_address(*(const struct host *const *)a, *(const struct host *const *)b);
    return order ? order : compare_id(a, b);
}

static int compare_name(const void *a, const void *b) {
    int order = by_name(*(const struct host *const *)a, *(const struct host *const *)b);
    return order ? order : compare_id(a, b);
}

/* Sorts, then drops each host that is the same as the one before it. Returns how many
 * stay. */
static size_t drop_same(const struct host **hosts, size_t count,
                        int (*sort)(const void *, const void *), host_order *same,
                        const char *what, const char *where, struct problems *problems) {
    if (!count)
        return 0;
    qsort(hosts, count, sizeof *hosts, sort);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (same(hosts[kept - 1], hosts[i]) != 0) {
            hosts[kept++] = hosts[i];
            continue;
        }
        problems_add(problems, where, "host %s has the same %s as %s (%s:%u); left out",
                     hosts[i]->id, what, hosts[kept - 1]->id, hosts[i]->host,
                     hosts[i]->port);
    }
    return kept;
}

struct service *service_new(const char *name, json_t *fields, json_t *vars,
                            const struct host *const *hosts, size_t count,
                            const char *where, struct problems *problems) {
    size_t size = sizeof(struct service) + count * sizeof *hosts + strlen(name) + 1;
    struct service *service = mem_zalloc(size);
    service->refs = 1;
    service->fields = fields ? json_incref(fields) : json_object();
    service->vars = json_incref(vars);
    service->hosts = (const struct host **)(service + 1);
    service->name = memcpy((void *)(service->hosts + count), name, strlen(name) + 1);
    if (count)
        memcpy(service->hosts, hosts, count * sizeof *hosts);
    size_t kept = drop_same(service->hosts, count, compare_address, by_address, "address",
                            where, problems);
    kept =
        drop_same(service->hosts, kept, compare_name, by_name, "name", where, problems);
    kept = drop_same(service->hosts, kept, compare_id, by_id, "id", where, problems);
    for (size_t i = 0; i < kept; i++)
        (void)host_ref(service->hosts[i]);
    service->host_count = kept;
    return service;
}

const struct service *service_ref(const struct service *service) {
    ((struct service *)service)->refs++;
    return service;
}

void service_unref(const struct service *service) {
    struct service *own = (struct service *)service;
    if (!own || --own->refs)
        return;
    for (size_t i = 0; i < own->host_count; i++)
        host_unref(own->hosts[i]);
    json_decref(own->fields);
    json_decref(own->vars);
    free(own);
}

bool service_equal(const struct service *a, const struct service *b) {
    if (a == b)
        return true;
    if (strcmp(a->name, b->name) != 0 || a->host_count != b->host_count ||
        !json_equal(a->fields, b->fields) ||
        (a->vars != b->vars && !json_equal(a->vars, b->vars)))
        return false;
    for (size_t i = 0; i < a->host_count; i++)
        if (!host_equal(a->hosts[i], b->hosts[i]))
            return false;
    return true;
}
