/* One session with ZooKeeper in the loop, and the reads it keeps: every path given to it
 * is read, watched, and read again whenever its watch fires, for as long as it is kept.
 */
#ifndef HATLAS_SOURCE_ZK_SESSION_H
#define HATLAS_SOURCE_ZK_SESSION_H

#include "base/log.h"
#include "settings/settings.h"

#include <stdint.h>
#include <sys/queue.h>

struct event_base;
struct zk_session;
struct zk_read;

/* What a read gave. */
struct zk_answer {
    enum {
        ZK_FOUND,
        ZK_MISSING,    /* there is no such znode; its creation is watched for */
        ZK_UNREADABLE, /* `code` says why; nothing watches it */
    } kind;
    const char *data; /* of ZK_DATA */
    size_t len;
    int32_t version;    /* of the data */
    char *const *names; /* of ZK_CHILDREN */
    size_t count;
    int code;   /* enum ZOO_ERRORS */
    bool stale; /* zk_session_read() came while it was under way: another will follow */
};

/* Calls to the owner of the reads, all from the loop. */
struct zk_listener {
    void (*answered)(void *arg, struct zk_read *read, const struct zk_answer *answer);

    /* The watch on a path fired: the owner reads it again. */
    void (*fired)(void *arg, struct zk_session *session, const char *path);

    /* Whether some read of this session that is not dropped has this path. */
    bool (*wanted)(void *arg, struct zk_session *session, const char *path);

    /* The session is over and its watches are gone: the owner reads everything again. */
    void (*restarted)(void *arg, struct zk_session *session);

    /* A turn of the loop is over in which any of these may have been called. */
    void (*turned)(void *arg, struct zk_session *session);
    void *arg;
};

/* One path to be read and watched. The first member of a block from mem_zalloc() that
 * also holds the path. The owner sets `type` and `path`, the session the rest. */
struct zk_read {
    STAILQ_ENTRY(zk_read) next;
    struct zk_session *session;
    const char *path;
    enum zk_read_type { ZK_DATA, ZK_CHILDREN } type : 8;
    enum zk_read_state {
        ZK_IDLE,    /* new, or unreadable */
        ZK_QUEUED,  /* waits for its turn */
        ZK_SENT,    /* asked; `again`: has to be asked once more */
        ZK_WATCHED, /* answered, and a watch will tell of the next change */
    } state : 8;
    bool exists; /* the znode is missing: what is asked next is awexists */
    bool again;
    bool dropped; /* the owner is done with it */
};

enum zk_session_state {
    ZK_CONNECTING,
    ZK_CONNECTED,
    ZK_LOST, /* was connected */
};

/* How the session stands. The strings change with the next turn of the loop. */
struct zk_session_status {
    enum zk_session_state state;
    const char *server; /* host:port it is connected to, or "" */
    const char *why;    /* what went wrong last; "" once it is connected */
    size_t watches;
    size_t watch_bytes; /* what its reads take in the packet that sets watches again */
};

/* Begins with the loop. What goes wrong is retried for ever. The caller owns it;
 * settings, log and loop must outlive it. */
struct zk_session *zk_session_new(struct event_base *base, const struct log *log,
                                  const struct source_settings *settings,
                                  const struct zk_listener *listener);

/* Ends the session without another call to the owner, whose reads are idle after it. */
void zk_session_free(struct zk_session *session);

/* Reads the path and keeps watching it; a path that is kept already is read again. */
void zk_session_read(struct zk_session *session, struct zk_read *read);

/* Ends the read and frees its block, at once or when its request is answered. */
void zk_session_drop(struct zk_read *read);

void zk_session_status(const struct zk_session *session,
                       struct zk_session_status *status);

#endif
