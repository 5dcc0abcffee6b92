/* The interface of all sources: picks the kind, and tells the caller of changes at most
 * once a turn of the loop. */
#include "base/mem.h"
#include "source/source_internal.h"

#include <event2/event.h>
#include <stdlib.h>

static void notify(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct source *source = arg;
    source->changed(source->arg, source);
}

void source_notify(struct source *source) {
    event_active(source->notify, EV_TIMEOUT, 0);
}

struct source *source_open(struct event_base *base, const struct log *log,
                           const struct source_settings *settings,
                           source_changed *changed, void *arg, struct error *error) {
    struct source *source = settings->kind == SOURCE_FILE
                                ? source_file_open(base, log, settings, error)
                                : source_zookeeper_open(base, log, settings, error);
    if (!source)
        return NULL;
    source->changed = changed;
    source->arg = arg;
    source->notify = evtimer_new(base, notify, source);
    return source;
}

void source_close(struct source *source) {
    if (!source)
        return;
    event_free(source->notify);
    source->notify = NULL;
    free(source->name);
    source->ops->close(source);
}

const char *source_name(const struct source *source) {
    return source->name;
}

const struct catalog *source_catalog(struct source *source) {
    return source->ops->catalog(source);
}

void source_problems(const struct source *source, struct problems *problems) {
    source->ops->problems(source, problems);
}

void source_status(const struct source *source, struct source_status *status) {
    *status = (struct source_status){0};
    source->ops->status(source, status);
}

void source_refresh(struct source *source) {
    source->ops->refresh(source);
}

bool source_origin(struct source *source, const char *service, const char *host,
                   struct buffer *out) {
    return source->ops->origin(source, service, host, out);
}
