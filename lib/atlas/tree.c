/* The Atlas as it was read for an edit. Three rounds of reads, however many services: the
 * lists, the services, the hosts. */
#include "atlas/tree.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_fault(struct atlas_node *node, const char *text) {
    node->fault = mem_strdup(text);
    json_decref(node->value);
    node->value = NULL;
}

/* Takes the path; what was read becomes an object, or a fault. */
static void fill_node(struct atlas_node *node, char *path,
                      const struct registry_read *read) {
    struct error error;
    *node = (struct atlas_node){
        .path = path,
        .found = read->found,
        .ephemeral = read->ephemeral,
        .version = read->version,
    };
    if (!read->found || !read->len)
        node->value = json_object();
    else if (!(node->value = json_parse(read->data, read->len, "", &error)))
        set_fault(node, error.text);
    else if (!json_is_object(node->value))
        set_fault(node, "expected a JSON object");
}

static void free_node(struct atlas_node *node) {
    free(node->path);
    free(node->fault);
    json_decref(node->value);
}

static bool read_lists(struct atlas_tree *tree, struct registry *registry,
                       struct error *error) {
    struct registry_read reads[] = {{.path = tree->layout.services, .list = true},
                                    {.path = tree->layout.config}};
    bool good = registry_read(registry, reads, 2, error);
    if (good) {
        tree->services_found = reads[0].found;
        tree->config_found = reads[1].found;
        tree->names = reads[0].names;
        tree->name_count = reads[0].count;
        reads[0].names = NULL;
        reads[0].count = 0;
    }
    registry_reads_free(reads, 2);
    if (!tree->names)
        tree->names = mem_zalloc(sizeof *tree->names);
    return good;
}

/* Of each service its record, its list of hosts, its variables. */
enum { READS = 3 };

static bool read_services(struct atlas_tree *tree, struct registry *registry,
                          struct registry_read *reads, struct error *error) {
    for (size_t i = 0; i < tree->service_count; i++) {
        const char *name = tree->services[i].name;
        reads[READS * i].path = atlas_service_path(&tree->layout, name);
        reads[READS * i + 1].path = atlas_hosts_path(&tree->layout, name);
        reads[READS * i + 1].list = true;
        reads[READS * i + 2].path = atlas_config_path(&tree->layout, name);
    }
    return registry_read(registry, reads, READS * tree->service_count, error);
}

static size_t take_services(struct atlas_tree *tree, struct registry_read *reads) {
    size_t hosts = 0;
    for (size_t i = 0; i < tree->service_count; i++) {
        struct atlas_service *service = &tree->services[i];
        struct registry_read *list = &reads[READS * i + 1];
        fill_node(&service->node, (char *)reads[READS * i].path, &reads[READS * i]);
        fill_node(&service->vars, (char *)reads[READS * i + 2].path,
                  &reads[READS * i + 2]);
        reads[READS * i].path = reads[READS * i + 2].path = NULL;
        service->hosts_found = list->found;
        service->hosts = mem_zalloc((list->count + 1) * sizeof *service->hosts);
        service->host_count = list->count;
        for (size_t j = 0; j < list->count; j++)
            service->hosts[j].id = mem_strdup(list->names[j]);
        hosts += list->count;
    }
    return hosts;
}

static bool read_hosts(struct atlas_tree *tree, struct registry *registry, size_t count,
                       struct error *error) {
    struct registry_read *reads = mem_zalloc((count + 1) * sizeof *reads);
    size_t next = 0;
    for (size_t i = 0; i < tree->service_count; i++)
        for (size_t j = 0; j < tree->services[i].host_count; j++)
            reads[next++].path = atlas_host_path(&tree->layout, tree->services[i].name,
                                                 tree->services[i].hosts[j].id);
    bool good = registry_read(registry, reads, count, error);
    next = 0;
    for (size_t i = 0; i < tree->service_count; i++)
        for (size_t j = 0; j < tree->services[i].host_count; j++, next++)
            fill_node(&tree->services[i].hosts[j].node, (char *)reads[next].path,
                      &reads[next]);
    registry_reads_free(reads, count);
    free(reads);
    return good;
}

static void choose(struct atlas_tree *tree, const char *pattern) {
    tree->services = mem_zalloc((tree->name_count + 1) * sizeof *tree->services);
    for (size_t i = 0; i < tree->name_count; i++)
        if (!fnmatch(pattern, tree->names[i], 0))
            tree->services[tree->service_count++].name = mem_strdup(tree->names[i]);
}

bool atlas_tree_read(struct atlas_tree *tree, struct registry *registry,
                     const struct atlas_layout *layout, const char *pattern,
                     struct error *error) {
    *tree = (struct atlas_tree){.layout = *layout};
    if (!read_lists(tree, registry, error))
        return false;
    choose(tree, pattern);
    size_t count = READS * tree->service_count;
    struct registry_read *reads = mem_zalloc((count + 1) * sizeof *reads);
    bool good = read_services(tree, registry, reads, error);
    size_t hosts = good ? take_services(tree, reads) : 0;
    for (size_t i = 0; i < count; i++)
        free((char *)reads[i].path);
    registry_reads_free(reads, count);
    free(reads);
    return good && read_hosts(tree, registry, hosts, error);
}

void atlas_tree_free(struct atlas_tree *tree) {
    for (size_t i = 0; i < tree->service_count; i++) {
        struct atlas_service *service = &tree->services[i];
        for (size_t j = 0; j < service->host_count; j++) {
            free(service->hosts[j].id);
            free_node(&service->hosts[j].node);
        }
        free(service->hosts);
        free(service->name);
        free_node(&service->node);
        free_node(&service->vars);
    }
    for (size_t i = 0; i < tree->name_count; i++)
        free(tree->names[i]);
    free(tree->names);
    free(tree->services);
    atlas_layout_free(&tree->layout);
}

struct atlas_service *atlas_tree_find(const struct atlas_tree *tree, const char *name) {
    size_t low = 0;
    size_t high = tree->service_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, tree->services[middle].name);
        if (!order)
            return &tree->services[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct atlas_host *atlas_service_find(const struct atlas_service *service,
                                      const char *id) {
    size_t low = 0;
    size_t high = service->host_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(id, service->hosts[middle].id);
        if (!order)
            return &service->hosts[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Patterns have brackets of their own, which IPv6 addresses don't need here. */
static bool matches(const char *pattern, const char *text) {
    return !strcmp(pattern, text) || !fnmatch(pattern, text, 0);
}

bool atlas_host_matches(const struct atlas_host *host, const char *pattern) {
    char address[300];
    const char *name = json_string_value(json_object_get(host->node.value, "host"));
    json_int_t port = json_integer_value(json_object_get(host->node.value, "port"));
    if (matches(pattern, host->id))
        return true;
    if (!name)
        return false;
    (void)snprintf(address, sizeof address, "%.280s:%lld", name, (long long)port);
    return matches(pattern, name) || matches(pattern, address);
}

static bool is_created(const struct atlas_edits *edits, const char *path) {
    for (size_t i = 0; i < edits->count; i++)
        if (!strcmp(edits->items[i].path, path))
            return true;
    return false;
}

/* Adds edits for the path and its parents, as far as they are not there. */
static bool add_path(struct registry *registry, const char *path,
                     struct atlas_edits *edits, struct error *error) {
    enum { DEPTH = 64 };
    struct registry_read reads[DEPTH] = {{0}};
    size_t count = 0;
    for (size_t len = 1; path[len - 1] && count < DEPTH; len++) {
        len += strcspn(path + len, "/");
        reads[count++].path = mem_strndup(path, len);
    }
    bool good = registry_read(registry, reads, count, error);
    for (size_t i = 0; good && i < count; i++)
        if (!reads[i].found && !is_created(edits, reads[i].path))
            (void)atlas_edits_add(edits, &(struct atlas_edit){.kind = ATLAS_CREATE,
                                                              .path = reads[i].path,
                                                              .what = "created"});
    registry_reads_free(reads, count);
    for (size_t i = 0; i < count; i++)
        free((char *)reads[i].path);
    return good;
}

/* Whether some edit creates a znode right below the path. */
static bool creates_below(const struct atlas_edits *edits, const char *path) {
    size_t len = strlen(path);
    for (size_t i = 0; i < edits->count; i++)
        if (edits->items[i].kind == ATLAS_CREATE &&
            !strncmp(edits->items[i].path, path, len) && edits->items[i].path[len] == '/')
            return true;
    return false;
}

bool atlas_tree_complete(const struct atlas_tree *tree, struct registry *registry,
                         struct atlas_edits *edits, struct error *error) {
    struct atlas_edits around = {0};
    bool good = true;
    if (!tree->services_found && creates_below(edits, tree->layout.services))
        good = add_path(registry, tree->layout.services, &around, error);
    if (good && !tree->config_found && creates_below(edits, tree->layout.config))
        good = add_path(registry, tree->layout.config, &around, error);
    atlas_edits_prepend(edits, &around);
    return good;
}
