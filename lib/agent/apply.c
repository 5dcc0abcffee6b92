/* Putting one set of rendered files in place.
 *
 *   CHECKING ──refused──► done            CHECKING: haproxy -c on a staged copy
 *      │ accepted, files written
 *   LOADING ──failed──► files put back ──► done
 *      │ HAProxy uses it
 *    done
 */
#include "agent/apply.h"
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct apply {
    struct event_base *base;
    const struct log *log;
    const struct settings *settings;
    struct haproxy *haproxy;
    enum { IDLE, CHECKING, LOADING } state;
    const struct outputs *new, *old;
    bool reload;
    char *stage; /* the folder that the check works in */
    apply_done *done;
    void *arg;
    struct event *later;
    enum apply_result result;
    struct error error;
};

/* While this file stands beside HAProxy's config, a reload is owed. */
static char *owed_path(const struct settings *settings) {
    const struct output_settings *config = settings_haproxy_output(settings);
    return config ? mem_printf("%s.reload-owed", config->path) : NULL;
}

bool apply_was_interrupted(const struct settings *settings) {
    char *path = owed_path(settings);
    bool owed = path && access(path, F_OK) == 0;
    free(path);
    return owed;
}

static void set_owed(const struct apply *apply, bool owed) {
    char *path = owed_path(apply->settings);
    struct error error;
    if (path && owed && !file_replace(path, "", 0, 0644, &error))
        log_warning(apply->log, "can't note that a reload is owed",
                    LOG_STR("path", error.where), LOG_STR("error", error.text));
    if (path && !owed)
        (void)unlink(path);
    free(path);
}

static void tell(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct apply *apply = arg;
    if (apply->done)
        apply->done(apply->arg, apply->result,
                    apply->result == APPLY_DONE ? NULL : &apply->error);
}

/* The answer comes from the loop, so that nobody is called back from within a call. */
static void finish(struct apply *apply, enum apply_result result) {
    apply->state = IDLE;
    apply->result = result;
    event_active(apply->later, 0, 0);
}

struct apply *apply_new(struct event_base *base, const struct log *log,
                        const struct settings *settings, struct haproxy *haproxy) {
    struct apply *apply = mem_zalloc(sizeof *apply);
    apply->base = base;
    apply->log = log;
    apply->settings = settings;
    apply->haproxy = haproxy;
    apply->later = event_new(base, -1, 0, tell, apply);
    const struct output_settings *config = settings_haproxy_output(settings);
    if (config)
        apply->stage = mem_printf("%s.check", config->path);
    return apply;
}

void apply_free(struct apply *apply) {
    if (!apply)
        return;
    event_free(apply->later);
    free(apply->stage);
    free(apply);
}

static char *rejected_path(const struct apply *apply) {
    return mem_printf("%s.rejected", settings_haproxy_output(apply->settings)->path);
}

static void keep_rejected(const struct apply *apply) {
    const struct output *config = outputs_config(apply->new);
    struct buffer text = BUFFER_INIT;
    struct error error;
    char *path = rejected_path(apply);
    buffer_append(&text, buffer_str(&config->text), config->text.len);
    buffer_puts(&text, "# refused by HAProxy: ");
    error_format(&apply->error, &text);
    buffer_putc(&text, '\n');
    if (!file_replace(path, text.data, text.len, 0600, &error))
        log_warning(apply->log, "can't keep the refused config",
                    LOG_STR("path", error.where), LOG_STR("error", error.text));
    buffer_free(&text);
    free(path);
}

static void forget_rejected(const struct apply *apply) {
    char *path = rejected_path(apply);
    (void)unlink(path);
    free(path);
}

static void on_change_ended(void *arg, const struct child_end *end) {
    const struct apply *apply = arg;
    if (end->status != 0)
        log_error(apply->log, "on_change command failed", LOG_STR("reason", end->reason),
                  LOG_STR("output", end->output));
}

static void run_on_change(struct apply *apply) {
    for (size_t i = 0; i < apply->new->count; i++) {
        const struct output_settings *settings = apply->new->items[i].settings;
        struct error error;
        if (!settings->on_change || output_same(apply->old, apply->new, i))
            continue;
        if (!child_start(apply->base, (const char *const *)settings->on_change, true,
                         60000, on_change_ended, apply, &error))
            log_error(apply->log, "on_change command failed",
                      LOG_STR("command", error.where), LOG_STR("error", error.text));
    }
}

/* Puts the files back as they were. What went wrong first is what is reported. */
static void undo(struct apply *apply) {
    struct error error;
    if (!outputs_write(apply->old, apply->new, &error))
        log_error(apply->log, "can't put the old files back",
                  LOG_STR("path", error.where), LOG_STR("error", error.text));
    set_owed(apply, false);
}

static void on_loaded(void *arg, const struct error *error) {
    struct apply *apply = arg;
    if (!apply->done)
        return;
    if (!error) {
        set_owed(apply, false);
        run_on_change(apply);
        finish(apply, APPLY_DONE);
        return;
    }
    apply->error = *error;
    if (haproxy_running(apply->haproxy, NULL)) {
        undo(apply);
        keep_rejected(apply);
        finish(apply, APPLY_ROLLED_BACK);
    } else {
        finish(apply, APPLY_NOT_LOADED);
    }
}

static void write_and_load(struct apply *apply) {
    if (apply->reload)
        set_owed(apply, true);
    if (!outputs_write(apply->new, apply->old, &apply->error)) {
        undo(apply);
        finish(apply, APPLY_NOT_WRITTEN);
        return;
    }
    if (apply->haproxy)
        forget_rejected(apply);
    if (!apply->reload) {
        run_on_change(apply);
        finish(apply, APPLY_DONE);
        return;
    }
    apply->state = LOADING;
    haproxy_reload_start(apply->haproxy, on_loaded, apply);
}

static void on_checked(void *arg, const struct error *error) {
    struct apply *apply = arg;
    if (!apply->done)
        return;
    outputs_unstage(apply->new, apply->stage);
    if (!error) {
        write_and_load(apply);
        return;
    }
    apply->error = *error;
    outputs_name_own(apply->new, apply->stage, &apply->error);
    keep_rejected(apply);
    finish(apply, APPLY_REFUSED);
}

void apply_start(struct apply *apply, const struct outputs *new,
                 const struct outputs *old, bool reload, apply_done *done, void *arg) {
    apply->new = new;
    apply->old = old;
    apply->reload = apply->haproxy && (reload || outputs_touch_haproxy(old, new));
    apply->done = done;
    apply->arg = arg;
    if (!apply->reload) {
        write_and_load(apply);
        return;
    }
    apply->state = CHECKING;
    char *config = outputs_stage(new, apply->stage, &apply->error);
    if (config)
        haproxy_check_start(apply->haproxy, config, on_checked, apply);
    else
        finish(apply, APPLY_NOT_WRITTEN);
    free(config);
}

void apply_abandon(struct apply *apply) {
    apply->done = NULL;
    if (apply->state == CHECKING)
        outputs_unstage(apply->new, apply->stage);
}

void apply_settle(struct apply *apply) {
    set_owed(apply, false);
}
