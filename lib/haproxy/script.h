/* The commands that do what a plan says, in order. Everything that comes from the registry
 * is looked at here before it is sent. */
#ifndef HATLAS_HAPROXY_SCRIPT_H
#define HATLAS_HAPROXY_SCRIPT_H

#include "haproxy/answer.h"
#include "haproxy/resolve.h"
#include "plan/plan.h"

/* One command. Strings are owned by the script. */
struct script_line {
    enum script_kind {
        SCRIPT_SEND,    /* send it, and judge the answer by `expect` */
        SCRIPT_REVIVE,  /* `del server` of one that was removed before: if it can't be
                           deleted yet, it is used again, else it is added afresh */
        SCRIPT_SET,     /* `set map` with the text, "key value" */
        SCRIPT_PREPARE, /* `prepare map`: its answer is the version for the next ones */
        SCRIPT_PAYLOAD, /* `add map @version` with the text as payload */
        SCRIPT_COUNT,   /* `show map @version` must show all of the file */
        SCRIPT_COMMIT,  /* `commit map @version` */
    } kind;
    enum answer_kind expect;
    enum script_when {
        SCRIPT_ALWAYS,
        SCRIPT_IF_ADDED,  /* skipped after a SCRIPT_REVIVE that uses the server again */
        SCRIPT_IF_REVIVED /* skipped otherwise */
    } when;
    char *text; /* the command; SCRIPT_PAYLOAD: the payload; SCRIPT_COUNT: the map file */
    char *map;
    /* What becomes of the server once the command is done. */
    enum { SCRIPT_NO_MARK, SCRIPT_WARMS, SCRIPT_LEAVES, SCRIPT_STAYS } mark;
    char *server;   /* "backend/server" */
    char *keywords; /* of `add server`; NULL if not known */
};

struct script {
    struct script_line *lines;
    size_t count;
    size_t removals;
    size_t next_id; /* for `add server`: each gets one of its own */
};

/* What the commands depend on besides the plan. */
struct script_context {
    const struct resolver *resolver; /* has all names of hosts */
    /* Whether a server, "backend/server", was removed and is not deleted yet. */
    bool (*is_leaving)(const void *arg, const char *server);
    /* Whether a server that is there already is to serve after the plan. */
    bool (*has_others)(const void *arg, const char *backend);
    const void *arg;
};

/* Appends the commands of all steps. On error, which names the backend and server or the
 * map, nothing may be sent. */
bool script_write(struct script *script, const struct plan *plan,
                  const struct script_context *context, struct error *error);
void script_free(struct script *script);

/* Appends the command that lets a server, "backend/server", serve that was drained until
 * its first check. */
void script_make_ready(struct script *script, const char *server);

/* Returns the command as it is sent, with the version of the map's transaction; the
 * caller owns it. */
char *script_command(const struct script_line *line, long map_version);

#endif
