/* Changes of the Atlas: from what was read and what is wanted to edits. */
#include "atlas/change.h"
#include "atlas/fields.h"
#include "base/mem.h"
#include "base/text.h"
#include "catalog/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool same_record(const struct atlas_node *node, const json_t *value) {
    return node->value && json_equal(node->value, value);
}

static void add_silent(struct atlas_edits *edits, enum atlas_edit_kind kind, char *path,
                       int32_t version) {
    (void)atlas_edits_add(
        edits, &(struct atlas_edit){.kind = kind, .path = path, .version = version});
    free(path);
}

/* --- services --- */

static bool good_name(const struct atlas_tree *tree, const char *name,
                      struct problems *problems) {
    if (!text_is_service_name(name)) {
        problems_add(problems, "",
                     "'%s' can't be a service's name (1 to 127 letters, digits and "
                     "- _ ., the first a letter or digit)",
                     name);
        return false;
    }
    for (size_t i = 0; i < tree->name_count; i++)
        if (!strcasecmp(tree->names[i], name) && strcmp(tree->names[i], name) != 0) {
            problems_add(problems, "", "'%s' differs from the service '%s' only in case",
                         name, tree->names[i]);
            return false;
        }
    return true;
}

static void create_again(const struct atlas_service *service, const json_t *record,
                         struct atlas_edits *edits, struct problems *problems) {
    if (!same_record(&service->node, record)) {
        problems_add(problems, service->name,
                     "is there already, with other fields; 'hatlas set' changes them");
        return;
    }
    (void)atlas_edits_add(edits, &(struct atlas_edit){.kind = ATLAS_NOTHING,
                                                      .path = service->node.path,
                                                      .service = service->name,
                                                      .what = "is there already"});
}

void change_create(const struct atlas_tree *tree, const char *name, const json_t *patch,
                   struct atlas_edits *edits, struct problems *problems) {
    json_t *record = atlas_fields_patch(NULL, patch);
    const struct atlas_service *old = atlas_tree_find(tree, name);
    if (good_name(tree, name, problems) &&
        atlas_fields_check(service_schema, record, name, problems)) {
        char *path = atlas_service_path(&tree->layout, name);
        if (old)
            create_again(old, record, edits, problems);
        else
            (void)atlas_edits_add(edits, &(struct atlas_edit){.kind = ATLAS_CREATE,
                                                              .path = path,
                                                              .value = record,
                                                              .service = name,
                                                              .what = "created"});
        if (!old)
            add_silent(edits, ATLAS_CREATE, atlas_hosts_path(&tree->layout, name), 0);
        free(path);
    }
    json_decref(record);
}

static char *describe(const json_t *patch) {
    struct buffer text = BUFFER_INIT;
    atlas_fields_describe(patch, &text);
    return buffer_steal(&text);
}

/* Sets one record, if it is not so already. Takes the record. */
static void set_record(const struct atlas_node *node, json_t *record, const char *service,
                       const char *host, const char *what, struct atlas_edits *edits) {
    bool same = same_record(node, record);
    struct atlas_edit edit = {.kind = same ? ATLAS_NOTHING : ATLAS_SET,
                              .path = node->path,
                              .value = record,
                              .version = node->version,
                              .service = service,
                              .host = host};
    char *text = same ? mem_printf("is so already (%s)", what) : mem_strdup(what);
    edit.what = text;
    (void)atlas_edits_add(edits, &edit);
    free(text);
    json_decref(record);
}

/* Whether fields can be laid over it: what can't be read is better not guessed. */
static bool is_readable(const struct atlas_node *node, struct problems *problems) {
    if (node->value)
        return true;
    problems_add(problems, node->path,
                 "the record is broken (%s): nothing of it can be kept; remove it and "
                 "add it again",
                 node->fault);
    return false;
}

void change_services(const struct atlas_tree *tree, const json_t *patch,
                     struct atlas_edits *edits, struct problems *problems) {
    char *what = describe(patch);
    for (size_t i = 0; i < tree->service_count; i++) {
        const struct atlas_service *service = &tree->services[i];
        if (!is_readable(&service->node, problems))
            continue;
        json_t *record = atlas_fields_patch(service->node.value, patch);
        if (atlas_fields_check(service_schema, record, service->name, problems))
            set_record(&service->node, record, service->name, NULL, what, edits);
        else
            json_decref(record);
    }
    free(what);
}

/* --- hosts --- */

static const struct atlas_host *find_address(const struct atlas_service *service,
                                             const json_t *record) {
    const char *host = json_string_value(json_object_get(record, "host"));
    json_int_t port = json_integer_value(json_object_get(record, "port"));
    for (size_t i = 0; i < service->host_count; i++) {
        const json_t *other = service->hosts[i].node.value;
        const char *name = json_string_value(json_object_get(other, "host"));
        if (name && !strcasecmp(name, host) &&
            json_integer_value(json_object_get(other, "port")) == port)
            return &service->hosts[i];
    }
    return NULL;
}

static void attach_again(const struct atlas_service *service,
                         const struct atlas_host *host, const json_t *record,
                         struct atlas_edits *edits, struct problems *problems) {
    if (!same_record(&host->node, record)) {
        problems_add(problems, service->name,
                     "host %s is attached already, with other fields; 'hatlas set %s %s' "
                     "changes them",
                     host->id, service->name, host->id);
        return;
    }
    (void)atlas_edits_add(edits, &(struct atlas_edit){.kind = ATLAS_NOTHING,
                                                      .path = host->node.path,
                                                      .service = service->name,
                                                      .host = host->id,
                                                      .what = "is attached already"});
}

static void attach_record(const struct atlas_service *service,
                          const struct atlas_tree *tree, const json_t *record,
                          struct atlas_edits *edits, struct problems *problems) {
    const struct atlas_host *old = find_address(service, record);
    char *id = mem_printf("%s:%lld", json_string_value(json_object_get(record, "host")),
                          (long long)json_integer_value(json_object_get(record, "port")));
    if (!old)
        old = atlas_service_find(service, id);
    if (old) {
        attach_again(service, old, record, edits, problems);
        free(id);
        return;
    }
    char *path = atlas_host_path(&tree->layout, service->name, id);
    if (!service->hosts_found)
        add_silent(edits, ATLAS_CREATE, atlas_hosts_path(&tree->layout, service->name),
                   0);
    (void)atlas_edits_add(edits, &(struct atlas_edit){.kind = ATLAS_CREATE,
                                                      .path = path,
                                                      .value = (json_t *)record,
                                                      .service = service->name,
                                                      .host = id,
                                                      .what = "attached"});
    free(path);
    free(id);
}

void change_attach(const struct atlas_service *service, const struct atlas_tree *tree,
                   const char *address, const json_t *patch, struct atlas_edits *edits,
                   struct problems *problems) {
    char host[256];
    uint16_t port = 0;
    if (!schema_split_address(address, host, sizeof host, &port) || !*host || !port) {
        problems_add(problems, "", "expected HOST:PORT such as host-001:8080, found '%s'",
                     address);
        return;
    }
    if (json_object_get(patch, "host") || json_object_get(patch, "port")) {
        problems_add(problems, "", "host and port are what '%s' says", address);
        return;
    }
    json_t *fresh = json_pack("{s:s, s:i}", "host", host, "port", (int)port);
    json_t *record = atlas_fields_patch(fresh, patch);
    if (atlas_fields_check(host_schema, record, address, problems))
        attach_record(service, tree, record, edits, problems);
    json_decref(record);
    json_decref(fresh);
}

static bool is_announced(const json_t *patch, const struct atlas_host *host) {
    return host->node.ephemeral &&
           (json_object_get(patch, "host") || json_object_get(patch, "port"));
}

/* The nearest of what hosts are called, for a pattern that none matches. */
static void no_host(const struct atlas_tree *tree, const char *pattern,
                    struct problems *problems) {
    size_t count = 0;
    for (size_t i = 0; i < tree->service_count; i++)
        count += 2 * tree->services[i].host_count;
    const char **names = mem_zalloc((count + 1) * sizeof *names);
    count = 0;
    for (size_t i = 0; i < tree->service_count; i++)
        for (size_t j = 0; j < tree->services[i].host_count; j++) {
            const struct atlas_host *host = &tree->services[i].hosts[j];
            const char *name =
                json_string_value(json_object_get(host->node.value, "host"));
            names[count++] = host->id;
            if (name)
                names[count++] = name;
        }
    const char *near = text_nearest(pattern, names);
    problems_add(problems, "", "no host '%s'%s%s%s%s%s", pattern,
                 tree->service_count == 1 ? " in service " : "",
                 tree->service_count == 1 ? tree->services[0].name : "",
                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    free((void *)names);
}

static void change_host(const struct atlas_service *service,
                        const struct atlas_host *host, const json_t *patch,
                        const char *what, struct atlas_edits *edits,
                        struct problems *problems) {
    if (!is_readable(&host->node, problems))
        return;
    if (is_announced(patch, host)) {
        problems_add(problems, host->node.path,
                     "is announced by a living process, which alone knows host and port");
        return;
    }
    json_t *record = atlas_fields_patch(host->node.value, patch);
    if (atlas_fields_check(host_schema, record, host->node.path, problems))
        set_record(&host->node, record, service->name, host->id, what, edits);
    else
        json_decref(record);
}

void change_hosts(const struct atlas_tree *tree, const char *pattern, const json_t *patch,
                  const char *what, struct atlas_edits *edits,
                  struct problems *problems) {
    bool any = false;
    for (size_t i = 0; i < tree->service_count; i++)
        for (size_t j = 0; j < tree->services[i].host_count; j++) {
            const struct atlas_host *host = &tree->services[i].hosts[j];
            if (!host->node.found || !atlas_host_matches(host, pattern))
                continue;
            any = true;
            change_host(&tree->services[i], host, patch, what, edits, problems);
        }
    if (!any)
        no_host(tree, pattern, problems);
}

static void remove_host(const struct atlas_service *service,
                        const struct atlas_host *host, const char *what,
                        struct atlas_edits *edits) {
    (void)atlas_edits_add(edits, &(struct atlas_edit){.kind = ATLAS_DELETE,
                                                      .path = host->node.path,
                                                      .version = host->node.version,
                                                      .service = service->name,
                                                      .host = host->id,
                                                      .what = what});
}

void change_detach(const struct atlas_tree *tree, const char *pattern,
                   struct atlas_edits *edits, struct problems *problems) {
    bool any = false;
    for (size_t i = 0; i < tree->service_count; i++)
        for (size_t j = 0; j < tree->services[i].host_count; j++) {
            const struct atlas_host *host = &tree->services[i].hosts[j];
            if (!host->node.found || !atlas_host_matches(host, pattern))
                continue;
            any = true;
            remove_host(&tree->services[i], host,
                        host->node.ephemeral
                            ? "detached, until the process that announces it is back"
                            : "detached",
                        edits);
        }
    if (!any)
        no_host(tree, pattern, problems);
}

/* --- removal --- */

static void remove_service(const struct atlas_tree *tree,
                           const struct atlas_service *service,
                           struct atlas_edits *edits) {
    for (size_t i = 0; i < service->host_count; i++)
        if (service->hosts[i].node.found)
            remove_host(service, &service->hosts[i], "detached", edits);
    if (service->hosts_found)
        add_silent(edits, ATLAS_DELETE, atlas_hosts_path(&tree->layout, service->name),
                   -1);
    if (service->vars.found)
        (void)atlas_edits_add(edits,
                              &(struct atlas_edit){.kind = ATLAS_DELETE,
                                                   .path = service->vars.path,
                                                   .version = service->vars.version,
                                                   .service = service->name,
                                                   .what = "variables removed"});
    (void)atlas_edits_add(edits, &(struct atlas_edit){.kind = ATLAS_DELETE,
                                                      .path = service->node.path,
                                                      .version = service->node.version,
                                                      .service = service->name,
                                                      .what = "removed"});
}

void change_remove(const struct atlas_tree *tree, bool recursive,
                   struct atlas_edits *edits, struct problems *problems) {
    for (size_t i = 0; i < tree->service_count; i++) {
        const struct atlas_service *service = &tree->services[i];
        if (service->host_count && !recursive)
            problems_add(problems, service->name,
                         "has %zu hosts; --recursive removes them too",
                         service->host_count);
        else
            remove_service(tree, service, edits);
    }
}

/* --- variables --- */

static void write_vars(const struct atlas_tree *tree, const char *service,
                       const struct atlas_node *node, const json_t *value,
                       const char *what, struct atlas_edits *edits) {
    char *path = atlas_config_path(&tree->layout, service);
    (void)atlas_edits_add(
        edits,
        &(struct atlas_edit){.kind = node && node->found ? ATLAS_SET : ATLAS_CREATE,
                             .path = path,
                             .value = (json_t *)value,
                             .version = node ? node->version : 0,
                             .service = service,
                             .what = what});
    free(path);
}

void change_vars(const struct atlas_tree *tree, const struct atlas_service *service,
                 const json_t *patch, struct atlas_edits *edits) {
    json_t *vars = atlas_fields_patch(service->vars.value, patch);
    struct buffer what = BUFFER_INIT;
    const char *name;
    json_t *value;
    buffer_puts(&what, "variables");
    json_object_foreach((json_t *)patch, name, value)
        buffer_printf(&what, " %s%s", name, json_is_null(value) ? " removed" : " set");
    if (same_record(&service->vars, vars))
        (void)atlas_edits_add(edits, &(struct atlas_edit){.kind = ATLAS_NOTHING,
                                                          .path = service->vars.path,
                                                          .service = service->name,
                                                          .what = "variables are so "
                                                                  "already"});
    else
        write_vars(tree, service->name, &service->vars, vars, buffer_str(&what), edits);
    buffer_free(&what);
    json_decref(vars);
}
