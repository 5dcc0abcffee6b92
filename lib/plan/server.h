/* One server line together with what default-server adds to it. */
#ifndef HATLAS_PLAN_SERVER_H
#define HATLAS_PLAN_SERVER_H

#include "plan/words.h"

#include <netinet/in.h>

struct keyword;

/* A keyword of the server and its argument. */
struct server_option {
    const struct keyword *keyword;
    char *value; /* "" for a keyword without one */
};

struct server {
    char *name, *address; /* the address as the plan gives it: see server_parse() */
    enum { ADDRESS_IP, ADDRESS_HOST, ADDRESS_OTHER } address_kind;
    long weight, maxconn;
    bool disabled, checked, agent_checked;
    bool opaque; /* a keyword is unknown, or has a variable: comparable only by its bytes
                  */
    struct server_option *options; /* all but weight, maxconn, disabled, enabled */
    size_t option_count;
};

/* Reads the line and the default-server lines that count for it. An address that is
 * "IP:port" or "host:port" is written as "10.0.0.1:80", "[::1]:80" or "host:80"; any
 * other stays as it is. */
void server_parse(struct server *server, struct words *words, const struct line *defaults,
                  size_t default_count, const struct line *line);
void server_free(struct server *server);

/* Returns what forbids `add server` for this one, NULL if nothing does. Static, or
 * owned by the server. */
const char *server_no_add(const struct server *server);

/* Appends the keywords of `add server` that make the added server what the config says:
 * all options, maxconn, and what HAProxy gives to servers of its config only. */
void server_keywords(const struct server *server, struct buffer *out);

/* Whether it has the option. */
bool server_has(const struct server *server, const char *keyword);

/* Returns the name of an option that differs, NULL if none does. `how` receives what
 * happened to it, "added", "removed" or "changed". */
const char *server_difference(const struct server *old, const struct server *new,
                              const char **how);

#endif
