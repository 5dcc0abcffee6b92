/* Makes the catalog of what the tree holds, and shares with the one before all services
 * that did not change. */
#include "base/mem.h"
#include "source/zk_tree.h"

#include <stdlib.h>
#include <string.h>

enum { LISTS_MAX = 16 };

static struct zk_node *find_vars(struct zk_tree *tree, const char *name) {
    return tree->configs ? zk_tree_find(tree, tree->layout.config, name, "") : NULL;
}

/* Whether the list may have changed since it was answered. One that is missing is only
 * waited for to come. */
static bool list_is_due(const struct zk_service *service) {
    const struct zk_read *read = &service->list->read;
    return (read->state == ZK_QUEUED || read->state == ZK_SENT) && !read->exists;
}

/* A service appears once all of it was answered. From then on it changes when all that is
 * known of its hosts was: where one takes the place of another, the loss of the old is
 * known before the record of the new, and nobody must see the moment without either. But a
 * list that never comes to rest is not waited for. */
static bool is_complete(const struct zk_tree *tree, const struct zk_service *service,
                        const struct zk_node *vars) {
    if (service->snapshot)
        return service->lists_since > LISTS_MAX ||
               (!service->unanswered && !list_is_due(service));
    return !service->unanswered && (!vars || vars->answered) &&
           (!tree->configs || tree->configs->answered);
}

static void make_snapshot(struct zk_tree *tree, struct zk_service *service,
                          const struct zk_node *vars) {
    const struct host **hosts = mem_resize(NULL, service->host_count, sizeof *hosts);
    size_t count = 0;
    for (const struct zk_node *node = service->hosts; node; node = node->sibling)
        if (node->value.host)
            hosts[count++] = node->value.host;
    tree->faulty_services -= service->problems.count > 0;
    problems_free(&service->problems);
    struct service *made =
        service_new(service->name, service->record ? service->record->value.json : NULL,
                    vars ? vars->value.json : NULL, hosts, count, service->list->path,
                    &service->problems);
    free(hosts);
    tree->faulty_services += service->problems.count > 0;
    service->dirty = false;
    service->lists_since = 0;
    LIST_REMOVE(service, dirty_link);
    if (service->snapshot && service_equal(service->snapshot, made)) {
        service_unref(made);
    } else {
        service_unref(service->snapshot);
        service->snapshot = made;
    }
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const struct service *const *)a)->name,
                  (*(const struct service *const *)b)->name);
}

/* Replaces the catalog, unless it would be the same again. */
static void set_catalog(struct zk_tree *tree, const struct service **services,
                        size_t count) {
    struct problems problems = {0};
    /* What stays of services with the same name must not depend on the order they came.
     */
    qsort(services, count, sizeof *services, compare_names);
    struct catalog *made = catalog_new(services, count, &problems);
    problems_free(&tree->problems);
    tree->problems = problems;
    if (tree->catalog && catalog_equal(tree->catalog, made)) {
        catalog_unref(made);
    } else {
        catalog_unref(tree->catalog);
        tree->catalog = made;
    }
}

/* Makes the services that are out of date, as far as they can be shown. Returns how many
 * were made, with new snapshots or not. */
static size_t make_snapshots(struct zk_tree *tree, const struct service **made) {
    size_t count = 0;
    struct zk_service *service = LIST_FIRST(&tree->dirty_list);
    while (service) {
        struct zk_service *next = LIST_NEXT(service, dirty_link);
        struct zk_node *vars = find_vars(tree, service->name);
        if (is_complete(tree, service, vars)) {
            make_snapshot(tree, service, vars);
            made[count++] = service->snapshot;
        }
        service = next;
    }
    return count;
}

static void make_catalog(struct zk_tree *tree, const struct service **services) {
    size_t count = 0;
    const struct zk_service *service;
    LIST_FOREACH(service, &tree->service_list, link)
    if (service->snapshot)
        services[count++] = service->snapshot;
    set_catalog(tree, services, count);
}

/* Puts the services in place of those that the catalog has; returns whether that is all
 * there is to it. */
static bool update_catalog(struct zk_tree *tree, const struct service **made,
                           size_t count) {
    if (!tree->catalog || tree->dropped || tree->problems.count)
        return false;
    struct catalog *updated = catalog_replace(tree->catalog, made, count);
    if (!updated)
        return false;
    catalog_unref(tree->catalog);
    tree->catalog = updated;
    return true;
}

const struct catalog *zk_tree_catalog(struct zk_tree *tree) {
    if (!tree->synced)
        return NULL;
    if (tree->dirty) {
        const struct service **services =
            mem_resize(NULL, tree->service_count, sizeof *services);
        size_t count = make_snapshots(tree, services);
        if (!update_catalog(tree, services, count))
            make_catalog(tree, services);
        free(services);
        tree->dirty = tree->dropped = false;
    }
    return catalog_ref(tree->catalog);
}

void zk_tree_problems(const struct zk_tree *tree, struct problems *problems) {
    const struct zk_node *node = tree->faulty ? tree->nodes : NULL;
    for (; node; node = node->hh.next)
        problems_append(problems, &node->problems);
    const struct zk_service *service =
        tree->faulty_services ? LIST_FIRST(&tree->service_list) : NULL;
    for (; service; service = LIST_NEXT(service, link))
        problems_append(problems, &service->problems);
    problems_append(problems, &tree->problems);
}
