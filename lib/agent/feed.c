/* The catalog to serve. */
#include "agent/feed.h"
#include "agent/cache.h"
#include "agent/guard.h"
#include "base/clock.h"
#include "base/mem.h"

#include <event2/event.h>
#include <stdlib.h>

enum { SILENCE = 1000000 }; /* sources that are slower than this are not waited for */

struct feed {
    struct feed_options options;
    struct inputs *inputs;
    struct guard *guard;
    struct cache *cache;
    const struct catalog *fallback; /* what to serve while the sources are silent */
    struct event *silence;          /* ends the wait for them */
    struct event *confirm;          /* the guard's second read is due */
    bool silent, stale;
};

static void on_inputs(void *arg) {
    struct feed *feed = arg;
    feed->options.changed(feed->options.arg);
}

static void on_silence(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct feed *feed = arg;
    feed->silent = true;
    feed->options.changed(feed->options.arg);
}

static void on_confirm(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct feed *feed = arg;
    log_notice(feed->options.log, "reading everything again to confirm a loss");
    guard_confirming(feed->guard, inputs_refresh(feed->inputs));
}

static void remember(struct feed *feed) {
    feed->fallback = feed->options.served ? catalog_ref(feed->options.served)
                                          : cache_read(feed->cache);
    if (!feed->fallback)
        return;
    guard_seed(feed->guard, feed->fallback);
    if (feed->options.served)
        return;
    feed->silence = event_new(feed->options.base, -1, 0, on_silence, feed);
    struct timeval wait = clock_timeval(SILENCE);
    (void)event_add(feed->silence, &wait);
}

struct feed *feed_open(const struct feed_options *options, struct error *error) {
    struct feed *feed = mem_zalloc(sizeof *feed);
    feed->options = *options;
    feed->guard = guard_new(options->settings);
    feed->cache = cache_open(options->base, options->log, options->settings->cache);
    feed->confirm = event_new(options->base, -1, 0, on_confirm, feed);
    feed->inputs = inputs_open(options->base, options->log, options->settings, on_inputs,
                               feed, error);
    if (!feed->inputs) {
        feed_close(feed);
        return NULL;
    }
    remember(feed);
    return feed;
}

void feed_close(struct feed *feed) {
    if (!feed)
        return;
    inputs_close(feed->inputs);
    guard_free(feed->guard);
    cache_close(feed->cache);
    catalog_unref(feed->fallback);
    if (feed->silence)
        event_free(feed->silence);
    event_free(feed->confirm);
    free(feed);
}

static void plan_confirmation(struct feed *feed) {
    int64_t at = guard_confirm_at(feed->guard);
    if (!at) {
        (void)event_del(feed->confirm);
        return;
    }
    struct timeval wait = clock_timeval(at - clock_usec());
    (void)event_add(feed->confirm, &wait);
}

static const struct catalog *fall_back(struct feed *feed, struct problems *problems) {
    if (!feed->silent || !feed->fallback)
        return NULL;
    feed->stale = true;
    problems_add(problems, feed->options.settings->cache,
                 "no registry answers: the last catalog known is served");
    return catalog_ref(feed->fallback);
}

const struct catalog *feed_catalog(struct feed *feed, struct problems *problems) {
    const struct catalog *read = inputs_catalog(feed->inputs, problems);
    if (!read)
        return fall_back(feed, problems);
    if (feed->silence)
        (void)event_del(feed->silence);
    feed->silent = feed->stale = false;
    const struct catalog *passed = guard_pass(
        feed->guard, read, inputs_rounds(feed->inputs), clock_usec(), problems);
    catalog_unref(read);
    plan_confirmation(feed);
    if (!feed->options.read_only)
        cache_keep(feed->cache, passed);
    return passed;
}

bool feed_is_stale(const struct feed *feed) {
    return feed->stale;
}

void feed_refresh(struct feed *feed) {
    (void)inputs_refresh(feed->inputs);
}

struct source *feed_source(struct feed *feed, size_t index) {
    return inputs_source(feed->inputs, index);
}

void feed_origin(struct feed *feed, const char *service, const char *host,
                 struct buffer *out) {
    struct source *source;
    for (size_t i = 0; (source = feed_source(feed, i)); i++)
        if (source_origin(source, service, host, out))
            return;
}
