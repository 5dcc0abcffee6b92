/* What differs between two catalogs: two sorted lists walked side by side, twice. */
#include "catalog/catalog.h"

#include <string.h>

struct walk {
    void (*visit)(void *arg, const struct catalog_change *change);
    void *arg;
    size_t count;
};

static void report(struct walk *walk, struct catalog_change change) {
    walk->count++;
    if (walk->visit)
        walk->visit(walk->arg, &change);
}

static void compare_hosts(struct walk *walk, const struct service *old,
                          const struct service *new) {
    size_t i = 0;
    size_t j = 0;
    while (i < old->host_count || j < new->host_count) {
        const struct host *a = i < old->host_count ? old->hosts[i] : NULL;
        const struct host *b = j < new->host_count ? new->hosts[j] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->id, b->id);
        if (order < 0)
            report(walk, (struct catalog_change){HOST_REMOVED, new, a, NULL});
        else if (order > 0)
            report(walk, (struct catalog_change){HOST_ADDED, new, NULL, b});
        else if (!host_equal(a, b))
            report(walk, (struct catalog_change){HOST_CHANGED, new, a, b});
        i += order <= 0;
        j += order >= 0;
    }
}

static void compare_services(struct walk *walk, const struct service *old,
                             const struct service *new) {
    if (old == new)
        return;
    if (!json_equal(old->fields, new->fields) ||
        (old->vars != new->vars && !json_equal(old->vars, new->vars)))
        report(walk, (struct catalog_change){SERVICE_CHANGED, new, NULL, NULL});
    compare_hosts(walk, old, new);
}

size_t catalog_compare(const struct catalog *old, const struct catalog *new,
                       void (*visit)(void *arg, const struct catalog_change *change),
                       void *arg) {
    static const struct catalog none = {0};
    struct walk walk = {visit, arg, 0};
    size_t i = 0;
    size_t j = 0;
    if (!old)
        old = &none;
    while (i < old->service_count || j < new->service_count) {
        const struct service *a = i < old->service_count ? old->services[i] : NULL;
        const struct service *b = j < new->service_count ? new->services[j] : NULL;
        int order = a == b ? 0 : !a ? 1 : !b ? -1 : strcmp(a->name, b->name);
        if (order < 0)
            report(&walk, (struct catalog_change){SERVICE_REMOVED, a, NULL, NULL});
        else if (order > 0)
            report(&walk, (struct catalog_change){SERVICE_ADDED, b, NULL, NULL});
        else
            compare_services(&walk, a, b);
        i += order <= 0;
        j += order >= 0;
    }
    return walk.count;
}
