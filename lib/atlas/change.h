/* Changes of the Atlas: from what was read and what is wanted to edits. Nothing here does
 * I/O; every function adds edits, or says in the problems why it can't and adds none. */
#ifndef HATLAS_ATLAS_CHANGE_H
#define HATLAS_ATLAS_CHANGE_H

#include "atlas/tree.h"
#include "catalog/catalog.h"

/* A service that is not there yet. The same one with the same fields is fine. The tree
 * holds that service if it is there, and all names. */
void change_create(const struct atlas_tree *tree, const char *name, const json_t *patch,
                   struct atlas_edits *edits, struct problems *problems);

/* Fields of every service of the tree. */
void change_services(const struct atlas_tree *tree, const json_t *patch,
                     struct atlas_edits *edits, struct problems *problems);

/* A host "host:port" ("[v6]:port") that the service does not have yet. The same one with
 * the same fields is fine. */
void change_attach(const struct atlas_service *service, const struct atlas_tree *tree,
                   const char *address, const json_t *patch, struct atlas_edits *edits,
                   struct problems *problems);

/* Fields of every host of the tree that people mean by `pattern` (see
 * atlas_host_matches); `what` says it in words, as in "drained". Matching none is a
 * problem. */
void change_hosts(const struct atlas_tree *tree, const char *pattern, const json_t *patch,
                  const char *what, struct atlas_edits *edits, struct problems *problems);

/* Removes such hosts. */
void change_detach(const struct atlas_tree *tree, const char *pattern,
                   struct atlas_edits *edits, struct problems *problems);

/* Removes every service of the tree with its variables; one that has hosts only if
 * `recursive`. */
void change_remove(const struct atlas_tree *tree, bool recursive,
                   struct atlas_edits *edits, struct problems *problems);

/* Variables of the service: the patch is laid over them. */
void change_vars(const struct atlas_tree *tree, const struct atlas_service *service,
                 const json_t *patch, struct atlas_edits *edits);

/* What has to happen for the Atlas (the whole tree) to hold what the catalog holds; with
 * `prune` and no more than that. Hosts that a living process announces are never pruned. */
void change_import(const struct atlas_tree *tree, const struct catalog *catalog,
                   bool prune, struct atlas_edits *edits, struct problems *problems);

#endif
