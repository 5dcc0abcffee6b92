/* What the znodes of a registry mean: services, their hosts, their variables. Every znode
 * is one node here; its last good value stays until a better one is read. */
#ifndef HATLAS_SOURCE_ZK_TREE_H
#define HATLAS_SOURCE_ZK_TREE_H

#include "record/record.h"
#include "source/zk_session.h"

#include <uthash.h>

/* Where a registry keeps what. A service's hosts are the children of
 * <services>/<service><suffix>. */
struct zk_layout {
    char *services; /* "" for the top */
    char *suffix;   /* "/hosts", or "" */
    char *config;   /* parent of the services' variables; NULL: there are none */
    bool records;   /* <services>/<service> holds the service's own record */
};

/* How the records of a registry are read, and which of them are wanted. */
struct zk_reader {
    const struct record_format *format;
    struct record_options options;
    const struct settings *wants; /* NULL: everything */
};

enum zk_kind {
    ZK_SERVICE_LIST,
    ZK_CONFIG_LIST,
    ZK_HOST_LIST,
    ZK_SERVICE,
    ZK_VARS,
    ZK_HOST
};

struct zk_node {
    struct zk_read read;        /* first: the session frees the block by it */
    UT_hash_handle hh;          /* by path */
    struct zk_service *service; /* of a host list, service or host */
    struct zk_node *sibling;    /* next child of the same list */
    union {
        const struct host *host;
        json_t *json;
    } value;
    uint64_t digest; /* of the data behind value and problems, if `known` */
    struct problems problems;
    uint32_t seen; /* the last list that named it */
    int32_t version;
    enum zk_kind kind : 8;
    bool answered; /* since everything was last to be read again */
    bool found;
    bool known;
    bool clean; /* the value is from a record without a fault */
    bool unreadable;
    bool unwanted; /* a good host that this node does not want */
    char path[];
};

struct zk_service {
    LIST_ENTRY(zk_service) link;
    LIST_ENTRY(zk_service) dirty_link; /* while it is dirty */
    struct zk_node *record;            /* NULL where the layout has none */
    struct zk_node *list;
    struct zk_node *hosts; /* the first; the others are its siblings */
    size_t host_count;
    size_t unanswered;              /* of these nodes */
    uint32_t lists_since;           /* answers of the list since the snapshot was made */
    const struct service *snapshot; /* NULL until all were answered once */
    struct problems problems;       /* of making the snapshot */
    uint32_t seen;
    bool dirty; /* the snapshot is out of date */
    char name[];
};

/* Gives the session that a read of so many bytes goes to. */
typedef struct zk_session *zk_place(void *arg, size_t bytes);

struct zk_tree {
    struct zk_layout layout;
    struct zk_reader reader;
    bool has_auth;
    zk_place *place;
    void *arg;
    struct zk_node *nodes; /* all of them, by path */
    struct zk_node *services;
    struct zk_node *configs; /* NULL where the layout has none */
    struct zk_node *vars;    /* the first child of configs */
    LIST_HEAD(, zk_service) service_list;
    LIST_HEAD(, zk_service) dirty_list;
    size_t service_count;
    size_t faulty_services; /* those that have problems */
    size_t records;         /* services, variables and hosts that exist */
    size_t unanswered;      /* 0: in step */
    size_t unreadable, faulty;
    size_t services_out, hosts_out; /* not wanted here */
    uint32_t lists;                 /* how many were read */
    uint64_t full_reads;
    bool full;    /* all nodes are being read from the start */
    bool behind;  /* a session began again, and not all of it was read since */
    bool synced;  /* was in step once */
    bool changed; /* catalog or problems may have changed, or a full read is complete;
                     reset by the caller */
    bool dirty;   /* the catalog is out of date */
    bool dropped; /* and has services that are gone */
    struct catalog *catalog;
    struct problems problems; /* of making the catalog */
    struct buffer path;       /* scratch */
};

/* Takes over the strings of the layout. */
struct zk_tree *zk_tree_new(const struct zk_layout *layout,
                            const struct zk_reader *reader, bool has_auth,
                            zk_place *place, void *arg);

/* To be called once the sessions are gone. */
void zk_tree_free(struct zk_tree *tree);

/* Begins to read. */
void zk_tree_start(struct zk_tree *tree);

/* What the sessions report. */
void zk_tree_answered(struct zk_tree *tree, struct zk_read *read,
                      const struct zk_answer *answer);
void zk_tree_fired(struct zk_tree *tree, struct zk_session *session, const char *path);
bool zk_tree_wanted(struct zk_tree *tree, struct zk_session *session, const char *path);
void zk_tree_restarted(struct zk_tree *tree, struct zk_session *session);

/* Reads every node again. Once each was answered by a request that was sent after this
 * call, `full_reads` has grown by one. Nothing to do before the first read is complete. */
void zk_tree_refresh(struct zk_tree *tree);

/* Tries again what could not be read and is therefore not watched. */
void zk_tree_retry(struct zk_tree *tree);

/* Returns the node of the path that is made of the parts, or NULL. */
struct zk_node *zk_tree_find(struct zk_tree *tree, const char *parent, const char *name,
                             const char *suffix);

/* Returns a new reference to the catalog of now, NULL until everything was read once.
 * Services that did not change are the same structs as before. */
const struct catalog *zk_tree_catalog(struct zk_tree *tree);

void zk_tree_problems(const struct zk_tree *tree, struct problems *problems);

/* Decodes what the node's znode holds (data NULL: it does not exist). Returns whether the
 * value changed; `problems` receives what is wrong with the record. */
bool zk_node_decode(struct zk_node *node, const struct zk_reader *reader,
                    const char *data, size_t len, struct problems *problems);
void zk_node_clear(struct zk_node *node);

#endif
