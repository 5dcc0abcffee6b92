/* The files on disk, held by this process alone. */
#include "agent/place.h"
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ON_CHANGE_MS = 60000 };

/* The on_change command of one output: never twice at a time. */
struct hook {
    struct place *place;
    const struct output_settings *output;
    struct child *child;
    bool again; /* the file changed while it ran */
};

struct place {
    struct event_base *base;
    const struct log *log;
    const struct settings *settings;
    const char *config; /* path of HAProxy's config, NULL if there is none */
    const struct outputs *outputs;
    const struct outputs *staged;
    char *stage; /* the folder that checks work in */
    char *stage_config;
    int *locks;
    size_t lock_count;
    struct hook *hooks; /* one an output */
    bool owed;
};

static char *beside(const struct place *place, const char *suffix) {
    return mem_printf("%s%s", place->config, suffix);
}

static bool lock_outputs(struct place *place, struct error *error) {
    const struct settings *settings = place->settings;
    place->locks = mem_zalloc(settings->output_count * sizeof *place->locks);
    for (size_t i = 0; i < settings->output_count; i++) {
        char *dir = file_dir(settings->outputs[i].path);
        char *path = mem_printf("%s.lock", settings->outputs[i].path);
        int lock = file_make_dirs(dir, 0755, error) ? file_lock(path, error) : -1;
        free(path);
        free(dir);
        if (lock < 0)
            return false;
        place->locks[place->lock_count++] = lock;
    }
    return true;
}

struct place *place_open(struct event_base *base, const struct log *log,
                         const struct settings *settings, struct error *error) {
    const struct output_settings *config = settings_haproxy_output(settings);
    struct place *place = mem_zalloc(sizeof *place);
    place->base = base;
    place->log = log;
    place->settings = settings;
    place->config = config ? config->path : NULL;
    place->stage = config ? beside(place, ".check") : NULL;
    place->hooks = mem_zalloc(settings->output_count * sizeof *place->hooks);
    for (size_t i = 0; i < settings->output_count; i++)
        place->hooks[i] = (struct hook){place, &settings->outputs[i], NULL, false};
    if (lock_outputs(place, error))
        place->outputs = outputs_load(settings, error);
    if (place->outputs) {
        char *owed = config ? beside(place, ".reload-owed") : NULL;
        place->owed = owed && access(owed, F_OK) == 0;
        free(owed);
        return place;
    }
    place_close(place);
    return NULL;
}

void place_close(struct place *place) {
    if (!place)
        return;
    place_unstage(place, NULL);
    for (size_t i = 0; i < place->settings->output_count; i++)
        if (place->hooks[i].child)
            child_detach(place->hooks[i].child);
    while (place->lock_count)
        (void)close(place->locks[--place->lock_count]);
    outputs_unref(place->outputs);
    free(place->hooks);
    free(place->locks);
    free(place->stage);
    free(place);
}

const struct outputs *place_outputs(const struct place *place) {
    return place->outputs;
}

static void run_hook(struct hook *hook);

static void on_hook_ended(void *arg, const struct child_end *end) {
    struct hook *hook = arg;
    hook->child = NULL;
    if (end->status != 0)
        log_error(hook->place->log, "on_change command failed",
                  LOG_STR("path", hook->output->path), LOG_STR("reason", end->reason),
                  LOG_STR("output", end->output));
    if (hook->again)
        run_hook(hook);
}

static void run_hook(struct hook *hook) {
    struct error error;
    if (!hook->output->on_change)
        return;
    hook->again = hook->child != NULL;
    if (hook->child)
        return;
    hook->child =
        child_start(hook->place->base, (const char *const *)hook->output->on_change, true,
                    ON_CHANGE_MS, on_hook_ended, hook, &error);
    if (!hook->child)
        log_error(hook->place->log, "on_change command failed",
                  LOG_STR("path", hook->output->path), LOG_STR("command", error.where),
                  LOG_STR("error", error.text));
}

/* What somebody else wrote into a file is about to be replaced: said, and kept. */
static void keep_foreign(const struct place *place, const struct output *known) {
    const char *path = known->settings->path;
    if (!known->exists || file_equals(path, buffer_str(&known->text), known->text.len) ||
        access(path, F_OK) < 0)
        return;
    char *kept = mem_printf("%s.foreign", path);
    struct buffer text = BUFFER_INIT;
    struct error error = {{0}, {0}};
    bool done = file_read(path, SIZE_MAX / 4, &text, &error) &&
                file_replace(kept, buffer_str(&text), text.len, 0600, &error);
    log_warning(place->log, "a file was edited by someone else, and is replaced",
                LOG_STR("path", path), LOG_STR("kept_as", done ? kept : NULL),
                LOG_STR("error", done ? NULL : error.text));
    buffer_free(&text);
    free(kept);
}

/* After a write that failed. If this fails too, some files are old and some are new. */
static void put_back(struct place *place, const struct outputs *outputs) {
    struct error error;
    if (outputs_write(place->outputs, outputs, &error))
        return;
    log_error(place->log, "can't put the old files back", LOG_STR("path", error.where),
              LOG_STR("error", error.text));
    const struct outputs *found = outputs_load(place->settings, &error);
    if (!found)
        return;
    outputs_unref(place->outputs);
    place->outputs = found;
}

bool place_write(struct place *place, const struct outputs *outputs,
                 struct error *error) {
    const struct outputs *old = place->outputs;
    for (size_t i = 0; i < outputs->count; i++)
        if (!output_same(old, outputs, i))
            keep_foreign(place, &old->items[i]);
    if (!outputs_write(outputs, old, error)) {
        put_back(place, outputs);
        return false;
    }
    place->outputs = outputs_ref(outputs);
    for (size_t i = 0; i < outputs->count; i++)
        if (!output_same(old, outputs, i))
            run_hook(&place->hooks[i]);
    outputs_unref(old);
    return true;
}

const char *place_stage(struct place *place, const struct outputs *outputs,
                        struct error *error) {
    place_unstage(place, NULL);
    place->stage_config = outputs_stage(outputs, place->stage, error);
    place->staged = place->stage_config ? outputs_ref(outputs) : NULL;
    return place->stage_config;
}

void place_unstage(struct place *place, struct error *error) {
    if (!place->staged)
        return;
    outputs_unstage(place->staged, place->stage);
    if (error)
        outputs_name_own(place->staged, place->stage, error);
    outputs_unref(place->staged);
    free(place->stage_config);
    place->staged = NULL;
    place->stage_config = NULL;
}

void place_reject(const struct place *place, const struct outputs *outputs,
                  const struct error *refusal) {
    const struct output *config = outputs_config(outputs);
    struct buffer text = BUFFER_INIT;
    struct error error;
    char *path = beside(place, ".rejected");
    buffer_append(&text, buffer_str(&config->text), config->text.len);
    buffer_puts(&text, "# refused by HAProxy: ");
    error_format(refusal, &text);
    buffer_putc(&text, '\n');
    if (!file_replace(path, text.data, text.len, 0600, &error))
        log_warning(place->log, "can't keep the refused config",
                    LOG_STR("path", error.where), LOG_STR("error", error.text));
    buffer_free(&text);
    free(path);
}

void place_accept(const struct place *place) {
    char *path = beside(place, ".rejected");
    (void)unlink(path);
    free(path);
}

/* Not synced to the disk: what it tells of outlives this process, not the machine. */
void place_owe(struct place *place, bool owed) {
    if (place->owed == owed)
        return;
    char *path = beside(place, ".reload-owed");
    int fd = -1;
    place->owed = owed;
    if (owed)
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    else
        (void)unlink(path);
    if (owed && fd < 0)
        log_warning(place->log, "can't note that a reload is owed", LOG_STR("path", path),
                    LOG_STR("error", strerror(errno)));
    if (fd >= 0)
        (void)close(fd);
    free(path);
}

bool place_owes(const struct place *place) {
    return place->owed;
}
