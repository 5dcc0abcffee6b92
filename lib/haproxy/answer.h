/* What HAProxy's Runtime API answers, read by pure functions. Whatever is not known to be
 * good is not good. */
#ifndef HATLAS_HAPROXY_ANSWER_H
#define HATLAS_HAPROXY_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What a command that did its work says. */
enum answer_kind {
    ANSWER_NOTHING, /* set server … state, weight; set maxconn; enable …; add, commit map */
    ANSWER_ADDED,   /* add server */
    ANSWER_ADDRESS, /* set server … addr */
    ANSWER_DELETED, /* del server */
};

enum answer_verdict {
    ANSWER_DONE,
    ANSWER_BUSY,    /* del server: not before its last connection is gone */
    ANSWER_UNKNOWN, /* anything else: the command failed */
};

enum answer_verdict answer_judge(enum answer_kind kind, const char *answer);

/* Reads the answer of `prepare map`: the number of the new version. */
bool answer_map_version(const char *answer, long *version);

/* Whether the answer of `get map` is that the key has this value. */
bool answer_map_value(const char *answer, const char *value);

/* Reads the process and the version from the answer of `show info`. */
bool answer_info(const char *answer, pid_t *pid, char *version, size_t size);

/* Whether the answer of `help` lists the command ("add server"). */
bool answer_offers(const char *answer, const char *command);

/* One server as `show servers state` has it. */
struct answer_server {
    const char *backend, *server;
    const char *address; /* without a port; "-" if it has none */
    long port, weight;
    bool running;               /* not DOWN */
    bool maintenance, draining; /* by command, or by its line in the config */
    bool unresolved;            /* in maintenance because its name has no address */
    bool check_ok;              /* its last check passed */
    bool has_agent;             /* which may change weight and state at any time */
};

/* Calls `visit` for every server, in order. Returns false if the answer is no such table;
 * some servers may have been visited then. */
bool answer_servers(const char *answer,
                    void (*visit)(void *arg, const struct answer_server *server),
                    void *arg);

#endif
