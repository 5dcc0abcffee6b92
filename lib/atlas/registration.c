/* One ephemeral znode that is there while it is wanted. One request at a time; what its
 * answer means is decided in step().
 *
 *   ABSENT ──create──► OURS ──delete──► ABSENT
 *      └──exists──► look: ours after all, or another's: wait until that is gone */
#include "atlas/registration.h"
#include "atlas/link.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "source/zk_client.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY = 1000000 };

struct registration {
    const struct log *log;
    struct atlas_link *link;
    struct event *retry;
    registration_changed *changed;
    void *arg;
    char *path;
    json_t *record;
    unsigned session; /* in which `state` holds */
    enum whose { ABSENT, OURS, TAKEN } state;
    bool wanted;
    bool busy;    /* a request is under way */
    bool pausing; /* until `retry` */
    bool again;   /* the znode changed: look at it */
    bool told;    /* of the same trouble before */
    bool closing;
};

static void step(struct registration *registration);

static void pause_step(struct registration *registration) {
    struct timeval wait = clock_timeval(RETRY);
    registration->pausing = true;
    (void)evtimer_add(registration->retry, &wait);
}

static void on_retry(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct registration *registration = arg;
    registration->pausing = false;
    step(registration);
    atlas_link_wake(registration->link);
}

static void complain(struct registration *registration, const char *message,
                     const char *error) {
    if (!registration->told)
        log_warning(registration->log, message, LOG_STR("znode", registration->path),
                    LOG_STR("error", error));
    registration->told = true;
}

static void set_state(struct registration *registration, enum whose state) {
    bool changed = (registration->state == OURS) != (state == OURS);
    registration->state = state;
    if (state == OURS)
        registration->told = false;
    if (changed && !registration->closing)
        registration->changed(registration->arg);
}

static void failed(struct registration *registration, int rc) {
    if (registration->closing || !atlas_link_handle(registration->link))
        return; /* the connection: step() goes on when it is back */
    complain(registration, "can't announce; trying again", zerror(rc));
    pause_step(registration);
}

/* --- looking: whose is it, and what does it say? --- */

static void watch_fired(zhandle_t *handle, int type, int state, const char *path,
                        void *arg) {
    (void)handle, (void)state, (void)path;
    struct registration *registration = arg;
    if (type != ZOO_SESSION_EVENT && !registration->closing)
        registration->again = true;
}

/* What an operator wrote into it (a drain) is kept for the next session too. */
static void keep_record(struct registration *registration, const char *data, int len) {
    struct error error;
    json_t *record = json_parse(data, len > 0 ? (size_t)len : 0, "", &error);
    if (json_is_object(record) && !json_equal(record, registration->record)) {
        log_notice(registration->log, "the record was changed by somebody; it is kept",
                   LOG_STR("znode", registration->path));
        json_decref(registration->record);
        registration->record = json_incref(record);
    }
    json_decref(record);
}

static void found(struct registration *registration, const char *data, int len,
                  const struct Stat *stat) {
    zhandle_t *handle = atlas_link_handle(registration->link);
    const clientid_t *id = handle ? zoo_client_id(handle) : NULL;
    if (id && stat->ephemeralOwner == id->client_id) {
        keep_record(registration, data, len);
        set_state(registration, OURS);
        return;
    }
    set_state(registration, TAKEN);
    complain(registration,
             stat->ephemeralOwner ? "another session announces this host; waiting until "
                                    "that ends"
                                  : "the host is attached by hand; waiting until it is "
                                    "detached",
             NULL);
}

static void looked(int rc, const char *data, int len, const struct Stat *stat,
                   const void *arg) {
    struct registration *registration = (struct registration *)arg;
    registration->busy = false;
    if (registration->closing)
        return;
    if (rc == ZOK) {
        found(registration, data, len, stat);
    } else if (rc == ZNONODE) {
        if (registration->state == OURS && registration->wanted)
            log_warning(registration->log,
                        "somebody removed the announced host; it is "
                        "announced again",
                        LOG_STR("znode", registration->path));
        if (registration->state == OURS)
            pause_step(registration);
        set_state(registration, ABSENT);
    } else {
        registration->again = true;
        failed(registration, rc);
    }
}

/* --- making and removing --- */

static void made_parent(int rc, const char *value, const void *arg) {
    (void)rc, (void)value, (void)arg; /* what matters shows when the znode is created */
}

static void make_parents(struct registration *registration, zhandle_t *handle) {
    for (const char *slash = strchr(registration->path + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        char *parent =
            mem_strndup(registration->path, (size_t)(slash - registration->path));
        (void)zoo_acreate(handle, parent, "", 0, atlas_link_acl(registration->link), 0,
                          made_parent, NULL);
        free(parent);
    }
    log_notice(registration->log, "creating what is missing above the announced host",
               LOG_STR("znode", registration->path));
}

static void created(int rc, const char *value, const void *arg) {
    (void)value;
    struct registration *registration = (struct registration *)arg;
    zhandle_t *handle = atlas_link_handle(registration->link);
    registration->busy = false;
    if (registration->closing)
        return;
    if (rc == ZOK || rc == ZNODEEXISTS) {
        registration->again = true; /* to know whose it is, and to watch it */
    } else if (rc == ZNONODE && handle && !registration->told) {
        make_parents(registration, handle);
        registration->told = true;
    } else {
        failed(registration, rc);
    }
}

static void deleted(int rc, const void *arg) {
    struct registration *registration = (struct registration *)arg;
    registration->busy = false;
    if (registration->closing)
        return;
    if (rc == ZOK || rc == ZNONODE)
        set_state(registration, ABSENT);
    else
        failed(registration, rc);
}

static int create(struct registration *registration, zhandle_t *handle) {
    struct buffer text = BUFFER_INIT;
    json_write(registration->record, 0, &text);
    int rc = zoo_acreate(handle, registration->path, text.data, (int)text.len,
                         atlas_link_acl(registration->link), ZOO_EPHEMERAL, created,
                         registration);
    buffer_free(&text);
    return rc;
}

/* Sends the next request, if there is anything to do. */
static void step(struct registration *registration) {
    zhandle_t *handle = atlas_link_handle(registration->link);
    int rc = ZOK;
    if (!handle || registration->busy || registration->pausing)
        return;
    if (registration->session != atlas_link_session(registration->link)) {
        registration->session = atlas_link_session(registration->link);
        registration->again = false;
        set_state(registration, ABSENT);
    }
    registration->busy = true;
    if (registration->again) {
        registration->again = false;
        rc = zoo_awget(handle, registration->path, watch_fired, registration, looked,
                       registration);
    } else if (registration->wanted && registration->state == ABSENT) {
        rc = create(registration, handle);
    } else if (!registration->wanted && registration->state == OURS) {
        rc = zoo_adelete(handle, registration->path, -1, deleted, registration);
    } else {
        registration->busy = false;
    }
    if (rc != ZOK) {
        registration->busy = false;
        failed(registration, rc);
    }
}

static void turned(void *arg) {
    step(arg);
}

struct registration *registration_open(struct event_base *base, const struct log *log,
                                       const struct source_settings *source,
                                       const char *path, json_t *record,
                                       registration_changed *changed, void *arg) {
    struct registration *registration = mem_zalloc(sizeof *registration);
    registration->log = log;
    registration->path = mem_strdup(path);
    registration->record = json_incref(record);
    registration->changed = changed;
    registration->arg = arg;
    registration->retry = evtimer_new(base, on_retry, registration);
    registration->link = atlas_link_open(base, source, turned, registration);
    return registration;
}

void registration_close(struct registration *registration) {
    if (!registration)
        return;
    registration->closing = true;
    atlas_link_close(registration->link);
    event_free(registration->retry);
    json_decref(registration->record);
    free(registration->path);
    free(registration);
}

void registration_want(struct registration *registration, bool wanted) {
    if (registration->wanted == wanted)
        return;
    registration->wanted = wanted;
    step(registration);
    atlas_link_wake(registration->link);
}

bool registration_stands(const struct registration *registration) {
    return registration->state == OURS;
}
