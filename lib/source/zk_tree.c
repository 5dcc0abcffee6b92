/* Follows a registry's znodes: which there are, what they last held, what is wrong with
 * them. Each list that is read brings in new nodes and drops those that it lacks. */
#include "source/zk_tree.h"
#include "base/mem.h"
#include "base/text.h"
#include "source/filter.h"
#include "source/zk_client.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct zk_node *zk_tree_find(struct zk_tree *tree, const char *parent, const char *name,
                             const char *suffix) {
    buffer_clear(&tree->path);
    buffer_printf(&tree->path, "%s/%s%s", parent, name, suffix);
    struct zk_node *node = NULL;
    HASH_FIND(hh, tree->nodes, tree->path.data, tree->path.len, node);
    return node;
}

static struct zk_node *add_node(struct zk_tree *tree, enum zk_kind kind, const char *path,
                                size_t len, struct zk_service *service) {
    struct zk_node *node = mem_zalloc(offsetof(struct zk_node, path) + len + 1);
    memcpy(node->path, path, len);
    node->kind = kind;
    node->service = service;
    node->read.path = node->path;
    node->read.type = kind <= ZK_HOST_LIST ? ZK_CHILDREN : ZK_DATA;
    tree->unanswered++;
    if (service)
        service->unanswered++;
    HASH_ADD_KEYPTR(hh, tree->nodes, node->path, len, node);
    zk_session_read(tree->place(tree->arg, len + 4), &node->read);
    return node;
}

static struct zk_node *add_child(struct zk_tree *tree, enum zk_kind kind,
                                 const char *parent, const char *name, const char *suffix,
                                 struct zk_service *service) {
    buffer_clear(&tree->path);
    buffer_printf(&tree->path, "%s/%s%s", parent, name, suffix);
    return add_node(tree, kind, tree->path.data, tree->path.len, service);
}

static struct zk_service *find_service(struct zk_tree *tree, const char *name) {
    const struct zk_layout *layout = &tree->layout;
    struct zk_node *list = zk_tree_find(tree, layout->services, name, layout->suffix);
    return list ? list->service : NULL;
}

/* The service whose catalog entry the node's value is part of, or NULL. */
static struct zk_service *service_of(struct zk_tree *tree, const struct zk_node *node) {
    return node->kind == ZK_VARS ? find_service(tree, strrchr(node->path, '/') + 1)
                                 : node->service;
}

/* Whether the catalog may have waited for this answer to show a service at all. */
static bool was_waited_for(struct zk_tree *tree, const struct zk_node *node) {
    const struct zk_service *service = service_of(tree, node);
    return node->kind == ZK_CONFIG_LIST || (service && !service->snapshot);
}

/* The catalog has to be made again; until the first read is complete there is none. */
static void set_outdated(struct zk_tree *tree) {
    tree->dirty = true;
    tree->changed |= tree->synced;
}

static void all_answered(struct zk_tree *tree) {
    tree->changed |= tree->full || !tree->synced;
    tree->full_reads += tree->full;
    tree->full = tree->behind = false;
    tree->synced = true;
}

static void set_answered(struct zk_tree *tree, struct zk_node *node, bool answered) {
    if (node->answered == answered)
        return;
    node->answered = answered;
    tree->unanswered += answered ? (size_t)-1 : 1;
    if (node->service)
        node->service->unanswered += answered ? (size_t)-1 : 1;
    if (answered && tree->synced && was_waited_for(tree, node))
        set_outdated(tree);
    if (!tree->unanswered)
        all_answered(tree);
}

static void set_unreadable(struct zk_tree *tree, struct zk_node *node, bool unreadable) {
    tree->unreadable += unreadable;
    tree->unreadable -= node->unreadable;
    node->unreadable = unreadable;
}

static bool same_problems(const struct problems *a, const struct problems *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i].where, b->items[i].where) != 0 ||
            strcmp(a->items[i].text, b->items[i].text) != 0)
            return false;
    return true;
}

/* Takes over what `problems` holds. */
static void set_problems(struct zk_tree *tree, struct zk_node *node,
                         struct problems *problems) {
    if (!same_problems(&node->problems, problems))
        tree->changed = true;
    tree->faulty += (problems->count > 0);
    tree->faulty -= (node->problems.count > 0);
    problems_free(&node->problems);
    node->problems = *problems;
    *problems = (struct problems){0};
}

static void set_dirty(struct zk_tree *tree, struct zk_service *service) {
    if (!service->dirty)
        LIST_INSERT_HEAD(&tree->dirty_list, service, dirty_link);
    service->dirty = true;
    set_outdated(tree);
}

static void note_value_changed(struct zk_tree *tree, const struct zk_node *node) {
    struct zk_service *service = service_of(tree, node);
    if (service)
        set_dirty(tree, service);
}

static void drop_node(struct zk_tree *tree, struct zk_node *node) {
    HASH_DELETE(hh, tree->nodes, node);
    set_answered(tree, node, true);
    set_unreadable(tree, node, false);
    set_problems(tree, node, &(struct problems){0});
    tree->records -= (node->read.type == ZK_DATA && node->found);
    tree->hosts_out -= node->unwanted;
    note_value_changed(tree, node);
    zk_node_clear(node);
    zk_session_drop(&node->read);
}

/* Lists. */

/* Whether a child of a list of that kind is a record, and one that is wanted. */
static bool is_child(const struct zk_tree *tree, enum zk_kind kind, const char *name) {
    const char *prefix = tree->reader.format->prefix;
    return kind == ZK_HOST ? !strncmp(name, prefix, strlen(prefix))
                           : filter_service(tree->reader.wants, name);
}

/* Makes the children of `parent` those that were named. Returns how many there are at
 * most. */
static size_t sync_children(struct zk_tree *tree, const char *parent, enum zk_kind kind,
                            struct zk_service *service, struct zk_node **first,
                            const struct zk_answer *answer) {
    uint32_t seen = ++tree->lists;
    for (size_t i = 0; i < answer->count; i++) {
        struct zk_node *node = zk_tree_find(tree, parent, answer->names[i], "");
        if (!node && !is_child(tree, kind, answer->names[i]))
            continue;
        if (!node) {
            node = add_child(tree, kind, parent, answer->names[i], "", service);
            node->sibling = *first;
            *first = node;
        } else if (node->read.state == ZK_IDLE) {
            zk_session_read(node->read.session, &node->read);
        }
        node->seen = seen;
    }
    while (*first) {
        struct zk_node *node = *first;
        if (node->seen == seen) {
            first = &node->sibling;
        } else {
            *first = node->sibling;
            drop_node(tree, node);
        }
    }
    return answer->count;
}

static struct zk_service *add_service(struct zk_tree *tree, const char *name) {
    const struct zk_layout *layout = &tree->layout;
    struct zk_service *service = mem_zalloc(sizeof *service + strlen(name) + 1);
    memcpy(service->name, name, strlen(name));
    LIST_INSERT_HEAD(&tree->service_list, service, link);
    tree->service_count++;
    service->dirty = true;
    LIST_INSERT_HEAD(&tree->dirty_list, service, dirty_link);
    service->list =
        add_child(tree, ZK_HOST_LIST, layout->services, name, layout->suffix, service);
    if (layout->records)
        service->record =
            add_child(tree, ZK_SERVICE, layout->services, name, "", service);
    return service;
}

static void drop_service(struct zk_tree *tree, struct zk_service *service) {
    (void)sync_children(tree, service->list->path, ZK_HOST, service, &service->hosts,
                        &(struct zk_answer){0});
    drop_node(tree, service->list);
    if (service->record)
        drop_node(tree, service->record);
    if (service->dirty)
        LIST_REMOVE(service, dirty_link);
    set_outdated(tree);
    tree->dropped = true;
    tree->faulty_services -= service->problems.count > 0;
    service_unref(service->snapshot);
    problems_free(&service->problems);
    LIST_REMOVE(service, link);
    tree->service_count--;
    free(service);
}

/* ZooKeeper keeps its own things at the top, in one znode. */
static bool is_zookeepers_own(const struct zk_tree *tree, const char *name) {
    return !*tree->layout.services && !strcmp(name, "zookeeper");
}

static void sync_services(struct zk_tree *tree, const struct zk_answer *answer,
                          struct problems *problems) {
    uint32_t seen = ++tree->lists;
    tree->services_out = 0;
    for (size_t i = 0; i < answer->count; i++) {
        const char *name = answer->names[i];
        struct zk_service *service = find_service(tree, name);
        if (!service && is_zookeepers_own(tree, name))
            continue;
        if (!service && !filter_service(tree->reader.wants, name)) {
            tree->services_out++;
            continue;
        }
        if (!service && text_is_service_name(name)) {
            service = add_service(tree, name);
        } else if (!service) {
            char *where = mem_printf("%s/%s", tree->layout.services, name);
            problems_add(problems, where,
                         "can't be a service's name (1 to 127 letters, digits and - _ "
                         ".); the service is left out");
            free(where);
            continue;
        }
        service->seen = seen;
    }
    struct zk_service *service = LIST_FIRST(&tree->service_list);
    while (service) {
        struct zk_service *next = LIST_NEXT(service, link);
        if (service->seen != seen)
            drop_service(tree, service);
        service = next;
    }
}

static void list_answered(struct zk_tree *tree, struct zk_node *node,
                          const struct zk_answer *answer) {
    struct problems problems = {0};
    node->found = answer->kind == ZK_FOUND;
    if (node->kind == ZK_HOST_LIST) {
        struct zk_service *service = node->service;
        service->host_count =
            sync_children(tree, node->path, ZK_HOST, service, &service->hosts, answer);
    } else if (node->kind == ZK_CONFIG_LIST) {
        (void)sync_children(tree, node->path, ZK_VARS, NULL, &tree->vars, answer);
    } else {
        if (!node->found)
            problems_add(&problems, node->path,
                         "does not exist; there are no services until it is made");
        sync_services(tree, answer, &problems);
    }
    set_problems(tree, node, &problems);
}

/* Records. */

static uint64_t digest(const char *data, size_t len) {
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)data[i]) * 1099511628211U;
    return hash;
}

static void record_answered(struct zk_tree *tree, struct zk_node *node,
                            const struct zk_answer *answer) {
    bool found = answer->kind == ZK_FOUND;
    const char *data = answer->data ? answer->data : "";
    uint64_t now = digest(data, answer->len);
    node->version = answer->version;
    if (node->known && found == node->found && now == node->digest)
        return;
    tree->records += found;
    tree->records -= node->found;
    node->found = found;
    node->digest = now;
    node->known = true;
    struct problems problems = {0};
    tree->hosts_out -= node->unwanted;
    node->unwanted = false;
    if (zk_node_decode(node, &tree->reader, found ? data : NULL, answer->len, &problems))
        note_value_changed(tree, node);
    tree->hosts_out += node->unwanted;
    set_problems(tree, node, &problems);
}

static void read_failed(struct zk_tree *tree, struct zk_node *node, int code) {
    struct problems problems = {0};
    if (code == ZNOAUTH)
        problems_add(&problems, node->path,
                     "not allowed to read it (NOAUTH): its ACL must give the read "
                     "permission to %s; what was read before is kept",
                     tree->has_auth
                         ? "the identity of this source's auth"
                         : "anyone, or this source needs auth: {scheme, file}");
    else
        problems_add(&problems, node->path,
                     "can't be read (%s); what was read before is kept", zerror(code));
    set_problems(tree, node, &problems);
    set_unreadable(tree, node, true);
    node->known = false;
}

/* A service that is out of date may have waited for this answer. */
static void note_progress(struct zk_tree *tree, const struct zk_node *node) {
    struct zk_service *service = service_of(tree, node);
    if (!service || !service->dirty)
        return;
    service->lists_since += node->kind == ZK_HOST_LIST;
    set_outdated(tree);
}

void zk_tree_answered(struct zk_tree *tree, struct zk_read *read,
                      const struct zk_answer *answer) {
    struct zk_node *node = (struct zk_node *)read;
    if (answer->kind == ZK_UNREADABLE) {
        read_failed(tree, node, answer->code);
    } else {
        set_unreadable(tree, node, false);
        if (read->type == ZK_CHILDREN)
            list_answered(tree, node, answer);
        else
            record_answered(tree, node, answer);
    }
    /* Without the list of services nothing is known, not even that there are none. */
    bool blind = answer->kind == ZK_UNREADABLE && node->kind == ZK_SERVICE_LIST;
    if (!blind && !answer->stale)
        set_answered(tree, node, true);
    note_progress(tree, node);
    /* Now everything is whole; when somebody asks, services may be read again. */
    if (tree->synced && !tree->catalog)
        catalog_unref(zk_tree_catalog(tree));
}

bool zk_tree_wanted(struct zk_tree *tree, struct zk_session *session, const char *path) {
    struct zk_node *node = NULL;
    HASH_FIND(hh, tree->nodes, path, strlen(path), node);
    return node && node->read.session == session;
}

void zk_tree_fired(struct zk_tree *tree, struct zk_session *session, const char *path) {
    struct zk_node *node = NULL;
    HASH_FIND(hh, tree->nodes, path, strlen(path), node);
    if (node && node->read.session == session)
        zk_session_read(session, &node->read);
}

/* Reads all nodes of the session again, of all sessions if it is NULL. */
static void read_again(struct zk_tree *tree, const struct zk_session *session) {
    bool all = true;
    struct zk_node *node;
    struct zk_node *next;
    HASH_ITER(hh, tree->nodes, node, next) {
        bool mine = !session || node->read.session == session;
        all = all && mine;
        if (!mine)
            continue;
        set_answered(tree, node, false);
        zk_session_read(node->read.session, &node->read);
    }
    if (all)
        tree->full = true;
}

void zk_tree_restarted(struct zk_tree *tree, struct zk_session *session) {
    tree->behind = true;
    read_again(tree, session);
}

void zk_tree_refresh(struct zk_tree *tree) {
    if (tree->synced)
        read_again(tree, NULL);
}

void zk_tree_retry(struct zk_tree *tree) {
    struct zk_node *node;
    struct zk_node *next;
    if (!tree->unreadable)
        return;
    HASH_ITER(hh, tree->nodes, node, next) {
        if (node->read.state == ZK_IDLE)
            zk_session_read(node->read.session, &node->read);
    }
}

struct zk_tree *zk_tree_new(const struct zk_layout *layout,
                            const struct zk_reader *reader, bool has_auth,
                            zk_place *place, void *arg) {
    struct zk_tree *tree = mem_zalloc(sizeof *tree);
    tree->layout = *layout;
    tree->reader = *reader;
    tree->has_auth = has_auth;
    tree->place = place;
    tree->arg = arg;
    tree->dirty = tree->full = true;
    LIST_INIT(&tree->service_list);
    LIST_INIT(&tree->dirty_list);
    return tree;
}

void zk_tree_start(struct zk_tree *tree) {
    const struct zk_layout *layout = &tree->layout;
    if (layout->config)
        tree->configs =
            add_node(tree, ZK_CONFIG_LIST, layout->config, strlen(layout->config), NULL);
    const char *top = *layout->services ? layout->services : "/";
    tree->services = add_node(tree, ZK_SERVICE_LIST, top, strlen(top), NULL);
}

void zk_tree_free(struct zk_tree *tree) {
    if (!tree)
        return;
    while (!LIST_EMPTY(&tree->service_list)) {
        struct zk_service *service = LIST_FIRST(&tree->service_list);
        LIST_REMOVE(service, link);
        service_unref(service->snapshot);
        problems_free(&service->problems);
        free(service);
    }
    struct zk_node *node = tree->nodes;
    HASH_CLEAR(hh, tree->nodes);
    while (node) {
        struct zk_node *next = node->hh.next;
        zk_node_clear(node);
        free(node);
        node = next;
    }
    catalog_unref(tree->catalog);
    problems_free(&tree->problems);
    buffer_free(&tree->path);
    free(tree->layout.services);
    free(tree->layout.suffix);
    free(tree->layout.config);
    free(tree);
}
