/* The ZooKeeper source: settings to layout, sessions to tree, and how all that stands in
 * words for people. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/schema.h"
#include "source/source_internal.h"
#include "source/zk_tree.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_UNREADABLE_S = 10,
    /* After a reconnect the client sends all paths that it watches in one packet, of
     * which the server takes 1 MiB (jute.maxbuffer): beyond this, another session. */
    WATCH_BYTES_MAX = 800000,
};

struct zk_source {
    struct source source; /* first: see source_internal.h */
    struct zk_tree *tree;
    struct zk_session **sessions;
    size_t session_count;
    struct event *retry;
    struct source_status status; /* what the last turn left; its text is `text` */
    char text[1024];
    int64_t sync_began; /* when reading from the start began; 0: that is done */
};

/* Status. */

/* The first session that is not connected, else the first one. */
static struct zk_session_status worst_session(const struct zk_source *zk) {
    struct zk_session_status worst;
    zk_session_status(zk->sessions[0], &worst);
    for (size_t i = 1; i < zk->session_count && worst.state == ZK_CONNECTED; i++) {
        struct zk_session_status status;
        zk_session_status(zk->sessions[i], &status);
        if (status.state != ZK_CONNECTED)
            worst = status;
    }
    return worst;
}

static void describe_lost(struct zk_source *zk, const struct zk_session_status *session) {
    bool begun = session->state == ZK_LOST || zk->tree->synced;
    zk->status.state = zk->tree->synced ? SOURCE_LOST : SOURCE_CONNECTING;
    if (session->why[0])
        (void)snprintf(zk->text, sizeof zk->text, "%s, retrying (%s)",
                       begun ? "connection lost" : "not connected", session->why);
    else
        (void)snprintf(zk->text, sizeof zk->text, "connecting to %s",
                       zk->source.settings->hosts);
}

static void describe_ready(struct zk_source *zk,
                           const struct zk_session_status *session) {
    size_t services = zk->tree->services_out;
    size_t hosts = zk->tree->hosts_out;
    char out[96] = "";
    if (services || hosts)
        (void)snprintf(out, sizeof out,
                       ", %zu services and %zu hosts are not wanted here", services,
                       hosts);
    (void)snprintf(zk->text, sizeof zk->text, "connected to %s, %zu watches%s",
                   session->server, zk->status.watches, out);
}

static void describe_connected(struct zk_source *zk,
                               const struct zk_session_status *session) {
    const struct zk_tree *tree = zk->tree;
    const struct zk_node *services = tree->services;
    bool syncing = !tree->synced || tree->behind;
    zk->status.state = syncing ? SOURCE_SYNCING : SOURCE_READY;
    if (services->unreadable)
        (void)snprintf(zk->text, sizeof zk->text, "connected to %s, can't read %s: %s",
                       session->server, services->path, services->problems.items[0].text);
    else if (syncing)
        (void)snprintf(
            zk->text, sizeof zk->text, "connected to %s, reading%s (%zu of %u)",
            session->server, tree->synced ? " everything again" : "",
            HASH_COUNT(tree->nodes) - tree->unanswered, HASH_COUNT(tree->nodes));
    else if (!services->found)
        (void)snprintf(zk->text, sizeof zk->text,
                       "connected to %s, %s does not exist yet", session->server,
                       services->path);
    else
        describe_ready(zk, session);
}

static void describe(struct zk_source *zk) {
    struct zk_session_status worst = worst_session(zk);
    zk->status.text = zk->text;
    zk->status.records = zk->tree->records;
    zk->status.full_reads = zk->tree->full_reads;
    zk->status.services_out = zk->tree->services_out;
    zk->status.hosts_out = zk->tree->hosts_out;
    zk->status.watches = 0;
    for (size_t i = 0; i < zk->session_count; i++) {
        struct zk_session_status session;
        zk_session_status(zk->sessions[i], &session);
        zk->status.watches += session.watches;
    }
    if (worst.state == ZK_CONNECTED)
        describe_connected(zk, &worst);
    else
        describe_lost(zk, &worst);
}

static void log_synced(struct zk_source *zk) {
    const struct catalog *catalog = zk_tree_catalog(zk->tree);
    log_info(zk->source.log, "read the registry", LOG_STR("source", zk->source.name),
             LOG_INT("services", catalog->service_count),
             LOG_INT("hosts", catalog_host_count(catalog)),
             LOG_INT("watches", zk->status.watches),
             LOG_INT("services_out", zk->tree->services_out),
             LOG_INT("hosts_out", zk->tree->hosts_out),
             LOG_USEC("ms", clock_usec() - zk->sync_began));
    catalog_unref(catalog);
    zk->sync_began = 0;
}

/* Calls from the sessions. */

static void answered(void *arg, struct zk_read *read, const struct zk_answer *answer) {
    struct zk_source *zk = arg;
    zk_tree_answered(zk->tree, read, answer);
}

static void fired(void *arg, struct zk_session *session, const char *path) {
    struct zk_source *zk = arg;
    zk_tree_fired(zk->tree, session, path);
}

static bool wanted(void *arg, struct zk_session *session, const char *path) {
    struct zk_source *zk = arg;
    return zk_tree_wanted(zk->tree, session, path);
}

static void restarted(void *arg, struct zk_session *session) {
    struct zk_source *zk = arg;
    if (!zk->sync_began)
        zk->sync_began = clock_usec();
    zk_tree_restarted(zk->tree, session);
}

/* Between two states only the number of watches changes without news for the caller. */
static void turned(void *arg, struct zk_session *session) {
    (void)session;
    struct zk_source *zk = arg;
    int old_state = (int)zk->status.state;
    char old_text[sizeof zk->text];
    memcpy(old_text, zk->text, sizeof old_text);
    describe(zk);
    int state = (int)zk->status.state;
    if (zk->sync_began && !zk->tree->unanswered)
        log_synced(zk);
    bool news = (state == SOURCE_CONNECTING || state == SOURCE_LOST) &&
                strcmp(old_text, zk->text) != 0;
    if (state != old_state || news || zk->tree->changed)
        source_notify(&zk->source);
    zk->tree->changed = false;
}

static struct zk_session *add_session(struct zk_source *zk) {
    struct zk_listener listener = {answered, fired, wanted, restarted, turned, zk};
    zk->sessions = mem_grow(zk->sessions, zk->session_count, sizeof *zk->sessions);
    return zk->sessions[zk->session_count++] = zk_session_new(
               zk->source.base, zk->source.log, zk->source.settings, &listener);
}

static struct zk_session *place(void *arg, size_t bytes) {
    struct zk_source *zk = arg;
    for (size_t i = 0; i < zk->session_count; i++) {
        struct zk_session_status session;
        zk_session_status(zk->sessions[i], &session);
        if (session.watch_bytes + bytes <= WATCH_BYTES_MAX)
            return zk->sessions[i];
    }
    return add_session(zk);
}

static void retry_unreadable(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct zk_source *zk = arg;
    zk_tree_retry(zk->tree);
}

/* The interface. */

static void zk_close(struct source *source) {
    struct zk_source *zk = (struct zk_source *)source;
    for (size_t i = 0; i < zk->session_count; i++)
        zk_session_free(zk->sessions[i]);
    free(zk->sessions);
    zk_tree_free(zk->tree);
    if (zk->retry)
        event_free(zk->retry);
    free(zk);
}

static const struct catalog *zk_catalog(struct source *source) {
    return zk_tree_catalog(((struct zk_source *)source)->tree);
}

static void zk_problems(const struct source *source, struct problems *problems) {
    zk_tree_problems(((const struct zk_source *)source)->tree, problems);
}

static void zk_status(const struct source *source, struct source_status *status) {
    *status = ((const struct zk_source *)source)->status;
}

static void zk_refresh(struct source *source) {
    struct zk_source *zk = (struct zk_source *)source;
    if (!zk->sync_began)
        zk->sync_began = clock_usec();
    zk_tree_refresh(zk->tree);
}

/* What is gone has no version any more, but it had a path. */
static bool zk_origin(struct source *source, const char *service, const char *host,
                      struct buffer *out) {
    struct zk_tree *tree = ((struct zk_source *)source)->tree;
    const struct zk_layout *layout = &tree->layout;
    const struct zk_node *list =
        zk_tree_find(tree, layout->services, service, layout->suffix);
    if (!list)
        return false;
    const struct zk_node *record = host ? zk_tree_find(tree, list->path, host, "")
                                   : layout->records
                                       ? zk_tree_find(tree, layout->services, service, "")
                                       : NULL;
    if (record)
        buffer_printf(out, "%s version %d", record->path, (int)record->version);
    else
        buffer_printf(out, "%s%s%s", list->path, host ? "/" : "", host ? host : "");
    return true;
}

static const struct source_ops zookeeper_ops = {zk_close,  zk_catalog, zk_problems,
                                                zk_status, zk_refresh, zk_origin};

/* Settings. */

static bool check_hosts(const char *hosts, struct error *error) {
    char *copy = mem_strdup(hosts ? hosts : "");
    char *rest = copy;
    bool good = true;
    for (char *item = strsep(&rest, ","); item && good; item = strsep(&rest, ",")) {
        char host[256];
        uint16_t port;
        good = schema_split_address(item, host, sizeof host, &port) && host[0] && port;
        if (!good)
            (void)error_set(error, "zookeeper",
                            "'%s' in '%s': expected host:port, several with commas "
                            "between them",
                            item, hosts ? hosts : "");
    }
    free(copy);
    return good;
}

static bool check_settings(const struct source_settings *settings, struct error *error) {
    if (!check_hosts(settings->hosts, error))
        return false;
    bool secret = settings->auth_file || settings->auth_env;
    if (!settings->auth_scheme != !secret)
        return error_set(error, "zookeeper.auth", "needs a scheme, and a file or env");
    if (settings->auth_env && !getenv(settings->auth_env))
        return error_set(error, "zookeeper.auth.env",
                         "the environment variable %s is not set", settings->auth_env);
    return true;
}

/* "/atlas/" as the beginning of a path: "/atlas"; "/": "". */
static char *path_prefix(const struct source_settings *settings, const char *path) {
    char *prefix =
        mem_printf("%s%s", settings->chroot ? settings->chroot : "", path ? path : "");
    for (size_t len = strlen(prefix); len && prefix[len - 1] == '/'; len--)
        prefix[len - 1] = '\0';
    return prefix;
}

static bool atlas_layout(const struct source_settings *settings,
                         struct zk_layout *layout) {
    char *root = path_prefix(settings, settings->root);
    const char *realm = settings->realm ? settings->realm : "";
    layout->services = mem_printf("%s/%s%sservices", root, realm, *realm ? "/" : "");
    layout->config = mem_printf("%s/%s%sconfig", root, realm, *realm ? "/" : "");
    layout->suffix = mem_strdup("/hosts");
    layout->records = true;
    free(root);
    return true;
}

/* "/nerve/services/{service}/services": what other registries look like. */
static bool pattern_layout(const struct source_settings *settings, const char *path,
                           struct zk_layout *layout, struct error *error) {
    static const char mark[] = "/{service}";
    const char *at = strstr(path, mark);
    const char *after = at ? at + sizeof mark - 1 : NULL;
    if (!at || *path != '/' || (*after && *after != '/') || strstr(after, mark))
        return error_set(error, "zookeeper.path",
                         "'%s': expected an absolute path with {service} as one of its "
                         "parts, as in /nerve/services/{service}/services",
                         path);
    char *before = mem_strndup(path, (size_t)(at - path));
    layout->services = path_prefix(settings, before);
    layout->suffix = mem_strdup(after);
    free(before);
    return true;
}

static bool make_layout(const struct source_settings *settings, struct zk_reader *reader,
                        struct zk_layout *layout, struct error *error) {
    const char *name = settings->format ? settings->format : "atlas";
    *reader = (struct zk_reader){
        .format = record_format_find(name),
        .options = {.endpoint = settings->endpoint,
                    .ssl = settings->ssl,
                    .trust_options = settings->trust_options},
        .wants = settings->whole,
    };
    if (!reader->format)
        return error_set(error, "zookeeper.format", "'%s': no such record format", name);
    const char *path = settings->path ? settings->path : reader->format->path;
    return reader->format->path ? pattern_layout(settings, path, layout, error)
                                : atlas_layout(settings, layout);
}

static char *make_name(const struct source_settings *settings,
                       const struct zk_reader *reader) {
    const char *path = settings->path ? settings->path : reader->format->path;
    char *root = path_prefix(settings, reader->format->path ? path : settings->root);
    char *name = mem_printf("zookeeper:%s%s", settings->hosts, root);
    free(root);
    return name;
}

struct source *source_zookeeper_open(struct event_base *base, const struct log *log,
                                     const struct source_settings *settings,
                                     struct error *error) {
    struct zk_reader reader;
    struct zk_layout layout = {0};
    if (!check_settings(settings, error) ||
        !make_layout(settings, &reader, &layout, error))
        return NULL;
    struct zk_source *zk = mem_zalloc(sizeof *zk);
    zk->source = (struct source){.ops = &zookeeper_ops,
                                 .base = base,
                                 .log = log,
                                 .settings = settings,
                                 .name = make_name(settings, &reader)};
    zk->tree = zk_tree_new(&layout, &reader, settings->auth_scheme != NULL, place, zk);
    zk->sync_began = clock_usec();
    (void)add_session(zk);
    zk_tree_start(zk->tree);
    zk->retry = event_new(base, -1, EV_PERSIST, retry_unreadable, zk);
    struct timeval every = {.tv_sec = RETRY_UNREADABLE_S};
    (void)event_add(zk->retry, &every);
    describe(zk);
    return &zk->source;
}
