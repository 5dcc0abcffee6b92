/* The plan: what has to happen to an HAProxy that runs one set of files so that it is as
 * if started on another. A pure function of two texts, right for every template. */
#ifndef HATLAS_PLAN_PLAN_H
#define HATLAS_PLAN_PLAN_H

#include "base/buffer.h"

#include <jansson.h>
#include <stdbool.h>

/* One rendered file. */
struct plan_file {
    const char *name; /* as HAProxy's config names it, e.g. "services.map" */
    const char *text;
};

/* HAProxy's config, and the other files that it may name. */
struct plan_side {
    const char *config;
    const struct plan_file *files;
    size_t file_count;
};

/* One step that HAProxy's Runtime API can do (management guide, 9.3 "Unix Socket
 * commands"). Strings are owned by the plan; those a kind does not use are NULL. */
struct plan_step {
    enum plan_step_kind {
        PLAN_ADD_SERVER,    /* address, keywords, weight 0..256, disabled, checked */
        PLAN_REMOVE_SERVER, /* no request goes there any more; deleted once idle. Has
                               keywords, or NULL if they are not understood */
        PLAN_SET_ADDRESS,   /* address ("10.0.0.1:80", "[::1]:80", "host-1:80") */
        PLAN_SET_WEIGHT,    /* number */
        PLAN_SET_MAXCONN,   /* number */
        PLAN_DISABLE,       /* maintenance */
        PLAN_ENABLE,        /* ready */
        PLAN_SET_MAP,       /* map; text: "key value", of a key that is there once */
        PLAN_REPLACE_MAP,   /* map; text: all entries, a "key value" a line */
    } kind;
    bool disabled, checked, agent_checked;
    char *backend, *server;
    char *address;
    char *
        keywords; /* of `add server`: default-server's, the server's own, and what HAProxy
                       gives only to servers of its config; without weight and disabled,
                       which are set by commands of their own */
    char *map, *text;
    long number;
};

struct plan {
    enum { PLAN_NOTHING, PLAN_RUNTIME, PLAN_RELOAD } kind;
    char *reason; /* PLAN_RELOAD: why, in words ("backend teams: balance changed") */
    struct plan_step *steps; /* in the order in which they are to be done: servers come
                                before others go; a server is right before it is enabled */
    size_t count;
};

/* What the running HAProxy is able to do; asked of it, or assumed where none runs. */
struct plan_abilities {
    bool dynamic_servers; /* add server and del server: 2.5 and later */
    bool map_versions;    /* prepare map and commit map: 2.4 and later */
};

/* Compares two sides. Everything that is not known to be right at run time is a reload.
 * The caller owns the plan. */
struct plan *plan_new(const struct plan_side *old, const struct plan_side *new,
                      const struct plan_abilities *abilities);
void plan_free(struct plan *plan);

/* Appends the plan for people: one line for the whole, then one a step. */
void plan_describe(const struct plan *plan, struct buffer *out);

/* Returns {"plan": "nothing"|"runtime"|"reload", "reason": …, "steps": […]}. */
json_t *plan_json(const struct plan *plan);

/* One server as a config has it: what `show servers state` has to say after a plan. */
struct plan_server {
    const char *backend, *server, *address;
    long weight;
    bool disabled;
};

/* Whether the servers of a backend are wanted. */
typedef bool plan_wanted(void *arg, const char *backend);

/* Calls `visit` for the server lines of the backends that are wanted, in order, but not
 * where `.if` stands in them or around them: no step is ever about these. */
void plan_servers(const char *config, plan_wanted *wanted,
                  void (*visit)(void *arg, const struct plan_server *server), void *arg);

#endif
