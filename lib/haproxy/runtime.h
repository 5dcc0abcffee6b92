/* The Runtime API of a running HAProxy (management guide, 9.3 "Unix Socket commands"):
 * does what a plan says without a reload, and proves it afterwards. */
#ifndef HATLAS_HAPROXY_RUNTIME_H
#define HATLAS_HAPROXY_RUNTIME_H

#include "haproxy/haproxy.h"
#include "plan/plan.h"

struct runtime;

/* What a probe found out. */
struct runtime_facts {
    pid_t pid;        /* of the worker that answers */
    char version[64]; /* "2.6.12-1+deb12u4" */
    struct plan_abilities abilities;
};

/* `facts` is NULL with an error. Called once, from the loop. */
typedef void runtime_probed(void *arg, const struct runtime_facts *facts,
                            const struct error *error);

/* Makes a client for the stats socket in settings->socket. Settings, log and loop must
 * outlive it. Talks to nobody yet. */
struct runtime *runtime_new(struct event_base *base, const struct log *log,
                            const struct haproxy_settings *settings);

/* Forgets what is under way, without callbacks. Servers that wait for their first check
 * stay drained, removed ones stay in maintenance: a next hatlas reloads at its start. */
void runtime_free(struct runtime *runtime);

/* Asks HAProxy who it is and what it is able to do, over a socket with the level admin.
 * Errors: nobody listens, no answer within two seconds, an answer that is none. Every
 * execute needs a probe before it, at least one since the last reset. One at a time: a
 * probe that is still under way is forgotten. */
void runtime_probe(struct runtime *runtime, runtime_probed *probed, void *arg);

/* A plan is likely to be executed soon: connects to HAProxy and asks which process answers,
 * so that it does so meanwhile. If no plan is executed within a second, the connection is
 * closed again. Does nothing before a probe. */
void runtime_prepare(struct runtime *runtime);

/* Executes a plan that is no reload, then compares HAProxy's state with the new config
 * (the servers of all backends that the plan touches) and the maps that it replaces.
 * `done` gets an error for anything that is not exactly as planned: an answer that is not
 * known, a difference in the end, no answer within two seconds, another process than the
 * one probed, a value that can't be sent safely, a host name that doesn't resolve. The
 * caller then reloads; HAProxy may have got a part of the plan. `config` has to stay
 * until `done` or a reset; `plan` is not used after the return. One at a time.
 *
 * Not waited for by `done`, done in the background:
 *
 * - An added server with a check is drained until its check has passed once. It becomes
 *   ready earlier if no other server of its backend can serve (at once if the config has
 *   no other), or once its check has failed (then it is DOWN, and HAProxy itself brings
 *   it up), or without any result after a minute, with a warning. HAProxy begins checking an added server after one `inter`.
 * - A removed server is in maintenance at once and gets no new request. It is deleted
 *   when its last session has ended; the tries grow rarer, never more than 10 s apart.
 *   After settings->stop_timeout the log says that it lasts. Added again before that, it
 *   is deleted if it is idle by now; else it is used again if its keywords are known and
 *   the same; else `done` gets an error. */
void runtime_execute_start(struct runtime *runtime, const struct plan *plan,
                           const char *config, haproxy_done *done, void *arg);

/* To be called after every reload or start of HAProxy, by whomever: the new worker has
 * exactly its files. Forgets the background's work and the process; a plan under way ends
 * with an error, from the loop. */
void runtime_reset(struct runtime *runtime);

/* How many servers wait for their first check, and for their last session. */
void runtime_pending(const struct runtime *runtime, size_t *warming, size_t *leaving);

#endif
