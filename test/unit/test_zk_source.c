/* Tests of the ZooKeeper source on a registry in memory: this program brings its own
 * zk_session_…() calls, so that every order of answers and events can be played. */
#include "base/mem.h"
#include "source/source.h"
#include "source/zk_client.h"
#include "source/zk_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct log quiet = {.fd = -1, .level = LOG_ERROR};

enum { ZNODES_MAX = 20000, SESSIONS_MAX = 8 };

/* The registry. */

struct znode {
    char *path;
    char *data;
    int code; /* what a read gives: ZOK or an error */
};

static struct znode znodes[ZNODES_MAX];
static size_t znode_count;

static struct znode *find_znode(const char *path) {
    for (size_t i = 0; i < znode_count; i++)
        if (strcmp(znodes[i].path, path) == 0)
            return &znodes[i];
    return NULL;
}

static void put(const char *path, const char *data) {
    struct znode *znode = find_znode(path);
    if (!znode) {
        assert_true(znode_count < ZNODES_MAX);
        znode = &znodes[znode_count++];
        *znode = (struct znode){.path = mem_strdup(path)};
    }
    free(znode->data);
    znode->data = mem_strdup(data);
    znode->code = ZOK;
}

static void take_away(const char *path) {
    struct znode *znode = find_znode(path);
    free(znode->path);
    free(znode->data);
    *znode = znodes[--znode_count];
}

/* The sessions: each keeps its reads until the test has them answered. */

struct zk_session {
    struct zk_listener listener;
    STAILQ_HEAD(, zk_read) queue;
    size_t bytes, watches;
    enum zk_session_state state;
};

static struct zk_session *sessions[SESSIONS_MAX];
static size_t session_count;

struct zk_session *zk_session_new(struct event_base *base, const struct log *log,
                                  const struct source_settings *settings,
                                  const struct zk_listener *listener) {
    (void)base;
    (void)log;
    (void)settings;
    struct zk_session *session = mem_zalloc(sizeof *session);
    session->listener = *listener;
    session->state = ZK_CONNECTED;
    STAILQ_INIT(&session->queue);
    assert_true(session_count < SESSIONS_MAX);
    return sessions[session_count++] = session;
}

void zk_session_free(struct zk_session *session) {
    while (!STAILQ_EMPTY(&session->queue)) {
        struct zk_read *read = STAILQ_FIRST(&session->queue);
        STAILQ_REMOVE_HEAD(&session->queue, next);
        if (read->dropped)
            free(read);
    }
    free(session);
}

void zk_session_read(struct zk_session *session, struct zk_read *read) {
    if (!read->session) {
        read->session = session;
        session->bytes += strlen(read->path) + 4;
    }
    assert_ptr_equal(read->session, session);
    assert_false(read->dropped);
    if (read->state == ZK_SENT) {
        read->again = true;
    } else if (read->state != ZK_QUEUED) {
        session->watches -= (read->state == ZK_WATCHED);
        read->state = ZK_QUEUED;
        STAILQ_INSERT_TAIL(&session->queue, read, next);
    }
}

void zk_session_drop(struct zk_read *read) {
    read->session->bytes -= strlen(read->path) + 4;
    read->dropped = true;
    read->session->watches -= (read->state == ZK_WATCHED);
    if (read->state != ZK_QUEUED && read->state != ZK_SENT)
        free(read);
}

void zk_session_status(const struct zk_session *session,
                       struct zk_session_status *status) {
    *status = (struct zk_session_status){
        .state = session->state,
        .server = "server:1",
        .why = session->state == ZK_CONNECTED ? "" : "gone away",
        .watches = session->watches,
        .watch_bytes = session->bytes,
    };
}

/* Names of the znodes below the path, in the client's order: any. */
static size_t list_children(const char *path, char **names) {
    size_t count = 0;
    size_t len = strcmp(path, "/") == 0 ? 0 : strlen(path);
    for (size_t i = znode_count; i-- > 0;) {
        const char *child = znodes[i].path;
        if (!strncmp(child, path, len) && child[len] == '/' && child[len + 1] &&
            !strchr(child + len + 1, '/'))
            names[count++] = znodes[i].path + len + 1;
    }
    return count;
}

static void settle(struct zk_read *read, struct zk_answer *answer) {
    struct zk_session *session = read->session;
    answer->stale = read->again;
    read->again = false;
    session->listener.answered(session->listener.arg, read, answer);
    if (read->dropped) {
        free(read);
        return;
    }
    bool unreadable = answer->kind == ZK_UNREADABLE;
    read->state = unreadable ? ZK_IDLE : ZK_WATCHED;
    session->watches += !unreadable;
    if (answer->stale)
        zk_session_read(session, read);
}

/* Answers a read that was sent, by what the registry holds now. */
static void answer(struct zk_read *read) {
    static char *names[ZNODES_MAX];
    const struct znode *znode = find_znode(read->path);
    struct zk_answer given = {.kind = ZK_MISSING, .code = ZNONODE};
    if (znode && znode->code != ZOK) {
        given = (struct zk_answer){.kind = ZK_UNREADABLE, .code = znode->code};
    } else if (znode && read->type == ZK_DATA) {
        given = (struct zk_answer){.data = znode->data, .len = strlen(znode->data)};
    } else if (znode) {
        given.kind = ZK_FOUND;
        given.names = names;
        given.count = list_children(read->path, names);
    }
    settle(read, &given);
}

/* Sends the first read of the queue. Returns it, NULL if there was none. */
static struct zk_read *send_one(struct zk_session *session) {
    struct zk_read *read = STAILQ_FIRST(&session->queue);
    if (!read)
        return NULL;
    STAILQ_REMOVE_HEAD(&session->queue, next);
    read->state = ZK_SENT;
    return read;
}

static bool answer_one(struct zk_session *session) {
    struct zk_read *read = send_one(session);
    if (read && read->dropped)
        free(read);
    else if (read)
        answer(read);
    return read;
}

static void fire(const char *path) {
    for (size_t i = 0; i < session_count; i++)
        sessions[i]->listener.fired(sessions[i]->listener.arg, sessions[i], path);
}

/* The source under test. */

struct world {
    struct event_base *base;
    struct source_settings settings;
    struct settings whole;
    struct source *source;
    unsigned changes;
};

static void count_change(void *arg, struct source *source) {
    struct world *world = arg;
    assert_ptr_equal(source, world->source);
    world->changes++;
}

static void end_turn(struct world *world) {
    for (size_t i = 0; i < session_count; i++)
        sessions[i]->listener.turned(sessions[i]->listener.arg, sessions[i]);
    (void)event_base_loop(world->base, EVLOOP_NONBLOCK);
}

/* Answers all that is asked until nothing more is. */
static void settle_all(struct world *world) {
    bool more = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < session_count; i++)
            while (answer_one(sessions[i]))
                more = true;
    }
    end_turn(world);
}

static char hosts[] = "zk:2181";
static char root[] = "/atlas";
static char realm[] = "prod";

#define SERVICES "/atlas/prod/services"
#define CONFIG "/atlas/prod/config"
#define TEAMS SERVICES "/teams"

static int setup(void **state) {
    struct world *world = mem_zalloc(sizeof *world);
    struct error error;
    world->base = event_base_new();
    world->settings = (struct source_settings){
        .kind = SOURCE_ZOOKEEPER, .hosts = hosts, .root = root, .realm = realm};
    put(SERVICES, "");
    put(TEAMS, "{\"retries\":1}");
    put(TEAMS "/hosts", "");
    put(TEAMS "/hosts/a", "{\"host\":\"a\",\"port\":1}");
    put(TEAMS "/hosts/b", "{\"host\":\"b\",\"port\":2}");
    world->source =
        source_open(world->base, &quiet, &world->settings, count_change, world, &error);
    *state = world;
    return world->source ? 0 : -1;
}

/* Begins anew with the settings as they are now. */
static void reopen(struct world *world) {
    struct error error;
    source_close(world->source);
    session_count = 0;
    world->source =
        source_open(world->base, &quiet, &world->settings, count_change, world, &error);
    if (!world->source)
        fail_msg("%s: %s", error.where, error.text);
    settle_all(world);
}

static int teardown(void **state) {
    struct world *world = *state;
    source_close(world->source);
    event_base_free(world->base);
    free(world);
    while (znode_count)
        take_away(znodes[0].path);
    session_count = 0;
    return 0;
}

static struct source_status status_of(const struct world *world) {
    struct source_status status;
    source_status(world->source, &status);
    return status;
}

/* The catalog as "teams(a b) users()". */
static void assert_catalog(struct world *world, const char *expected) {
    const struct catalog *catalog = source_catalog(world->source);
    struct buffer text = BUFFER_INIT;
    for (size_t i = 0; catalog && i < catalog->service_count; i++) {
        const struct service *service = catalog->services[i];
        buffer_printf(&text, "%s%s(", i ? " " : "", service->name);
        for (size_t k = 0; k < service->host_count; k++)
            buffer_printf(&text, "%s%s", k ? " " : "", service->hosts[k]->id);
        buffer_putc(&text, ')');
    }
    assert_string_equal(catalog ? buffer_str(&text) : "none", expected);
    buffer_free(&text);
    catalog_unref(catalog);
}

/* Exactly one problem, which has both texts; NULL: there is none. */
static void assert_problem(struct world *world, const char *where, const char *text) {
    struct problems problems = {0};
    source_problems(world->source, &problems);
    assert_int_equal(problems.count, where ? 1 : 0);
    if (where) {
        assert_string_equal(problems.items[0].where, where);
        assert_non_null(strstr(problems.items[0].text, text));
    }
    problems_free(&problems);
}

/* The tests. */

static void test_first_read(void **state) {
    struct world *world = *state;
    assert_catalog(world, "none");
    while (answer_one(sessions[0])) {
        if (!STAILQ_EMPTY(&sessions[0]->queue))
            assert_catalog(world, "none");
    }
    assert_int_equal(world->changes, 0);
    end_turn(world);
    assert_int_equal(world->changes, 1);
    assert_catalog(world, "teams(a b)");
    assert_problem(world, NULL, NULL);
    assert_int_equal(status_of(world).state, SOURCE_READY);
    assert_int_equal(status_of(world).full_reads, 1);
    assert_int_equal(status_of(world).records, 3);
    assert_int_equal(status_of(world).watches, 6);
}

/* Whoever asks late gets what was whole, not what is being read again by then. */
static void test_change_after_the_first_read(void **state) {
    struct world *world = *state;
    while (answer_one(sessions[0]))
        ;
    take_away(TEAMS "/hosts/b");
    put(TEAMS "/hosts/c", "{\"host\":\"c\",\"port\":3}");
    fire(TEAMS "/hosts");
    assert_true(answer_one(sessions[0]));
    assert_catalog(world, "teams(a b)");
    settle_all(world);
    assert_catalog(world, "teams(a c)");
}

static void test_every_path_is_watched_once(void **state) {
    struct world *world = *state;
    settle_all(world);
    put(TEAMS "/hosts/c", "{\"host\":\"c\",\"port\":3}");
    fire(TEAMS "/hosts");
    settle_all(world);
    assert_catalog(world, "teams(a b c)");
    assert_int_equal(sessions[0]->watches, 7);
    put(TEAMS "/hosts/a", "{\"host\":\"other\",\"port\":1}");
    fire(TEAMS "/hosts/a");
    settle_all(world);
    const struct catalog *catalog = source_catalog(world->source);
    assert_string_equal(catalog->services[0]->hosts[0]->host, "other");
    catalog_unref(catalog);
    assert_int_equal(sessions[0]->watches, 7);
}

static void test_listed_and_gone_before_it_is_read(void **state) {
    struct world *world = *state;
    while (STAILQ_FIRST(&sessions[0]->queue)->type == ZK_CHILDREN)
        (void)answer_one(sessions[0]);
    put(TEAMS "/hosts/c", "{\"host\":\"c\",\"port\":3}");
    while (!strstr(STAILQ_FIRST(&sessions[0]->queue)->path, "hosts/"))
        (void)answer_one(sessions[0]);
    take_away(TEAMS "/hosts/b");
    settle_all(world);
    assert_catalog(world, "teams(a)");
    assert_problem(world, NULL, NULL);
    fire(TEAMS "/hosts");
    settle_all(world);
    assert_catalog(world, "teams(a c)");
}

/* A request is under way when the list says that its znode is gone. */
static void test_gone_while_it_is_read(void **state) {
    struct world *world = *state;
    settle_all(world);
    fire(TEAMS "/hosts/b");
    struct zk_read *read = send_one(sessions[0]);
    take_away(TEAMS "/hosts/b");
    fire(TEAMS "/hosts");
    settle_all(world);
    assert_true(read->dropped);
    free(read);
    assert_catalog(world, "teams(a)");
    assert_int_equal(sessions[0]->watches, 5);
}

static void test_a_service_appears_when_it_is_whole(void **state) {
    struct world *world = *state;
    settle_all(world);
    put(SERVICES "/users", "{}");
    put(SERVICES "/users/hosts", "");
    put(SERVICES "/users/hosts/u", "{\"host\":\"u\",\"port\":1}");
    fire(SERVICES);
    while (!STAILQ_EMPTY(&sessions[0]->queue)) {
        assert_catalog(world, "teams(a b)");
        assert_int_equal(status_of(world).state, SOURCE_READY);
        (void)answer_one(sessions[0]);
    }
    assert_catalog(world, "teams(a b) users(u)");
}

static void test_deleted_and_created_again(void **state) {
    struct world *world = *state;
    settle_all(world);
    for (int round = 0; round < 3; round++) {
        take_away(TEAMS "/hosts/a");
        take_away(TEAMS "/hosts/b");
        take_away(TEAMS "/hosts");
        take_away(TEAMS);
        fire(TEAMS "/hosts/a");
        fire(TEAMS "/hosts/b");
        fire(TEAMS "/hosts");
        fire(TEAMS);
        fire(SERVICES);
        if (round) /* else it is back before anything is read */
            settle_all(world);
        put(TEAMS, "{}");
        put(TEAMS "/hosts", "");
        put(TEAMS "/hosts/a", "{\"host\":\"a\",\"port\":1}");
        if (round)
            assert_catalog(world, "");
        fire(SERVICES);
        settle_all(world);
        assert_catalog(world, "teams(a)");
        put(TEAMS "/hosts/b", "{\"host\":\"b\",\"port\":2}");
        fire(TEAMS "/hosts");
        settle_all(world);
        assert_catalog(world, "teams(a b)");
        assert_int_equal(sessions[0]->watches, 6);
    }
}

static const struct {
    const char *path, *data, *text;
} bad_records[] = {
    {TEAMS "/hosts/a", "{not json", "keeps its last good value"},
    {TEAMS "/hosts/a", "{\"host\":\"a\"}", "keeps its last good value"},
    {TEAMS "/hosts/a", "{\"host\":\"a\",\"port\":70000}", "keeps its last good value"},
    {TEAMS "/hosts/a", "[]", "keeps its last good value"},
    {TEAMS, "{\"retries\":\"many\"}", "the last good value is kept"},
    {TEAMS, "null", "the last good value is kept"},
};

static void test_bad_records_keep_their_last_good_value(void **state) {
    struct world *world = *state;
    settle_all(world);
    const struct catalog *before = source_catalog(world->source);
    for (size_t i = 0; i < sizeof bad_records / sizeof *bad_records; i++) {
        char *good = mem_strdup(find_znode(bad_records[i].path)->data);
        world->changes = 0;
        put(bad_records[i].path, bad_records[i].data);
        fire(bad_records[i].path);
        settle_all(world);
        assert_problem(world, bad_records[i].path, bad_records[i].text);
        assert_int_equal(world->changes, 1);
        const struct catalog *now = source_catalog(world->source);
        assert_ptr_equal(before, now);
        catalog_unref(now);
        put(bad_records[i].path, good);
        fire(bad_records[i].path);
        settle_all(world);
        assert_problem(world, NULL, NULL);
        assert_int_equal(world->changes, 2);
        free(good);
    }
    catalog_unref(before);
}

static void test_bad_record_at_first(void **state) {
    struct world *world = *state;
    put(TEAMS "/hosts/a", "{");
    settle_all(world);
    assert_catalog(world, "teams(b)");
    assert_problem(world, TEAMS "/hosts/a", "left out");
    take_away(TEAMS "/hosts/a");
    fire(TEAMS "/hosts");
    settle_all(world);
    assert_problem(world, NULL, NULL);
}

static void test_bad_service_name(void **state) {
    struct world *world = *state;
    put(SERVICES "/a b", "{}");
    settle_all(world);
    assert_catalog(world, "teams(a b)");
    assert_problem(world, SERVICES "/a b", "can't be a service's name");
}

static void test_unreadable_record(void **state) {
    struct world *world = *state;
    settle_all(world);
    find_znode(TEAMS "/hosts/a")->code = ZNOAUTH;
    fire(TEAMS "/hosts/a");
    settle_all(world);
    assert_catalog(world, "teams(a b)");
    assert_problem(world, TEAMS "/hosts/a", "NOAUTH");
    find_znode(TEAMS "/hosts/a")->code = ZOK;
    fire(TEAMS "/hosts"); /* reads again what is listed and not watched */
    settle_all(world);
    assert_problem(world, NULL, NULL);
    assert_int_equal(sessions[0]->watches, 6);
}

static void test_unreadable_list_of_services(void **state) {
    struct world *world = *state;
    find_znode(SERVICES)->code = ZNOAUTH;
    settle_all(world);
    assert_catalog(world, "none");
    assert_problem(world, SERVICES, "needs auth");
    assert_int_equal(status_of(world).state, SOURCE_SYNCING);
    assert_non_null(strstr(status_of(world).text, "NOAUTH"));
}

static void test_missing_root(void **state) {
    struct world *world = *state;
    take_away(SERVICES);
    settle_all(world);
    assert_catalog(world, "");
    assert_problem(world, SERVICES, "does not exist");
    assert_non_null(strstr(status_of(world).text, "does not exist yet"));
    put(SERVICES, "");
    fire(SERVICES);
    settle_all(world);
    assert_catalog(world, "teams(a b)");
    assert_problem(world, NULL, NULL);
}

static const json_t *vars_of_teams(struct world *world) {
    const struct catalog *catalog = source_catalog(world->source);
    const json_t *vars = json_object_get(catalog->services[0]->vars, "URL");
    catalog_unref(catalog);
    return vars;
}

static void test_config_comes_and_goes(void **state) {
    struct world *world = *state;
    settle_all(world);
    assert_null(vars_of_teams(world));
    put(CONFIG, "");
    put(CONFIG "/teams", "{\"URL\":\"x\"}");
    put(CONFIG "/nobody", "{}");
    fire(CONFIG);
    settle_all(world);
    assert_string_equal(json_string_value(vars_of_teams(world)), "x");
    take_away(CONFIG "/teams");
    fire(CONFIG "/teams");
    fire(CONFIG);
    settle_all(world);
    assert_null(vars_of_teams(world));
}

static void test_unchanged_services_are_shared(void **state) {
    struct world *world = *state;
    put(SERVICES "/users", "{}");
    settle_all(world);
    const struct catalog *before = source_catalog(world->source);
    put(SERVICES "/users", "{\"retries\":2}");
    fire(SERVICES "/users");
    settle_all(world);
    const struct catalog *after = source_catalog(world->source);
    assert_ptr_equal(before->services[0], after->services[0]);
    assert_ptr_not_equal(before->services[1], after->services[1]);
    catalog_unref(before);
    catalog_unref(after);
}

/* Sessions that end. */

static void lose(struct world *world, struct zk_session *session) {
    session->state = ZK_LOST;
    end_turn(world);
}

static void begin_again(struct zk_session *session) {
    session->listener.restarted(session->listener.arg, session);
    session->state = ZK_CONNECTED;
}

static void test_lost_session(void **state) {
    struct world *world = *state;
    settle_all(world);
    const struct catalog *before = source_catalog(world->source);
    lose(world, sessions[0]);
    assert_int_equal(status_of(world).state, SOURCE_LOST);
    assert_non_null(strstr(status_of(world).text, "gone away"));
    begin_again(sessions[0]);
    while (answer_one(sessions[0])) {
        const struct catalog *now = source_catalog(world->source);
        assert_ptr_equal(before, now);
        catalog_unref(now);
        if (!STAILQ_EMPTY(&sessions[0]->queue)) {
            end_turn(world);
            assert_int_equal(status_of(world).state, SOURCE_SYNCING);
        }
    }
    end_turn(world);
    assert_int_equal(status_of(world).state, SOURCE_READY);
    assert_int_equal(status_of(world).full_reads, 2);
    catalog_unref(before);
}

/* Hosts with paths so long that one session can't watch them all (SetWatches). */
static void fill_sessions(void) {
    char path[256];
    for (int i = 0; i < 9000; i++) {
        (void)snprintf(path, sizeof path, "%s/hosts/%0100d", TEAMS, i);
        assert_true(znode_count < ZNODES_MAX);
        znodes[znode_count++] = (struct znode){
            mem_strdup(path), mem_strdup("{\"host\":\"h\",\"port\":1}"), ZOK};
    }
}

/* Answers without looking at the registry, which is slow for so many. */
static void answer_all_hosts(struct zk_session *session) {
    struct zk_read *read;
    while ((read = send_one(session))) {
        char data[64];
        const char *number = strrchr(read->path, '/') + 1;
        if (read->type == ZK_CHILDREN || strlen(number) != 100) {
            answer(read);
            continue;
        }
        (void)snprintf(data, sizeof data, "{\"host\":\"h\",\"port\":%d}",
                       1 + atoi(number)); /* NOLINT(cert-err34-c) */
        struct zk_answer found = {.kind = ZK_FOUND, .data = data, .len = strlen(data)};
        settle(read, &found);
    }
}

static void test_watches_are_spread_over_sessions(void **state) {
    struct world *world = *state;
    fill_sessions();
    for (size_t i = 0; i < session_count; i++)
        answer_all_hosts(sessions[i]);
    end_turn(world);
    assert_int_equal(session_count, 2);
    for (size_t i = 0; i < session_count; i++)
        assert_true(sessions[i]->bytes < 900000);
    assert_int_equal(status_of(world).watches, 9006);
    assert_int_equal(status_of(world).state, SOURCE_READY);
    lose(world, sessions[1]);
    assert_int_equal(status_of(world).state, SOURCE_LOST);
    begin_again(sessions[1]);
    assert_true(STAILQ_EMPTY(&sessions[0]->queue));
    answer_all_hosts(sessions[1]);
    end_turn(world);
    assert_int_equal(status_of(world).state, SOURCE_READY);
    assert_int_equal(status_of(world).full_reads, 1);
    source_refresh(world->source);
    answer_all_hosts(sessions[1]);
    assert_int_equal(status_of(world).full_reads, 1);
    answer_all_hosts(sessions[0]);
    end_turn(world);
    assert_int_equal(status_of(world).full_reads, 2);
}

/* source_refresh. */

static void test_refresh(void **state) {
    struct world *world = *state;
    settle_all(world);
    const struct catalog *before = source_catalog(world->source);
    world->changes = 0;
    source_refresh(world->source);
    for (int left = 6; left; left--) {
        end_turn(world);
        assert_int_equal(status_of(world).full_reads, 1);
        assert_int_equal(status_of(world).state, SOURCE_READY);
        assert_true(answer_one(sessions[0]));
    }
    assert_null(send_one(sessions[0]));
    end_turn(world);
    assert_int_equal(status_of(world).full_reads, 2);
    assert_true(world->changes > 0);
    const struct catalog *after = source_catalog(world->source);
    assert_ptr_equal(before, after);
    catalog_unref(before);
    catalog_unref(after);
}

/* What was asked before the call tells nothing of the time after it. */
static void test_refresh_trusts_no_earlier_answer(void **state) {
    struct world *world = *state;
    settle_all(world);
    fire(TEAMS "/hosts/a");
    struct zk_read *early = send_one(sessions[0]);
    source_refresh(world->source);
    while (answer_one(sessions[0]))
        continue;
    answer(early);
    end_turn(world);
    assert_int_equal(status_of(world).full_reads, 1);
    assert_true(answer_one(sessions[0]));
    end_turn(world);
    assert_int_equal(status_of(world).full_reads, 2);
}

static void test_refresh_before_the_first_read(void **state) {
    struct world *world = *state;
    source_refresh(world->source);
    (void)answer_one(sessions[0]);
    source_refresh(world->source);
    settle_all(world);
    assert_int_equal(status_of(world).full_reads, 1);
}

static void test_refreshes_that_overlap_are_one(void **state) {
    struct world *world = *state;
    settle_all(world);
    source_refresh(world->source);
    for (int i = 0; i < 5; i++)
        (void)answer_one(sessions[0]);
    source_refresh(world->source);
    (void)answer_one(sessions[0]);
    end_turn(world);
    assert_int_equal(status_of(world).full_reads, 1);
    settle_all(world);
    assert_int_equal(status_of(world).full_reads, 2);
    settle_all(world);
    assert_int_equal(status_of(world).full_reads, 2);
}

static void test_refresh_of_a_lost_session(void **state) {
    struct world *world = *state;
    settle_all(world);
    lose(world, sessions[0]);
    source_refresh(world->source);
    end_turn(world);
    assert_int_equal(status_of(world).full_reads, 1);
    begin_again(sessions[0]);
    settle_all(world);
    assert_int_equal(status_of(world).full_reads, 2);
}

static void test_refresh_finds_what_no_watch_told(void **state) {
    struct world *world = *state;
    settle_all(world);
    take_away(TEAMS "/hosts/b");
    put(TEAMS "/hosts/c", "{\"host\":\"c\",\"port\":3}");
    put(TEAMS "/hosts/a", "{\"host\":\"a\",\"port\":9}");
    source_refresh(world->source);
    settle_all(world);
    assert_catalog(world, "teams(a c)");
    assert_int_equal(status_of(world).full_reads, 2);
}

/* Settings that can never work. */

static const struct {
    const char *hosts, *auth_scheme, *auth_file, *auth_env, *format, *path, *where;
} bad_settings[] = {
    {.hosts = "", .where = "zookeeper"},
    {.hosts = "zk", .where = "zookeeper"},
    {.hosts = "zk:2181,", .where = "zookeeper"},
    {.hosts = "zk:0", .where = "zookeeper"},
    {.hosts = "zk:1", .auth_scheme = "digest", .where = "zookeeper.auth"},
    {.hosts = "zk:1", .auth_file = "/secret", .where = "zookeeper.auth"},
    {.hosts = "zk:1", .format = "xml", .where = "zookeeper.format"},
    {.hosts = "zk:1", .format = "nerve", .path = "/a", .where = "zookeeper.path"},
    {.hosts = "zk:1", .auth_env = "NO_SUCH_VARIABLE", .where = "zookeeper.auth"},
    {.hosts = "zk:1",
     .auth_scheme = "digest",
     .auth_env = "NO_SUCH_VARIABLE",
     .where = "zookeeper.auth.env"},
};

static void test_settings_that_never_work(void **state) {
    struct world *world = *state;
    for (size_t i = 0; i < sizeof bad_settings / sizeof *bad_settings; i++) {
        struct error error;
        const struct source_settings settings = {
            .hosts = (char *)bad_settings[i].hosts,
            .auth_scheme = (char *)bad_settings[i].auth_scheme,
            .auth_file = (char *)bad_settings[i].auth_file,
            .auth_env = (char *)bad_settings[i].auth_env,
            .format = (char *)bad_settings[i].format,
            .path = (char *)bad_settings[i].path,
        };
        assert_null(
            source_open(world->base, &quiet, &settings, count_change, world, &error));
        assert_string_equal(error.where, bad_settings[i].where);
    }
}

/* Other registries. */

static const char *find_host(struct world *world, const char *service, size_t index) {
    const struct catalog *catalog = source_catalog(world->source);
    const struct service *found = catalog_find(catalog, service);
    static char text[256];
    assert_true(found && index < found->host_count);
    const struct host *host = found->hosts[index];
    (void)snprintf(text, sizeof text, "%s %s:%u%s", host->id, host->host, host->port,
                   host->enabled ? "" : " disabled");
    catalog_unref(catalog);
    return text;
}

static char nerve[] = "nerve", serverset[] = "serverset", curator[] = "curator";

static void test_nerve(void **state) {
    struct world *world = *state;
    put("/nerve/services", "");
    put("/nerve/services/teams", "not read");
    put("/nerve/services/teams/services", "{\"haproxy\":{}}");
    put("/nerve/services/teams/services/i-1_0000000003",
        "{\"host\":\"10.0.0.1\",\"port\":80,\"name\":\"i-1\"}");
    put("/nerve/services/teams/services/i-2_0000000004", "{\"host\":\"10.0.0.2\"}");
    put("/nerve/services/empty", "");
    world->settings.format = nerve;
    reopen(world);
    assert_string_equal(source_name(world->source),
                        "zookeeper:zk:2181/nerve/services/{service}/services");
    assert_string_equal(find_host(world, "teams", 0), "i-1_0000000003 10.0.0.1:80");
    assert_catalog(world, "empty() teams(i-1_0000000003)");
    assert_problem(world, "/nerve/services/teams/services/i-2_0000000004", "left out");
    assert_int_equal(status_of(world).watches, 5);
    put("/nerve/services/teams/services/i-2_0000000004",
        "{\"host\":\"10.0.0.2\",\"port\":81}");
    fire("/nerve/services/teams/services/i-2_0000000004");
    settle_all(world);
    assert_catalog(world, "empty() teams(i-1_0000000003 i-2_0000000004)");
    assert_problem(world, NULL, NULL);
}

static void test_members_of_server_sets(void **state) {
    struct world *world = *state;
    static char path[] = "/aurora/www/prod/{service}";
    static char admin[] = "admin";
    put("/aurora/www/prod", "");
    put("/aurora/www/prod/web", "");
    put("/aurora/www/prod/web/member_0000000001",
        "{\"serviceEndpoint\":{\"host\":\"a\",\"port\":1},\"additionalEndpoints\":{"
        "\"admin\":{\"host\":\"a\",\"port\":2}},\"status\":\"STARTING\"}");
    put("/aurora/www/prod/web/vector_0000000001", "{\"vector\":[]}");
    world->settings.format = serverset;
    world->settings.path = path;
    world->settings.endpoint = admin;
    reopen(world);
    assert_catalog(world, "web(member_0000000001)");
    assert_string_equal(find_host(world, "web", 0), "member_0000000001 a:2 disabled");
    assert_problem(world, NULL, NULL);
    assert_int_equal(status_of(world).watches, 3);
}

/* The pattern's {service} may be the first part: ZooKeeper's own znode is no service. */
static void test_services_at_the_top(void **state) {
    struct world *world = *state;
    static char path[] = "/{service}/instances";
    put("/", "");
    put("/zookeeper", "");
    put("/zookeeper/quota", "");
    put("/web", "");
    put("/web/instances", "");
    put("/web/instances/1", "{\"address\":\"a\",\"port\":1}");
    take_away(SERVICES);
    world->settings.format = curator;
    world->settings.path = path;
    reopen(world);
    assert_catalog(world, "web(1)");
    put("/more", "");
    put("/more/instances/2", "{\"address\":\"b\",\"port\":1}");
    put("/more/instances", "");
    fire("/");
    settle_all(world);
    assert_catalog(world, "more(2) web(1)");
}

static void test_chroot_of_other_registries(void **state) {
    struct world *world = *state;
    static char path[] = "/{service}", chroot[] = "/zoo";
    put("/zoo", "");
    put("/zoo/web", "");
    put("/zoo/web/1", "{\"address\":\"a\",\"port\":1}");
    put("/zoo/zookeeper", "");
    world->settings.format = curator;
    world->settings.path = path;
    world->settings.chroot = chroot;
    reopen(world);
    assert_catalog(world, "web(1) zookeeper()");
}

/* Filters. */

static void test_services_that_are_not_wanted(void **state) {
    struct world *world = *state;
    static char team[] = "t?am*", x[] = "*-x";
    static char *include[] = {team, NULL}, *exclude[] = {x, NULL};
    world->whole = (struct settings){.include = include, .exclude = exclude};
    world->settings.whole = &world->whole;
    put(SERVICES "/team-x", "{");
    put(SERVICES "/users", "{");
    put(SERVICES "/no name", "");
    put(CONFIG, "");
    put(CONFIG "/teams", "{\"A\":1}");
    put(CONFIG "/users", "{\"A\":1}");
    reopen(world);
    assert_catalog(world, "teams(a b)");
    assert_problem(world, NULL, NULL);
    struct source_status status = status_of(world);
    assert_int_equal(status.watches, 7);
    assert_int_equal(status.records, 4);
    assert_int_equal(status.services_out, 3);
    assert_non_null(strstr(status.text, "3 services and 0 hosts are not wanted"));
    put(SERVICES "/teams-2", "{}");
    take_away(SERVICES "/users");
    fire(SERVICES);
    settle_all(world);
    assert_catalog(world, "teams(a b) teams-2()");
    assert_int_equal(status_of(world).services_out, 2);
}

static void test_hosts_that_are_not_wanted(void **state) {
    struct world *world = *state;
    static char east[] = "east*", none[] = "";
    static char *zones[] = {east, none, NULL};
    json_t *labels = json_pack("{s:s, s:s}", "tier", "w*", "old", "");
    world->whole = (struct settings){.host_zones = zones, .host_labels = labels};
    world->settings.whole = &world->whole;
    put(TEAMS "/hosts/a", "{\"host\":\"a\",\"port\":1,\"labels\":{\"tier\":\"web\"}}");
    put(TEAMS "/hosts/b", "{\"host\":\"b\",\"port\":1,\"zone\":\"east-1\","
                          "\"labels\":{\"tier\":\"web\"}}");
    put(TEAMS "/hosts/c", "{\"host\":\"c\",\"port\":1,\"zone\":\"west\","
                          "\"labels\":{\"tier\":\"web\"}}");
    put(TEAMS "/hosts/d", "{\"host\":\"d\",\"port\":1,\"labels\":{\"tier\":\"db\"}}");
    put(TEAMS "/hosts/e", "{\"host\":\"e\",\"port\":1}");
    put(TEAMS "/hosts/f", "{\"host\":\"f\",\"port\":1,"
                          "\"labels\":{\"tier\":\"web\",\"old\":1}}");
    reopen(world);
    assert_catalog(world, "teams(a b)");
    assert_int_equal(status_of(world).hosts_out, 4);
    put(TEAMS "/hosts/c", "{\"host\":\"c\",\"port\":1,\"zone\":\"east\","
                          "\"labels\":{\"tier\":\"web\"}}");
    fire(TEAMS "/hosts/c");
    put(TEAMS "/hosts/b", "{\"host\":\"b\",\"port\":1,\"zone\":\"west\"}");
    fire(TEAMS "/hosts/b");
    take_away(TEAMS "/hosts/d");
    fire(TEAMS "/hosts");
    settle_all(world);
    assert_catalog(world, "teams(a c)");
    assert_int_equal(status_of(world).hosts_out, 3);
    put(TEAMS "/hosts/b", "{");
    fire(TEAMS "/hosts/b");
    settle_all(world);
    assert_int_equal(status_of(world).hosts_out, 2);
    assert_problem(world, TEAMS "/hosts/b", "left out");
    json_decref(labels);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_first_read),
        TEST(test_change_after_the_first_read),
        TEST(test_every_path_is_watched_once),
        TEST(test_listed_and_gone_before_it_is_read),
        TEST(test_gone_while_it_is_read),
        TEST(test_a_service_appears_when_it_is_whole),
        TEST(test_deleted_and_created_again),
        TEST(test_bad_records_keep_their_last_good_value),
        TEST(test_bad_record_at_first),
        TEST(test_bad_service_name),
        TEST(test_unreadable_record),
        TEST(test_unreadable_list_of_services),
        TEST(test_missing_root),
        TEST(test_config_comes_and_goes),
        TEST(test_unchanged_services_are_shared),
        TEST(test_lost_session),
        TEST(test_watches_are_spread_over_sessions),
        TEST(test_refresh),
        TEST(test_refresh_trusts_no_earlier_answer),
        TEST(test_refresh_before_the_first_read),
        TEST(test_refreshes_that_overlap_are_one),
        TEST(test_refresh_of_a_lost_session),
        TEST(test_refresh_finds_what_no_watch_told),
        TEST(test_settings_that_never_work),
        TEST(test_nerve),
        TEST(test_members_of_server_sets),
        TEST(test_services_at_the_top),
        TEST(test_chroot_of_other_registries),
        TEST(test_services_that_are_not_wanted),
        TEST(test_hosts_that_are_not_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
