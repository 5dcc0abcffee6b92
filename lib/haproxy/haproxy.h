/* HAProxy as a process: whether it takes a config, and how it is brought to use one. */
#ifndef HATLAS_HAPROXY_HAPROXY_H
#define HATLAS_HAPROXY_HAPROXY_H

#include "base/error.h"
#include "base/log.h"
#include "settings/settings.h"

struct event_base;
struct haproxy;

/* Whether `haproxy -c -f path` takes the file. The error has HAProxy's own message, with
 * the file's place where it names one. Blocks; for one-shot commands. */
bool haproxy_check(const char *binary, const char *path, struct error *error);

/* The outcome of one request: `error` is NULL if it went well. Called once, from the
 * loop. */
typedef void haproxy_done(void *arg, const struct error *error);

/* What happens to HAProxy by itself. Any member may be NULL. */
struct haproxy_events {
    void (*down)(void *arg, const char *reason); /* it died or went out of reach */
    void (*up)(void *arg); /* it runs (again) with the file in place */
    void *arg;
};

/* Makes the controller for the mode in settings->haproxy.control: supervise,
 * master-socket, systemd or command. `config` is the path of HAProxy's config. Starts
 * nothing yet. Settings, log and loop must outlive it. */
struct haproxy *haproxy_new(struct event_base *base, const struct log *log,
                            const struct haproxy_settings *settings, const char *config,
                            const struct haproxy_events *events);

/* Frees the controller. A supervised HAProxy that still runs is killed: stop it first, or
 * detach from it. */
void haproxy_free(struct haproxy *haproxy);

/* Lets a supervised HAProxy go on running when the controller is freed; a later controller
 * for the same config and master socket adopts it. What it writes from then on is lost.
 * To be called before it is started, so that it does not hold this process's standard
 * output. One that is only being started when the controller is freed is still killed. */
void haproxy_detach(struct haproxy *haproxy);

/* The same as haproxy_check without blocking, for any file. One check at a time. */
void haproxy_check_start(struct haproxy *haproxy, const char *path, haproxy_done *done,
                         void *arg);

/* Ends the check under way, if there is one; no callback. */
void haproxy_check_cancel(struct haproxy *haproxy);

/* Makes HAProxy use the config in place: starts it if it is supervised and not running,
 * else reloads it and waits until the new worker is known to serve. One at a time. On
 * error the old worker, if any, still serves. */
void haproxy_reload_start(struct haproxy *haproxy, haproxy_done *done, void *arg);

/* Whether a reload that has ended with an error may still come about: HAProxy neither
 * refused it nor was seen to do it in time. */
bool haproxy_may_follow(const struct haproxy *haproxy);

/* Ends a supervised HAProxy: soft stop (SIGUSR1), after `haproxy.stop_timeout` SIGTERM,
 * then SIGKILL. The other modes have nothing to end: `done` comes at once, from the loop.
 */
void haproxy_stop_start(struct haproxy *haproxy, haproxy_done *done, void *arg);

/* Whether HAProxy is known to run, and its master's process id (0 if not known). */
bool haproxy_running(const struct haproxy *haproxy, pid_t *pid);

#endif
