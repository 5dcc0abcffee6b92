/* The file source: a catalog in YAML or JSON, read again whenever inotify says that the
 * name leads to something new, or, where inotify does not tell, a look at the file. */
#include "base/file.h"
#include "base/mem.h"
#include "catalog/text.h"
#include "source/filter.h"
#include "source/source_internal.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 256 << 20, LOOK_AGAIN_S = 2 };

/* What says that a whole new file is there. A file that is being written is left alone
 * until it is closed. */
static const uint32_t folder_mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                    IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |
                                    IN_MOVE_SELF | IN_ONLYDIR;

/* What changes when a file does. */
struct look {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct file_source {
    struct source source; /* first: see source_internal.h */
    const char *path;
    char *folder;
    int inotify;      /* -1: there is none */
    int folder_watch; /* -1: the folder could not be watched yet */
    int target_watch; /* of what a symbolic link leads to; -1: none */
    dev_t device;     /* of the folder that is watched */
    ino_t inode;
    struct event *changed;
    struct event *timer; /* looks after what inotify does not tell: other folders */
    struct look read;    /* what the file looked like when it was read */
    struct look seen;    /* and when the timer looked at it last */
    bool read_once;      /* the first read is done, well or not */
    bool refresh;
    const struct catalog *catalog;
    struct problems problems;
    uint64_t reads;
    size_t services_out, hosts_out; /* of the catalog in the file: not wanted here */
    int state;                      /* of struct source_status */
    char text[2048];
};

static void set_state(struct file_source *file, int state, const char *text,
                      const char *more) {
    char old[sizeof file->text];
    memcpy(old, file->text, sizeof old);
    (void)snprintf(file->text, sizeof file->text, "%s%s", text, more);
    if (file->state != state || strcmp(old, file->text) != 0)
        source_notify(&file->source);
    file->state = state;
}

/* The new catalog has new structs throughout: services that are equal to their old ones
 * are replaced by these, so that callers see at a glance what changed. */
static const struct catalog *share_unchanged(const struct catalog *old,
                                             struct catalog *new) {
    if (!old)
        return new;
    if (catalog_equal(old, new)) {
        catalog_unref(new);
        return catalog_ref(old);
    }
    for (size_t i = 0; i < new->service_count; i++) {
        const struct service *same = catalog_find(old, new->services[i]->name);
        if (!same || !service_equal(same, new->services[i]))
            continue;
        service_unref(new->services[i]);
        new->services[i] = service_ref(same);
    }
    return new;
}

static void note_failure(struct file_source *file, const char *what) {
    bool had = file->catalog != NULL;
    set_state(file, had ? SOURCE_LOST : SOURCE_CONNECTING, what,
              had ? "; the last good catalog is kept" : "; waiting for it");
}

static void note_read(struct file_source *file, struct catalog *catalog) {
    const struct catalog *old = file->catalog;
    file->reads++;
    file->catalog = share_unchanged(old, catalog);
    catalog_unref(old);
    char count[64];
    (void)snprintf(count, sizeof count, "read %zu services, %zu hosts",
                   file->catalog->service_count, catalog_host_count(file->catalog));
    set_state(file, SOURCE_READY, count, "");
    log_info(file->source.log, "read the catalog's file",
             LOG_STR("source", file->source.name),
             LOG_INT("services", file->catalog->service_count),
             LOG_INT("hosts", catalog_host_count(file->catalog)));
}

static void read_catalog(struct file_source *file, const struct buffer *text) {
    struct problems problems = {0};
    struct catalog *catalog =
        catalog_read(buffer_str(text), text->len, file->path, file->catalog, &problems);
    if (catalog) {
        file->services_out = file->hosts_out = 0;
        note_read(file, filter_catalog(file->source.settings->whole, catalog,
                                       &file->services_out, &file->hosts_out));
    } else {
        struct buffer why = BUFFER_INIT;
        if (problems.count)
            buffer_printf(&why, "%s: %s", problems.items[0].where,
                          problems.items[0].text);
        note_failure(file, buffer_str(&why));
        buffer_free(&why);
        problems_note(&problems, 0,
                      file->catalog ? "; the last good catalog is kept"
                                    : "; there is no catalog yet");
    }
    problems_free(&file->problems);
    file->problems = problems;
    source_notify(&file->source);
}

static bool is_symlink(const struct file_source *file) {
    struct stat info;
    return lstat(file->path, &info) == 0 && S_ISLNK(info.st_mode);
}

/* In-place writes behind a symbolic link happen in another folder. */
static void watch_target(struct file_source *file) {
    if (file->target_watch >= 0)
        (void)inotify_rm_watch(file->inotify, file->target_watch);
    file->target_watch = -1;
    if (is_symlink(file))
        file->target_watch =
            inotify_add_watch(file->inotify, file->path, IN_CLOSE_WRITE | IN_ATTRIB);
}

static void note_unreadable(struct file_source *file, const struct error *error) {
    struct buffer why = BUFFER_INIT;
    error_format(error, &why);
    note_failure(file, buffer_str(&why));
    buffer_free(&why);
    problems_free(&file->problems);
    problems_add_error(&file->problems, error);
    problems_note(&file->problems, 0,
                  file->catalog ? "; the last good catalog is kept" : "; waiting for it");
}

static struct look look_at(const struct file_source *file) {
    struct stat info = {0};
    (void)stat(file->path, &info);
    return (struct look){info.st_dev, info.st_ino, info.st_size, info.st_ctim};
}

static bool same_look(const struct look *a, const struct look *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

static void read_file(struct file_source *file) {
    struct buffer text = BUFFER_INIT;
    struct error error;
    watch_target(file);
    file->read_once = true;
    file->refresh = false;
    file->read = look_at(file);
    if (file_read(file->path, FILE_MAX, &text, &error))
        read_catalog(file, &text);
    else
        note_unreadable(file, &error);
    buffer_free(&text);
}

/* Watches the folder that the path leads through now. Returns whether that is another one
 * than before. */
static bool watch_folder(struct file_source *file) {
    struct stat info;
    bool there = stat(file->folder, &info) == 0;
    if (there && file->folder_watch >= 0 && info.st_dev == file->device &&
        info.st_ino == file->inode)
        return false;
    bool had = file->folder_watch >= 0;
    if (had)
        (void)inotify_rm_watch(file->inotify, file->folder_watch);
    file->folder_watch =
        there ? inotify_add_watch(file->inotify, file->folder, folder_mask) : -1;
    if (file->folder_watch >= 0) {
        file->device = info.st_dev;
        file->inode = info.st_ino;
    }
    return had || file->folder_watch >= 0;
}

/* A new regular file is still empty, its writer will close it; a link is there at once.
 */
static bool is_whole(const struct file_source *file) {
    struct stat info;
    return is_symlink(file) || (lstat(file->path, &info) == 0 && info.st_nlink > 1);
}

/* Whether the event may have changed what the path leads to. */
static bool concerns(struct file_source *file, const struct inotify_event *event) {
    if (event->mask & IN_Q_OVERFLOW)
        return true;
    if (event->wd == file->target_watch)
        return !(event->mask & IN_IGNORED);
    if (event->wd != file->folder_watch)
        return false;
    if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) {
        file->inode = 0;
        return true;
    }
    /* Of the names in the folder that a link may lead through, one was replaced. */
    if (!event->len || strcmp(event->name, file_name(file->path)) != 0)
        return (event->mask & IN_MOVED_TO) && is_symlink(file);
    return !(event->mask & IN_CREATE) || is_whole(file);
}

static void on_inotify(evutil_socket_t fd, short what, void *arg) {
    (void)what;
    struct file_source *file = arg;
    _Alignas(struct inotify_event) char events[16384];
    bool again = false;
    ssize_t got = 0;
    while ((got = read(fd, events, sizeof events)) > 0) {
        const struct inotify_event *event;
        for (char *at = events; at < events + got; at += sizeof *event + event->len) {
            event = (const struct inotify_event *)(void *)at;
            again |= concerns(file, event);
        }
    }
    if (again) {
        (void)watch_folder(file);
        read_file(file);
    }
}

/* Without inotify: whether the file is another than the one that was read, and nobody has
 * written to it for a while. With it the writer's close is the better sign. */
static bool is_unnoticed(struct file_source *file) {
    if (file->folder_watch >= 0)
        return false;
    struct look now = look_at(file);
    bool rests = same_look(&now, &file->seen);
    file->seen = now;
    return rests && !same_look(&now, &file->read);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct file_source *file = arg;
    bool other = watch_folder(file) || !file->read_once || file->refresh;
    if (other || is_unnoticed(file))
        read_file(file);
    struct timeval again = {.tv_sec = LOOK_AGAIN_S};
    (void)evtimer_add(file->timer, &again);
}

static void file_close(struct source *source) {
    struct file_source *file = (struct file_source *)source;
    if (file->changed)
        event_free(file->changed);
    event_free(file->timer);
    if (file->inotify >= 0)
        (void)close(file->inotify);
    catalog_unref(file->catalog);
    problems_free(&file->problems);
    free(file->folder);
    free(file);
}

static const struct catalog *file_catalog(struct source *source) {
    struct file_source *file = (struct file_source *)source;
    return file->catalog ? catalog_ref(file->catalog) : NULL;
}

static void file_problems(const struct source *source, struct problems *problems) {
    problems_append(problems, &((const struct file_source *)source)->problems);
}

static void file_status(const struct source *source, struct source_status *status) {
    const struct file_source *file = (const struct file_source *)source;
    const struct catalog *catalog = file->catalog;
    *status = (struct source_status){
        .state = (unsigned)file->state,
        .text = file->text,
        .records = catalog ? catalog->service_count + catalog_host_count(catalog) : 0,
        .watches = (file->folder_watch >= 0) + (size_t)(file->target_watch >= 0),
        .full_reads = file->reads,
        .services_out = file->services_out,
        .hosts_out = file->hosts_out,
        .futile = file->read_once && !catalog,
    };
}

static void file_refresh(struct source *source) {
    struct file_source *file = (struct file_source *)source;
    struct timeval at_once = {0};
    file->refresh = true;
    (void)evtimer_add(file->timer, &at_once);
}

static bool file_origin(struct source *source, const char *service, const char *host,
                        struct buffer *out) {
    (void)host;
    const struct file_source *file = (const struct file_source *)source;
    if (!file->catalog || !catalog_find(file->catalog, service))
        return false;
    buffer_puts(out, source->settings->file);
    return true;
}

static const struct source_ops file_ops = {file_close,  file_catalog, file_problems,
                                           file_status, file_refresh, file_origin};

/* The system has a limit on the number of inotifies; without one the timer has to do. */
static void open_inotify(struct file_source *file) {
    file->folder_watch = file->target_watch = -1;
    file->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (file->inotify < 0) {
        log_warning(file->source.log, "no inotify; looking at the file every few seconds",
                    LOG_STR("source", file->source.name),
                    LOG_STR("error", strerror(errno)));
        return;
    }
    file->changed = event_new(file->source.base, file->inotify, EV_READ | EV_PERSIST,
                              on_inotify, file);
    (void)event_add(file->changed, NULL);
}

struct source *source_file_open(struct event_base *base, const struct log *log,
                                const struct source_settings *settings,
                                struct error *error) {
    if (!settings->file || !settings->file[0]) {
        (void)error_set(error, "file", "expected the path of a catalog");
        return NULL;
    }
    struct file_source *file = mem_zalloc(sizeof *file);
    file->source = (struct source){.ops = &file_ops,
                                   .base = base,
                                   .log = log,
                                   .settings = settings,
                                   .name = mem_printf("file:%s", settings->file)};
    file->path = settings->file;
    file->folder = file_dir(settings->file);
    file->state = SOURCE_CONNECTING;
    (void)snprintf(file->text, sizeof file->text, "not read yet");
    open_inotify(file);
    file->timer = evtimer_new(base, on_timer, file);
    struct timeval at_once = {0};
    (void)evtimer_add(file->timer, &at_once);
    return &file->source;
}
