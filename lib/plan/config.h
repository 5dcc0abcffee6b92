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
    bool http, never_reused;      /* mode http; http-reuse never */
    const char *no_add;           /* why no server can be added; NULL if one can */
    struct line *server_defaults; /* the default-server lines, in order */
    size_t server_default_count;
};

/* Whether a connection to a server may serve another client after the one it was opened
 * for, and so outlive a change of the server's address. */
bool proxy_reuses(const struct proxy *proxy);

struct section {
    char *title;      /* "backend teams", "global" */
    const char *name; /* "teams", or "" */
    struct line text; /* all of it, from its first line on */
    enum section_kind { SECTION_OTHER, SECTION_DEFAULTS, SECTION_SERVERS } kind;
    bool conditional;            /* .if and the like stand in it or around it */
    const struct proxy *inherit; /* of the defaults before it or named; NULL for none */
    struct proxy *proxy;         /* SECTION_DEFAULTS: what it hands on */
};

/* A config, or some of its sections. Its text is borrowed. */
struct config {
    struct section *sections;
    size_t count;
    size_t *defaults; /* which of the sections are those of defaults */
    size_t defaults_count;
    size_t depth; /* how many .if are open at its end */
};

/* Reads all sections. What they take from sections before the text is in `before`, which
 * must outlive the config; NULL if it is the whole config. */
void config_parse(struct config *config, struct line text, const struct config *before);

/* Whether a section that can have servers is wanted; by its name. */
typedef bool config_wanted(void *arg, const char *name);

/* Reads only the sections of defaults, and those wanted (NULL: none). */
void config_skim(struct config *config, struct line text, config_wanted *wanted,
                 void *arg);
void config_free(struct config *config);

/* Finds the part in which two configs differ, from the beginning of a section to that of
 * another one or the end: `before` bytes are the same before it, `after` behind it. */
void config_trim(const char *old, const char *new, size_t *before, size_t *after);

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
