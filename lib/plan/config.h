/* HAProxy's config as sections of lines: what the comparison works on. */
#ifndef HATLAS_PLAN_CONFIG_H
#define HATLAS_PLAN_CONFIG_H

#include "plan/words.h"

/* What the lines of a proxy and its defaults say about all of its servers. */
struct proxy {
    enum proxy_balance {
        BALANCE_DYNAMIC, /* roundrobin, leastconn, random */
        BALANCE_FIRST,   /* the order of servers matters */
        BALANCE_STATIC,  /* static-rr */
        BALANCE_HASH,    /* of the source, the URI, …: static unless consistent */
        BALANCE_UNKNOWN,
    } balance;
    bool consistent;              /* hash-type consistent */
    const char *no_add;           /* why no server can be added; NULL if one can */
    struct line *server_defaults; /* the default-server lines, in order */
    size_t server_default_count;
};

struct section {
    char *title;      /* "backend teams", "global" */
    const char *name; /* "teams", or "" */
    struct line text; /* all of it, from its first line on */
    enum section_kind { SECTION_OTHER, SECTION_DEFAULTS, SECTION_SERVERS } kind;
    bool conditional;            /* .if and the like stand in it or around it */
    const struct proxy *inherit; /* of the defaults before it or named; NULL for none */
    struct proxy *proxy;         /* SECTION_DEFAULTS: what it hands on */
};

/* A config. Its text is borrowed. */
struct config {
    struct section *sections;
    size_t count;
};

void config_parse(struct config *config, const char *text);
void config_free(struct config *config);

/* Takes the next line that is not blank and no comment, without blanks before it. `rest`
 * moves behind it. */
bool line_next(struct line *rest, struct line *line);

/* Reads a proxy's lines, one after the other. Freed by proxy_free(). */
void proxy_start(struct proxy *proxy, const struct proxy *inherit);
void proxy_read(struct proxy *proxy, struct words *words, const struct line *line);
void proxy_free(struct proxy *proxy);

/* Whether servers can come and go, and have any weight, while HAProxy runs. */
bool proxy_is_dynamic(const struct proxy *proxy);

#endif
