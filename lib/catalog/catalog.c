/* All services, sorted by name, no two of which answer to the same name. */
#include "catalog/catalog.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A lower-case name that routes to a service. */
struct claim {
    char name[128];
    const struct service *service;
    UT_hash_handle hh;
};

static void lower(char *out, size_t size, const char *text) {
    (void)snprintf(out, size, "%s", text);
    for (; *out; out++)
        *out = (char)tolower((unsigned char)*out);
}

/* Returns the service that has the name already, or NULL once `service` has it. */
static const struct service *claim_name(struct claim **claims, const char *name,
                                        const struct service *service) {
    struct claim *claim = NULL;
    char key[sizeof claim->name];
    lower(key, sizeof key, name);
    HASH_FIND_STR(*claims, key, claim);
    if (claim)
        return claim->service;
    claim = mem_zalloc(sizeof *claim);
    memcpy(claim->name, key, sizeof key);
    claim->service = service;
    HASH_ADD_STR(*claims, name, claim);
    return NULL;
}

/* Returns the service without the aliases that others have already: itself where all are
 * its own. Takes over the reference and returns one. */
static const struct service *claim_aliases(struct claim **claims,
                                           const struct service *service,
                                           struct problems *problems) {
    json_t *aliases = json_object_get(service->fields, "aliases");
    json_t *own = json_array();
    size_t i;
    json_t *alias;
    json_array_foreach(aliases, i, alias) {
        const char *name = json_string_value(alias);
        const struct service *holder = claim_name(claims, name, service);
        if (!holder)
            json_array_append(own, alias);
        else
            problems_add(problems, service->name,
                         "alias %s is a name of service %s already; left out", name,
                         holder->name);
    }
    if (json_array_size(own) < json_array_size(aliases)) {
        json_t *fields = json_copy(service->fields);
        json_object_set(fields, "aliases", own);
        const struct service *full = service;
        service = service_new(full->name, fields, full->vars, full->hosts,
                              full->host_count, full->name, problems);
        json_decref(fields);
        service_unref(full);
    }
    json_decref(own);
    return service;
}

static int compare_services(const void *a, const void *b) {
    const struct service *const *x = a;
    const struct service *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Names come before all aliases: an alias can't take a service's own name from it. */
static void check_names(struct catalog *catalog, struct problems *problems) {
    struct claim *claims = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < catalog->service_count; i++) {
        const struct service *service = catalog->services[i];
        const struct service *holder = claim_name(&claims, service->name, service);
        if (!holder) {
            catalog->services[kept++] = service;
            continue;
        }
        problems_add(problems, service->name,
                     "service has the same name as %s but for case; left out",
                     holder->name);
        service_unref(service);
    }
    catalog->service_count = kept;
    for (size_t i = 0; i < kept; i++)
        catalog->services[i] = claim_aliases(&claims, catalog->services[i], problems);
    struct claim *claim = claims;
    HASH_CLEAR(hh, claims);
    while (claim) {
        struct claim *next = claim->hh.next;
        free(claim);
        claim = next;
    }
}

struct catalog *catalog_new(const struct service *const *services, size_t count,
                            struct problems *problems) {
    struct catalog *catalog = mem_zalloc(sizeof *catalog + count * sizeof *services);
    catalog->refs = 1;
    catalog->services = (const struct service **)(catalog + 1);
    catalog->service_count = count;
    for (size_t i = 0; i < count; i++)
        catalog->services[i] = service_ref(services[i]);
    check_names(catalog, problems);
    if (catalog->service_count)
        qsort(catalog->services, catalog->service_count, sizeof *catalog->services,
              compare_services);
    return catalog;
}

/* The place of a service that can give way to this one; NULL if there is none. */
static const struct service **find_place(const struct catalog *catalog,
                                         const struct service *service) {
    const struct service **place = NULL;
    if (catalog->service_count)
        place = bsearch(&service, catalog->services, catalog->service_count,
                        sizeof *catalog->services, compare_services);
    if (!place || (*place)->fields == service->fields)
        return place;
    json_t *before = json_object_get((*place)->fields, "aliases");
    json_t *after = json_object_get(service->fields, "aliases");
    bool same = before == after || (before && after && json_equal(before, after));
    return same ? place : NULL;
}

static struct catalog *copy(const struct catalog *old) {
    size_t size = old->service_count * sizeof *old->services;
    struct catalog *catalog = mem_zalloc(sizeof *catalog + size);
    catalog->refs = 1;
    catalog->services = (const struct service **)(catalog + 1);
    for (; catalog->service_count < old->service_count; catalog->service_count++)
        catalog->services[catalog->service_count] =
            service_ref(old->services[catalog->service_count]);
    return catalog;
}

struct catalog *catalog_replace(const struct catalog *old,
                                const struct service *const *services, size_t count) {
    struct catalog *catalog = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct service **place = find_place(old, services[i]);
        if (!place) {
            catalog_unref(catalog);
            return NULL;
        }
        if (*place == services[i])
            continue;
        catalog = catalog ? catalog : copy(old);
        const struct service **own = &catalog->services[place - old->services];
        (void)service_ref(services[i]);
        service_unref(*own);
        *own = services[i];
    }
    return catalog ? catalog : (struct catalog *)catalog_ref(old);
}

const struct catalog *catalog_ref(const struct catalog *catalog) {
    ((struct catalog *)catalog)->refs++;
    return catalog;
}

void catalog_unref(const struct catalog *catalog) {
    struct catalog *own = (struct catalog *)catalog;
    if (!own || --own->refs)
        return;
    for (size_t i = 0; i < own->service_count; i++)
        service_unref(own->services[i]);
    free(own);
}

bool catalog_equal(const struct catalog *a, const struct catalog *b) {
    if (a == b)
        return true;
    if (a->service_count != b->service_count)
        return false;
    for (size_t i = 0; i < a->service_count; i++)
        if (!service_equal(a->services[i], b->services[i]))
            return false;
    return true;
}

const struct service *catalog_find(const struct catalog *catalog, const char *name) {
    struct service wanted = {.name = name};
    const struct service *key = &wanted;
    const struct service **found = NULL;
    if (catalog->service_count)
        found = bsearch(&key, catalog->services, catalog->service_count,
                        sizeof *catalog->services, compare_services);
    return found ? *found : NULL;
}

size_t catalog_host_count(const struct catalog *catalog) {
    size_t count = 0;
    for (size_t i = 0; i < catalog->service_count; i++)
        count += catalog->services[i]->host_count;
    return count;
}
