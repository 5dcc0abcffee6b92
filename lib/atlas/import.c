/* What has to happen for the Atlas to hold what a catalog holds. */
#include "atlas/change.h"
#include "base/json.h"
#include "base/mem.h"
#include "catalog/fields.h"

#include <stdlib.h>
#include <string.h>

struct import {
    const struct atlas_tree *tree;
    struct atlas_edits *edits;
    struct problems *problems;
    bool prune;
};

/* As text, because the order of unknown fields and of variables is exported too. */
static bool same_text(const json_t *a, const json_t *b) {
    struct buffer first = BUFFER_INIT;
    struct buffer second = BUFFER_INIT;
    json_write(a, 0, &first);
    json_write(b, 0, &second);
    bool same = !strcmp(buffer_str(&first), buffer_str(&second));
    buffer_free(&first);
    buffer_free(&second);
    return same;
}

/* Whether the record means these fields already, whatever way it is written. */
static bool means_fields(const struct atlas_node *node, const json_t *fields) {
    struct problems ignored = {0};
    struct schema_input from = {.where = "", .problems = &ignored};
    if (!node->value)
        return false;
    json_t *decoded = service_fields_decode(node->value, &from);
    bool same = same_text(decoded, fields);
    json_decref(decoded);
    problems_free(&ignored);
    return same;
}

static bool means_host(const struct atlas_host *old, const struct host *host) {
    struct problems ignored = {0};
    struct schema_input from = {.where = "", .problems = &ignored};
    if (!old->node.value)
        return false;
    const struct host *decoded = host_decode(old->id, old->node.value, &from);
    bool same = decoded && host_equal(decoded, host);
    host_unref(decoded);
    problems_free(&ignored);
    return same;
}

static void add_host(const struct import *import, const char *service,
                     const struct atlas_host *old, const struct host *host, bool fresh) {
    json_t *record = host_encode(host);
    char *path = atlas_host_path(&import->tree->layout, service, host->id);
    if (!atlas_is_id(host->id))
        problems_add(import->problems, service,
                     "the host's id '%s' can't be the name of a znode", host->id);
    else
        (void)atlas_edits_add(
            import->edits, &(struct atlas_edit){
                               .kind = old && old->node.found ? ATLAS_SET : ATLAS_CREATE,
                               .path = path,
                               .value = record,
                               .version = old ? old->node.version : 0,
                               .silent = fresh,
                               .service = service,
                               .host = host->id,
                               .what = old ? "changed" : "attached"});
    free(path);
    json_decref(record);
}

static const struct host *find_host(const struct service *service, const char *id) {
    for (size_t i = 0; i < service->host_count; i++)
        if (!strcmp(service->hosts[i]->id, id))
            return service->hosts[i];
    return NULL;
}

static void prune_hosts(const struct import *import, const struct atlas_service *old,
                        const struct service *service) {
    for (size_t i = 0; i < old->host_count; i++) {
        const struct atlas_host *host = &old->hosts[i];
        if (find_host(service, host->id) || !host->node.found)
            continue;
        bool lives = host->node.ephemeral;
        (void)atlas_edits_add(
            import->edits,
            &(struct atlas_edit){.kind = lives ? ATLAS_NOTHING : ATLAS_DELETE,
                                 .path = host->node.path,
                                 .version = host->node.version,
                                 .service = old->name,
                                 .host = host->id,
                                 .what = lives ? "stays: a living process announces it"
                                               : "detached"});
    }
}

static void import_hosts(const struct import *import, const struct atlas_service *old,
                         const struct service *service) {
    if (!old || !old->hosts_found) {
        char *path = atlas_hosts_path(&import->tree->layout, service->name);
        (void)atlas_edits_add(import->edits,
                              &(struct atlas_edit){.kind = ATLAS_CREATE, .path = path});
        free(path);
    }
    for (size_t i = 0; i < service->host_count; i++) {
        const struct host *host = service->hosts[i];
        const struct atlas_host *known = old ? atlas_service_find(old, host->id) : NULL;
        if (!known || !means_host(known, host))
            add_host(import, service->name, known, host, !old);
    }
    if (old && import->prune)
        prune_hosts(import, old, service);
}

static void import_vars(const struct import *import, const struct atlas_service *old,
                        const struct service *service) {
    bool wanted = json_object_size(service->vars) > 0;
    bool found = old && old->vars.found;
    bool remove = found && !wanted && import->prune;
    if (!wanted && !remove)
        return;
    if (found && wanted && old->vars.value && same_text(old->vars.value, service->vars))
        return;
    char *path = atlas_config_path(&import->tree->layout, service->name);
    struct atlas_edit edit = {.kind = found ? ATLAS_SET : ATLAS_CREATE,
                              .path = path,
                              .value = remove ? NULL : service->vars,
                              .version = found ? old->vars.version : 0,
                              .silent = !old,
                              .service = service->name,
                              .what = remove ? "variables removed" : "variables written"};
    if (remove)
        edit.kind = ATLAS_DELETE;
    (void)atlas_edits_add(import->edits, &edit);
    free(path);
}

static void create_service(const struct import *import, const struct service *service) {
    char *path = atlas_service_path(&import->tree->layout, service->name);
    char *what = mem_printf("created with %zu host%s", service->host_count,
                            service->host_count == 1 ? "" : "s");
    (void)atlas_edits_add(import->edits, &(struct atlas_edit){.kind = ATLAS_CREATE,
                                                              .path = path,
                                                              .value = service->fields,
                                                              .service = service->name,
                                                              .what = what});
    free(what);
    free(path);
}

static void import_service(const struct import *import, const struct service *service) {
    const struct atlas_service *old = atlas_tree_find(import->tree, service->name);
    if (!old)
        create_service(import, service);
    else if (!means_fields(&old->node, service->fields))
        (void)atlas_edits_add(import->edits,
                              &(struct atlas_edit){.kind = ATLAS_SET,
                                                   .path = old->node.path,
                                                   .value = service->fields,
                                                   .version = old->node.version,
                                                   .service = old->name,
                                                   .what = "fields changed"});
    import_vars(import, old, service);
    import_hosts(import, old, service);
}

static bool is_alive(const struct atlas_service *service) {
    for (size_t i = 0; i < service->host_count; i++)
        if (service->hosts[i].node.ephemeral)
            return true;
    return false;
}

static void prune_services(const struct import *import, const struct catalog *catalog) {
    for (size_t i = 0; i < import->tree->service_count; i++) {
        struct atlas_service *service = &import->tree->services[i];
        struct atlas_tree one = *import->tree;
        one.services = service;
        one.service_count = 1;
        if (catalog_find(catalog, service->name))
            continue;
        if (is_alive(service))
            (void)atlas_edits_add(
                import->edits,
                &(struct atlas_edit){.kind = ATLAS_NOTHING,
                                     .path = service->node.path,
                                     .service = service->name,
                                     .what = "stays: living processes announce hosts"});
        else
            change_remove(&one, true, import->edits, import->problems);
    }
}

void change_import(const struct atlas_tree *tree, const struct catalog *catalog,
                   bool prune, struct atlas_edits *edits, struct problems *problems) {
    struct import import = {tree, edits, problems, prune};
    for (size_t i = 0; i < catalog->service_count; i++)
        import_service(&import, catalog->services[i]);
    if (prune)
        prune_services(&import, catalog);
}
