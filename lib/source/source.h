/* Sources: where catalogs come from. Each source keeps its own catalog in step with what
 * it reads and says when that changed. */
#ifndef HATLAS_SOURCE_SOURCE_H
#define HATLAS_SOURCE_SOURCE_H

#include "base/log.h"
#include "catalog/catalog.h"
#include "settings/settings.h"

struct event_base;
struct source;

/* How a source stands. `state` and `text` are for people; the rest for decisions. */
struct source_status {
    enum {
        SOURCE_CONNECTING, /* nothing read yet */
        SOURCE_SYNCING,    /* reading for the first time, or again after a lost session */
        SOURCE_READY,      /* in step */
        SOURCE_LOST,       /* was in step; the catalog is what it last was */
    } state;
    const char *text; /* "connected to 127.0.0.1:2181, 6002 watches", the last error, … */
    size_t records;   /* znodes or entries read */
    size_t watches;
    uint64_t full_reads; /* how many times everything was read from the start: at first,
                            and again because of source_refresh or a new session */
    size_t services_out; /* known, but not wanted here: neither read nor watched */
    size_t hosts_out;    /* read, but not wanted here */
    bool futile;         /* no catalog, and none comes of waiting: the file is bad */
};

/* Called from the loop, after the catalog, the problems or the status changed; not before
 * source_open returned. */
typedef void source_changed(void *arg, struct source *source);

/* Opens a source; reading begins with the loop. Settings, log and loop must outlive it.
 * An error means settings that can never work; what may get better by itself is retried
 * for ever with back-off. The caller owns the source. */
struct source *source_open(struct event_base *base, const struct log *log,
                           const struct source_settings *settings,
                           source_changed *changed, void *arg, struct error *error);
void source_close(struct source *source);

/* Returns "zookeeper:hosts/root" or "file:path", valid as long as the source. */
const char *source_name(const struct source *source);

/* Returns the newest catalog as a new reference, NULL until the first read is complete.
 */
const struct catalog *source_catalog(struct source *source);

/* Adds all that is wrong with the records now. */
void source_problems(const struct source *source, struct problems *problems);

void source_status(const struct source *source, struct source_status *status);

/* Appends where the service's record stands (`host` NULL), or that of one of its hosts,
 * by id: "/atlas/…/hosts/a:80 version 3", or the file's path. False if the source does
 * not have the service. */
bool source_origin(struct source *source, const char *service, const char *host,
                   struct buffer *out);

/* Has everything read again from the start. When that is complete `full_reads` has grown
 * by one and `changed` is called, even if nothing differs: every znode was then answered
 * by the server (the whole file was read, and was good) after this call. What can't be
 * read now is waited for: a source that is not connected, a file that is not there or
 * bad, a list of services that is not readable. Calls that come before a full read is
 * complete begin it anew and are done with it together; before the first read is complete
 * they change nothing. The catalog stays what it is until something else is read. */
void source_refresh(struct source *source);

#endif
