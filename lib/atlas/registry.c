/* The registry as commands use it: a loop of its own that turns until all requests of one
 * call are answered, or nothing was for too long. */
#include "atlas/registry.h"
#include "atlas/link.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "source/zk_client.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1000 };

struct registry {
    const struct source_settings *settings;
    struct event_base *base;
    struct atlas_link *link;
    struct event *timer;
    int64_t timeout;
    struct request *requests; /* of the call under way */
    size_t count, next, sent, answered;
    bool progress, timed_out;
};

struct request {
    struct registry *registry;
    struct registry_read *read; /* NULL: a commit */
    const zoo_op_t *ops;
    zoo_op_result_t *results;
    size_t op_count;
    enum { WAITING, SENT, ANSWERED } state;
    int rc;
};

static bool is_lost(int rc) {
    return rc == ZCONNECTIONLOSS || rc == ZOPERATIONTIMEOUT || rc == ZCLOSING ||
           rc == ZSESSIONEXPIRED || rc == ZSESSIONMOVED || rc == ZINVALIDSTATE;
}

/* A read whose connection broke is asked again; a commit may have been done or not. */
static void finish(struct request *request, int rc) {
    struct registry *registry = request->registry;
    registry->sent--;
    registry->progress = true;
    if (request->read && is_lost(rc)) {
        size_t index = (size_t)(request - registry->requests);
        request->state = WAITING;
        if (index < registry->next)
            registry->next = index;
        return;
    }
    request->state = ANSWERED;
    request->rc = rc;
    registry->answered++;
}

static void got_data(int rc, const char *value, int len, const struct Stat *stat,
                     const void *data) {
    struct request *request = (struct request *)data;
    struct registry_read *read = request->read;
    if (rc == ZOK) {
        read->found = true;
        read->len = len > 0 ? (size_t)len : 0;
        read->data = mem_strndup(read->len ? value : "", read->len);
        read->version = stat->version;
        read->ephemeral = stat->ephemeralOwner != 0;
    }
    finish(request, rc);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void got_children(int rc, const struct String_vector *names, const void *data) {
    struct request *request = (struct request *)data;
    struct registry_read *read = request->read;
    if (rc == ZOK) {
        read->found = true;
        read->count = names && names->count > 0 ? (size_t)names->count : 0;
        read->names = mem_zalloc((read->count + 1) * sizeof *read->names);
        for (size_t i = 0; i < read->count; i++)
            read->names[i] = mem_strdup(names->data[i]);
        qsort(read->names, read->count, sizeof *read->names, compare_names);
    }
    finish(request, rc);
}

static void committed(int rc, const void *data) {
    finish((struct request *)data, rc);
}

static int send_one(zhandle_t *handle, struct request *request) {
    if (!request->read)
        return zoo_amulti(handle, (int)request->op_count, request->ops, request->results,
                          committed, request);
    if (request->read->list)
        return zoo_aget_children(handle, request->read->path, 0, got_children, request);
    return zoo_aget(handle, request->read->path, 0, got_data, request);
}

static void send_some(struct registry *registry) {
    zhandle_t *handle = atlas_link_handle(registry->link);
    while (handle && registry->sent < WINDOW && registry->next < registry->count) {
        struct request *request = &registry->requests[registry->next];
        if (request->state == WAITING) {
            int rc = send_one(handle, request);
            if (rc == ZBADARGUMENTS) {
                request->state = ANSWERED;
                request->rc = rc;
                registry->answered++;
            } else if (rc != ZOK) {
                return;
            } else {
                request->state = SENT;
                registry->sent++;
            }
        }
        registry->next++;
    }
}

static void turned(void *arg) {
    struct registry *registry = arg;
    if (!registry->requests || registry->next == registry->count)
        return;
    atlas_link_cork(registry->link, true);
    send_some(registry);
    atlas_link_cork(registry->link, false);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct registry *registry = arg;
    registry->timed_out = true;
}

struct registry *registry_open(const struct source_settings *settings,
                               int64_t timeout_ms) {
    struct registry *registry = mem_zalloc(sizeof *registry);
    registry->settings = settings;
    registry->timeout = timeout_ms;
    registry->base = event_base_new();
    registry->timer = evtimer_new(registry->base, on_timeout, registry);
    registry->link = atlas_link_open(registry->base, settings, turned, registry);
    return registry;
}

void registry_close(struct registry *registry) {
    if (!registry)
        return;
    atlas_link_close(registry->link);
    event_free(registry->timer);
    event_base_free(registry->base);
    free(registry);
}

static void rewind_timer(struct registry *registry) {
    struct timeval wait = clock_timeval(registry->timeout * 1000);
    registry->progress = false;
    (void)evtimer_add(registry->timer, &wait);
}

static bool fail_silent(const struct registry *registry, struct error *error) {
    const char *why = atlas_link_why(registry->link);
    bool connected = atlas_link_handle(registry->link);
    char where[300];
    (void)snprintf(where, sizeof where, "zookeeper:%.280s", registry->settings->hosts);
    if (atlas_link_refused(registry->link))
        return error_set(error, where, "%s", why);
    return error_set(error, where, "%s within %.1f s%s%s",
                     connected ? "no answer" : "no connection",
                     (double)registry->timeout / 1000.0, *why ? ": " : "", why);
}

/* Has all requests answered. False, with the error set, if some never were: then the link
 * is of no more use, since answers may still come. */
static bool perform(struct registry *registry, struct request *requests, size_t count,
                    struct error *error) {
    registry->requests = requests;
    registry->count = count;
    registry->next = registry->sent = registry->answered = 0;
    registry->timed_out = false;
    rewind_timer(registry);
    atlas_link_wake(registry->link);
    while (registry->answered < count && !registry->timed_out &&
           !atlas_link_refused(registry->link)) {
        (void)event_base_loop(registry->base, EVLOOP_ONCE);
        if (registry->progress)
            rewind_timer(registry);
    }
    bool whole = registry->answered == count;
    if (!whole) {
        (void)fail_silent(registry, error);
        atlas_link_close(registry->link);
        registry->link = NULL;
    }
    (void)event_del(registry->timer);
    registry->requests = NULL;
    registry->count = 0;
    return whole;
}

static const char *identity(const struct registry *registry, char *out, size_t size) {
    const struct source_settings *settings = registry->settings;
    if (settings->auth_scheme)
        (void)snprintf(out, size, "hatlas shows the %s identity of %s",
                       settings->auth_scheme,
                       settings->auth_env ? settings->auth_env : settings->auth_file);
    else
        (void)snprintf(out, size, "hatlas shows no identity (sources.auth is not set)");
    return out;
}

static bool fail_read(const struct registry *registry, const struct request *request,
                      struct error *error) {
    char who[600];
    const char *path = request->read->path;
    if (request->rc == ZNOAUTH)
        return error_set(error, path,
                         "no right to read it: its ACL gives 'read' to others, and %s",
                         identity(registry, who, sizeof who));
    return error_set(error, path, "can't be read: %s", zerror(request->rc));
}

bool registry_read(struct registry *registry, struct registry_read *reads, size_t count,
                   struct error *error) {
    if (!registry->link)
        return error_set(error, registry->settings->hosts, "the connection was given up");
    struct request *requests = mem_zalloc((count + 1) * sizeof *requests);
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct request){.registry = registry, .read = &reads[i]};
    bool good = perform(registry, requests, count, error);
    for (size_t i = 0; good && i < count; i++)
        if (requests[i].rc != ZOK && requests[i].rc != ZNONODE)
            good = fail_read(registry, &requests[i], error);
    free(requests);
    return good;
}

void registry_reads_free(struct registry_read *reads, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < reads[i].count; j++)
            free(reads[i].names[j]);
        free(reads[i].names);
        free(reads[i].data);
        reads[i].names = NULL;
        reads[i].data = NULL;
        reads[i].count = reads[i].len = 0;
    }
}

/* Commits. */

struct multi {
    zoo_op_t *ops;
    zoo_op_result_t *results;
    const struct atlas_edit **edits; /* one an op */
    char **texts;
    const struct ACL_vector *acl; /* of what is created */
    size_t count, bytes;
};

static void multi_clear(struct multi *multi) {
    for (size_t i = 0; i < multi->count; i++)
        free(multi->texts[i]);
    multi->count = multi->bytes = 0;
}

static void multi_add(struct multi *multi, const struct atlas_edit *edit, char *text) {
    zoo_op_t *op = &multi->ops[multi->count];
    int len = (int)strlen(text);
    if (edit->kind == ATLAS_CREATE)
        zoo_create_op_init(op, edit->path, text, len, multi->acl, 0, NULL, 0);
    else if (edit->kind == ATLAS_SET)
        zoo_set_op_init(op, edit->path, text, len, edit->version, NULL);
    else
        zoo_delete_op_init(op, edit->path, edit->version);
    multi->edits[multi->count] = edit;
    multi->texts[multi->count++] = text;
    multi->bytes += strlen(edit->path) + (size_t)len + 64;
}

static const char *verb(const struct atlas_edit *edit) {
    if (edit->kind == ATLAS_CREATE)
        return "create";
    return edit->kind == ATLAS_SET ? "write" : "delete";
}

static bool fail_edit(const struct registry *registry, const struct atlas_edit *edit,
                      int rc, struct error *error) {
    static const char advice[] = "look at it and try again";
    char who[600];
    switch (rc) {
    case ZNODEEXISTS:
        return error_set(error, edit->path, "somebody else created it meanwhile; %s",
                         advice);
    case ZBADVERSION:
        return error_set(error, edit->path, "somebody else changed it meanwhile; %s",
                         advice);
    case ZNONODE:
        return error_set(error, edit->path, "somebody else removed it meanwhile; %s",
                         advice);
    case ZNOTEMPTY:
        return error_set(error, edit->path, "somebody else added to it meanwhile; %s",
                         advice);
    case ZNOAUTH:
        return error_set(error, edit->path,
                         "no right to %s it: %s ACL gives '%s' to others, and %s",
                         verb(edit), edit->kind == ATLAS_SET ? "its" : "its parent's",
                         verb(edit), identity(registry, who, sizeof who));
    default:
        return error_set(error, edit->path, "can't %s it: %s", verb(edit), zerror(rc));
    }
}

/* The op that was refused has an error of its own; those around it have none, or say that
 * they were not tried. */
static bool fail_multi(const struct registry *registry, const struct multi *multi, int rc,
                       struct error *error) {
    if (is_lost(rc))
        return error_set(error, registry->settings->hosts,
                         "the connection broke while %zu changes were under way, which "
                         "were all done or not at all; look before you try again",
                         multi->count);
    for (size_t i = 0; i < multi->count; i++)
        if (multi->results[i].err == rc)
            return fail_edit(registry, multi->edits[i], rc, error);
    return fail_edit(registry, multi->edits[0], rc, error);
}

static bool multi_send(struct registry *registry, struct multi *multi,
                       struct error *error) {
    struct request request = {.registry = registry,
                              .ops = multi->ops,
                              .results = multi->results,
                              .op_count = multi->count};
    memset(multi->results, 0, multi->count * sizeof *multi->results);
    if (!multi->count)
        return true;
    if (!perform(registry, &request, 1, error))
        return false;
    return request.rc == ZOK || fail_multi(registry, multi, request.rc, error);
}

static bool commit_all(struct registry *registry, const struct atlas_edits *edits,
                       struct multi *multi, size_t *done, struct error *error) {
    size_t i = 0;
    while (i < edits->count) {
        for (; i < edits->count && multi->count < REGISTRY_MULTI_OPS &&
               multi->bytes < REGISTRY_MULTI_BYTES;
             i++) {
            struct buffer text = BUFFER_INIT;
            if (edits->items[i].kind == ATLAS_NOTHING)
                continue;
            if (edits->items[i].value)
                json_write(edits->items[i].value, 0, &text);
            if (text.len > REGISTRY_MULTI_BYTES) {
                (void)error_set(error, edits->items[i].path,
                                "%zu bytes are more than a record may have (%d)",
                                text.len, REGISTRY_MULTI_BYTES);
                buffer_free(&text);
                return false;
            }
            multi_add(multi, &edits->items[i], buffer_steal(&text));
        }
        if (!multi_send(registry, multi, error))
            return false;
        *done += multi->count;
        multi_clear(multi);
    }
    return true;
}

bool registry_commit(struct registry *registry, const struct atlas_edits *edits,
                     size_t *done, struct error *error) {
    if (!registry->link)
        return error_set(error, registry->settings->hosts, "the connection was given up");
    struct multi multi = {
        .ops = mem_zalloc(REGISTRY_MULTI_OPS * sizeof *multi.ops),
        .results = mem_zalloc(REGISTRY_MULTI_OPS * sizeof *multi.results),
        .edits = mem_zalloc(REGISTRY_MULTI_OPS * sizeof *multi.edits),
        .texts = mem_zalloc(REGISTRY_MULTI_OPS * sizeof *multi.texts),
        .acl = atlas_link_acl(registry->link),
    };
    size_t ignored = 0;
    if (!done)
        done = &ignored;
    *done = 0;
    bool good = commit_all(registry, edits, &multi, done, error);
    multi_clear(&multi);
    free(multi.ops);
    free(multi.results);
    free((void *)multi.edits);
    free(multi.texts);
    return good;
}
