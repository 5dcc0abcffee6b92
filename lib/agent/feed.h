/* The feed: the catalog to serve. What the sources say, held back by the guard where they
 * lost too much at once; while they are silent after a start, what the cache says. */
#ifndef HATLAS_AGENT_FEED_H
#define HATLAS_AGENT_FEED_H

#include "agent/inputs.h"

struct feed;

struct feed_options {
    struct event_base *base;
    const struct log *log;
    const struct settings *settings;
    const struct catalog *served; /* what was served so far; NULL: what the cache has */
    bool read_only;               /* leave the cache alone */
    inputs_changed *changed;      /* the catalog, or what is to be said of it */
    void *arg;
};

/* Opens the sources. Options' pointers must outlive it, but for `served`. NULL with an
 * error for settings that can never work. */
struct feed *feed_open(const struct feed_options *options, struct error *error);
void feed_close(struct feed *feed);

/* Returns the catalog as a new reference, NULL while there is none. Adds all that is
 * wrong with any record, and what is held back. */
const struct catalog *feed_catalog(struct feed *feed, struct problems *problems);

/* Whether feed_catalog last gave the cache's catalog, because no source gave one yet. */
bool feed_is_stale(const struct feed *feed);

/* Has everything read again from the start. */
void feed_refresh(struct feed *feed);

/* Returns the source number `index`, NULL behind the last. */
struct source *feed_source(struct feed *feed, size_t index);

/* Appends where the record of a service (`host` NULL) or of one of its hosts stands, in
 * the first source that has the service. */
void feed_origin(struct feed *feed, const char *service, const char *host,
                 struct buffer *out);

#endif
