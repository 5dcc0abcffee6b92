/* The cache: the last catalog that was served. A large one takes long to write, so that is
 * done by a copy of this process. */
#include "agent/cache.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "catalog/text.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

enum { DELAY = 3000000, FILE_MAX = 1 << 30 };

struct cache {
    struct event_base *base;
    const struct log *log;
    const char *path;
    struct event *timer;
    const struct catalog *pending; /* not written yet */
    const struct catalog *writing; /* by the writer */
    struct child *writer;
    bool failed; /* the last write; said once */
};

static bool write_catalog(void *arg) {
    const struct cache *cache = arg;
    struct buffer text = BUFFER_INIT;
    struct error error;
    catalog_write(cache->writing, CATALOG_JSON, &text);
    char *dir = file_dir(cache->path);
    bool done = file_equals(cache->path, text.data, text.len) ||
                (file_make_dirs(dir, 0755, &error) &&
                 file_replace(cache->path, text.data, text.len, 0600, &error));
    if (!done && !cache->failed)
        log_warning(cache->log,
                    "can't write the cache; a start without a registry will "
                    "know an older catalog, or none",
                    LOG_STR("path", error.where), LOG_STR("error", error.text));
    free(dir);
    buffer_free(&text);
    return done;
}

static void start_timer(struct cache *cache) {
    struct timeval delay = clock_timeval(DELAY);
    (void)event_add(cache->timer, &delay);
}

static void end(struct cache *cache, bool done) {
    cache->failed = !done;
    catalog_unref(cache->writing);
    cache->writing = NULL;
}

static void on_written(void *arg, const struct child_end *result) {
    struct cache *cache = arg;
    cache->writer = NULL;
    end(cache, result->status == 0);
    if (cache->pending)
        start_timer(cache);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct cache *cache = arg;
    cache->writing = cache->pending;
    cache->pending = NULL;
    cache->writer =
        child_work(cache->base, write_catalog, cache, on_written, cache, NULL);
    if (!cache->writer)
        end(cache, write_catalog(cache));
}

struct cache *cache_open(struct event_base *base, const struct log *log,
                         const char *path) {
    struct cache *cache = mem_zalloc(sizeof *cache);
    cache->base = base;
    cache->log = log;
    cache->path = path;
    cache->timer = event_new(base, -1, 0, on_timer, cache);
    return cache;
}

void cache_close(struct cache *cache) {
    if (!cache)
        return;
    child_wait(cache->writer);
    catalog_unref(cache->writing);
    cache->writing = cache->pending;
    if (cache->writing)
        (void)write_catalog(cache);
    catalog_unref(cache->writing);
    event_free(cache->timer);
    free(cache);
}

const struct catalog *cache_read(const struct cache *cache) {
    struct buffer text = BUFFER_INIT;
    struct problems problems = {0};
    struct error error;
    const struct catalog *catalog = NULL;
    if (access(cache->path, F_OK) < 0 && errno == ENOENT)
        return NULL;
    if (file_read(cache->path, FILE_MAX, &text, &error))
        catalog = catalog_read(buffer_str(&text), text.len, cache->path, NULL, &problems);
    else
        problems_add_error(&problems, &error);
    for (size_t i = 0; i < problems.count; i++)
        log_warning(cache->log, "problem in the cache",
                    LOG_STR("where", problems.items[i].where),
                    LOG_STR("problem", problems.items[i].text));
    problems_free(&problems);
    buffer_free(&text);
    return catalog;
}

void cache_keep(struct cache *cache, const struct catalog *catalog) {
    catalog_unref(cache->pending);
    cache->pending = catalog_ref(catalog);
    if (!cache->writer && !event_pending(cache->timer, EV_TIMEOUT, NULL))
        start_timer(cache);
}
