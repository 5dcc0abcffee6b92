/* A registry in memory that the input changes, breaks and repairs, byte by byte, while the
 * tree of the ZooKeeper source follows it by watches: whatever came before, in the end the
 * tree is as one that reads the registry for the first time. */
#include "base/mem.h"
#include "fuzz.h"
#include "source/zk_client.h"
#include "source/zk_tree.h"

#include <stdlib.h>
#include <string.h>

enum { ZNODES = 27, STEPS_MAX = 512 };

/* All znodes that there can be. */
static const char *const paths[ZNODES] = {
    "/r/services",
    "/r/config",
    "/r/services/a",
    "/r/services/a/hosts",
    "/r/services/a/hosts/x",
    "/r/services/a/hosts/y",
    "/r/services/a/hosts/z 'w'",
    "/r/services/b",
    "/r/services/b/hosts",
    "/r/services/b/hosts/x",
    "/r/services/b/hosts/y",
    "/r/services/b/hosts/v",
    "/r/services/A",
    "/r/services/A/hosts",
    "/r/services/A/hosts/x",
    "/r/services/A/hosts/y",
    "/r/services/no name",
    "/r/services/no name/hosts",
    "/r/services/out",
    "/r/services/out/hosts",
    "/r/services/out/hosts/x",
    "/r/config/a",
    "/r/config/b",
    "/r/config/no name",
    "/r/config/gone",
    "/r/services/c",
    "/r/services/c/hosts",
};

/* What a record may say. The first half is good for hosts, services and variables. */
static const char *const records[] = {
    "{\"host\":\"h\",\"port\":1}",
    "{\"host\":\"h\",\"port\":2,\"zone\":\"z\"}",
    "{\"host\":\"10.0.0.1\",\"port\":3,\"weight\":5,\"aliases\":[\"b\"]}",
    "{\"host\":\"h\",\"port\":4,\"aliases\":[\"c\",\"d\"],\"labels\":{\"a\":\"b\"}}",
    "{\"host\":\"h\"",
    "{\"port\":\"x\\u0000\"}",
    "[]",
    "",
};

enum { GOOD = 4, RECORDS = sizeof records / sizeof records[0] };

struct znode {
    bool there, refused, watched;
    unsigned record;
};

struct zk_session {
    struct zk_tree *tree;
    STAILQ_HEAD(, zk_read) queue;
    size_t events[ZNODES]; /* znodes whose watch fired */
    size_t event_count;
    struct znode *znodes;
    bool watches[ZNODES];
};

/* The session, as zk_session.h promises it to the tree. */

void zk_session_read(struct zk_session *session, struct zk_read *read) {
    fuzz_require(!read->dropped, "a read after it was dropped: %s", read->path);
    fuzz_require(!read->session || read->session == session, "another session");
    read->session = session;
    if (read->state == ZK_SENT) {
        read->again = true;
    } else if (read->state != ZK_QUEUED) {
        read->state = ZK_QUEUED;
        STAILQ_INSERT_TAIL(&session->queue, read, next);
    }
}

void zk_session_drop(struct zk_read *read) {
    read->dropped = true;
    if (read->state != ZK_QUEUED && read->state != ZK_SENT)
        free(read);
}

static struct zk_session *place(void *arg, size_t bytes) {
    (void)bytes;
    return arg;
}

/* The server. */

static size_t find(const char *path) {
    size_t i = 0;
    while (i < ZNODES && strcmp(paths[i], path) != 0)
        i++;
    return i;
}

static bool is_child(const char *parent, const char *path) {
    size_t len = strlen(parent);
    return !strncmp(path, parent, len) && path[len] == '/' &&
           !strchr(path + len + 1, '/');
}

/* A watch fires once, and is set again by an answer, before which events are told of. */
static void fire(struct zk_session *session, size_t znode) {
    if (session->watches[znode])
        session->events[session->event_count++] = znode;
    session->watches[znode] = false;
}

/* Whether it is read for its children, so that new data of its own are no news. */
static bool is_list(const char *path) {
    static const char end[] = "/hosts";
    size_t len = strlen(path);
    return path == paths[0] || path == paths[1] ||
           !strcmp(path + len - (sizeof end - 1), end);
}

static void fire_with_parent(struct zk_session *session, size_t znode) {
    fire(session, znode);
    for (size_t i = 0; i < ZNODES; i++)
        if (is_child(paths[i], paths[znode]))
            fire(session, i);
}

static void create(struct zk_session *session, size_t znode, unsigned record) {
    for (size_t i = 0; i < ZNODES; i++)
        if (is_child(paths[i], paths[znode]) && !session->znodes[i].there)
            create(session, i, record);
    struct znode *made = &session->znodes[znode];
    bool is_new = !made->there;
    made->there = true;
    made->record = record % RECORDS;
    if (is_new)
        fire_with_parent(session, znode);
    else if (!is_list(paths[znode]))
        fire(session, znode);
}

static void destroy(struct zk_session *session, size_t znode) {
    for (size_t i = 0; i < ZNODES; i++)
        if (is_child(paths[znode], paths[i]))
            destroy(session, i);
    if (session->znodes[znode].there) {
        session->znodes[znode].there = false;
        fire_with_parent(session, znode);
    }
}

/* Watches that fired are told of before any answer that came after. */
static void deliver(struct zk_session *session) {
    for (size_t i = 0; i < session->event_count; i++)
        zk_tree_fired(session->tree, session, paths[session->events[i]]);
    session->event_count = 0;
}

static void list(const struct zk_session *session, const char *path, char **names,
                 struct zk_answer *answer) {
    size_t len = strlen(path);
    answer->names = names;
    for (size_t i = ZNODES; i-- > 0;)
        if (session->znodes[i].there && is_child(path, paths[i]))
            names[answer->count++] = (char *)paths[i] + len + 1;
}

static void settle(struct zk_session *session, struct zk_read *read,
                   struct zk_answer *answer) {
    answer->stale = read->again;
    read->again = false;
    zk_tree_answered(session->tree, read, answer);
    if (read->dropped) {
        free(read);
        return;
    }
    read->state = answer->kind == ZK_UNREADABLE ? ZK_IDLE : ZK_WATCHED;
    if (answer->stale)
        zk_session_read(session, read);
}

/* Answers the next question. `asked_again` makes the answer one that is out of date. */
static bool answer(struct zk_session *session, bool asked_again) {
    char *names[ZNODES];
    struct zk_answer given = {.kind = ZK_MISSING, .code = ZNONODE};
    deliver(session);
    struct zk_read *read = STAILQ_FIRST(&session->queue);
    if (!read)
        return false;
    STAILQ_REMOVE_HEAD(&session->queue, next);
    read->state = ZK_SENT;
    if (read->dropped) {
        free(read);
        return true;
    }
    size_t at = find(read->path);
    const struct znode *znode = at < ZNODES ? &session->znodes[at] : NULL;
    if (asked_again)
        zk_session_read(session, read);
    if (znode && znode->there && znode->refused) {
        given = (struct zk_answer){.kind = ZK_UNREADABLE, .code = ZNOAUTH};
    } else if (znode && znode->there) {
        given = (struct zk_answer){.kind = ZK_FOUND};
        given.data = records[znode->record];
        given.len = strlen(given.data);
        if (read->type == ZK_CHILDREN)
            list(session, read->path, names, &given);
    }
    if (at < ZNODES)
        session->watches[at] = given.kind != ZK_UNREADABLE;
    settle(session, read, &given);
    return true;
}

static void answer_all(struct zk_session *session) {
    while (answer(session, false))
        ;
}

/* The session is over: requests under way fail, watches and events are gone. */
static void restart(struct zk_session *session) {
    session->event_count = 0;
    memset(session->watches, 0, sizeof session->watches);
    struct zk_read *read;
    while ((read = STAILQ_FIRST(&session->queue))) {
        STAILQ_REMOVE_HEAD(&session->queue, next);
        read->state = ZK_IDLE;
        if (read->dropped)
            free(read);
    }
    zk_tree_restarted(session->tree, session);
}

/* The tree. */

static struct zk_session *open_session(struct znode *znodes) {
    static const struct zk_layout layout;
    struct zk_session *session = mem_zalloc(sizeof *session);
    static char wanted[] = "*", unwanted[] = "out", zone[] = "", any[] = "[!z]";
    static char *include[] = {wanted, NULL}, *exclude[] = {unwanted, NULL};
    static char *zones[] = {zone, any, NULL};
    static const struct settings wants = {
        .include = include, .exclude = exclude, .host_zones = zones};
    struct zk_layout own = layout;
    own.services = mem_strdup("/r/services");
    own.config = mem_strdup("/r/config");
    own.suffix = mem_strdup("/hosts");
    own.records = true;
    struct zk_reader reader = {.format = record_format_find("atlas"), .wants = &wants};
    session->znodes = znodes;
    STAILQ_INIT(&session->queue);
    session->tree = zk_tree_new(&own, &reader, false, place, session);
    zk_tree_start(session->tree);
    return session;
}

static void close_session(struct zk_session *session) {
    struct zk_read *read;
    while ((read = STAILQ_FIRST(&session->queue))) {
        STAILQ_REMOVE_HEAD(&session->queue, next);
        if (read->dropped)
            free(read);
    }
    zk_tree_free(session->tree);
    free(session);
}

static void check_catalog(struct zk_session *session, bool *had_one) {
    struct problems problems = {0};
    const struct catalog *catalog = zk_tree_catalog(session->tree);
    fuzz_require(catalog || !*had_one, "the catalog is gone");
    *had_one = catalog;
    zk_tree_problems(session->tree, &problems);
    fuzz_require_problems(&problems, false);
    catalog_unref(catalog);
}

static void play(struct zk_session *session, const uint8_t *data, size_t size) {
    bool had_catalog = false;
    for (size_t i = 0; i + 1 < size && i < STEPS_MAX; i += 2) {
        size_t znode = data[i + 1] % ZNODES;
        unsigned record = data[i + 1] / ZNODES;
        switch (data[i] % 10) {
        case 0:
        case 1:
            create(session, znode, record);
            break;
        case 2:
            destroy(session, znode);
            break;
        case 3:
            session->znodes[znode].refused = !session->znodes[znode].refused;
            break;
        case 4:
            restart(session);
            break;
        case 5:
            zk_tree_refresh(session->tree);
            break;
        case 6:
            zk_tree_retry(session->tree);
            break;
        case 7:
            (void)answer(session, true);
            break;
        case 8:
            answer_all(session);
            break;
        default:
            for (unsigned n = 0; n <= record; n++)
                (void)answer(session, false);
        }
        check_catalog(session, &had_catalog);
    }
}

/* Without a fault left, nothing of what was can matter. */
static void repair(struct zk_session *session) {
    for (size_t i = 0; i < ZNODES; i++) {
        session->znodes[i].refused = false;
        if (session->znodes[i].there && session->znodes[i].record >= GOOD)
            create(session, i, session->znodes[i].record - GOOD);
    }
    answer_all(session);
    zk_tree_retry(session->tree);
    answer_all(session);
}

static void compare(struct zk_tree *old, struct zk_tree *new) {
    const struct catalog *a = zk_tree_catalog(old);
    const struct catalog *b = zk_tree_catalog(new);
    struct problems of_old = {0};
    struct problems of_new = {0};
    fuzz_require(a && b && catalog_equal(a, b), "not the catalog of a fresh start");
    zk_tree_problems(old, &of_old);
    zk_tree_problems(new, &of_new);
    fuzz_require(of_old.count == of_new.count, "%zu problems instead of %zu: %s",
                 of_old.count, of_new.count,
                 of_old.count   ? of_old.items[0].text
                 : of_new.count ? of_new.items[0].text
                                : "");
    fuzz_require(!old->unanswered && old->records == new->records &&
                     old->faulty == new->faulty && old->unreadable == new->unreadable &&
                     old->faulty_services == new->faulty_services &&
                     old->service_count == new->service_count,
                 "the counts are not those of a fresh start");
    fuzz_require(old->services_out == new->services_out &&
                     old->hosts_out == new->hosts_out,
                 "%zu services and %zu hosts out instead of %zu and %zu",
                 old->services_out, old->hosts_out, new->services_out, new->hosts_out);
    problems_free(&of_old);
    problems_free(&of_new);
    catalog_unref(a);
    catalog_unref(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct znode znodes[ZNODES] = {{0}};
    struct zk_session *session = open_session(znodes);
    play(session, data, size);
    repair(session);
    struct zk_session *fresh = open_session(znodes);
    answer_all(fresh);
    compare(session->tree, fresh->tree);
    close_session(fresh);
    close_session(session);
    return 0;
}
