/* The Atlas as it was read for an edit: records as they stand, with their versions. */
#ifndef HATLAS_ATLAS_TREE_H
#define HATLAS_ATLAS_TREE_H

#include "atlas/layout.h"
#include "atlas/registry.h"

/* One znode. */
struct atlas_node {
    char *path;
    bool found;
    bool ephemeral; /* kept by a living process (hatlas announce) */
    int32_t version;
    json_t *value; /* its object, an empty one for no data; NULL if it isn't one */
    char *fault;   /* why it isn't one; NULL if it is */
};

struct atlas_host {
    char *id;
    struct atlas_node node;
};

struct atlas_service {
    char *name;
    struct atlas_node node;
    struct atlas_node vars; /* /config/<service> */
    bool hosts_found;       /* the znode around the hosts */
    struct atlas_host *hosts;
    size_t host_count;
};

struct atlas_tree {
    struct atlas_layout layout;
    bool services_found, config_found; /* the znodes around them */
    char **names;                      /* of all services, sorted, NULL-terminated */
    size_t name_count;
    struct atlas_service *services; /* those asked for that are there, sorted */
    size_t service_count;
};

/* Reads all services whose names match the pattern (fnmatch(3)), with all of their hosts
 * and variables. The layout is taken over in either case; the tree is to be freed with
 * atlas_tree_free in either case. */
bool atlas_tree_read(struct atlas_tree *tree, struct registry *registry,
                     const struct atlas_layout *layout, const char *pattern,
                     struct error *error);
void atlas_tree_free(struct atlas_tree *tree);

/* Returns the service of that name, NULL if it isn't there or wasn't asked for. */
struct atlas_service *atlas_tree_find(const struct atlas_tree *tree, const char *name);

/* Returns the host of that id, or NULL. */
struct atlas_host *atlas_service_find(const struct atlas_service *service,
                                      const char *id);

/* Whether people mean this host: the pattern (fnmatch(3)) is its id, its host or its
 * host:port. */
bool atlas_host_matches(const struct atlas_host *host, const char *pattern);

/* Puts edits before the others for the znodes around the services and variables that they
 * create, as far as these are not there. */
bool atlas_tree_complete(const struct atlas_tree *tree, struct registry *registry,
                         struct atlas_edits *edits, struct error *error);

#endif
