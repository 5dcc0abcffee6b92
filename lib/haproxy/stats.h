/* How HAProxy sees its servers: the answer of `show stat` (management guide, 9.1 "CSV
 * format"), read by a pure function, and asked for over the stats socket. */
#ifndef HATLAS_HAPROXY_STATS_H
#define HATLAS_HAPROXY_STATS_H

#include "base/error.h"

#include <stdint.h>

struct event_base;
struct stats;

/* One server line. Strings belong to the table. */
struct stats_server {
    const char *backend, *server;
    enum stats_state {
        STATS_UNKNOWN, /* a word that is not known here */
        STATS_UP,
        STATS_DOWN,
        STATS_DRAIN, /* draining, or up with weight 0, which is the same */
        STATS_MAINT,
        STATS_UNCHECKED, /* without a health check: taken for up */
    } state;
    const char *check;             /* result of the last check ("L7OK"), "" if none */
    int64_t sessions, queue, rate; /* now, now, and per second */
    int64_t total, errors;         /* since HAProxy began: sessions; failed
                                          connections, failed responses, answers 5xx */
    int64_t latency;               /* milliseconds to the answer, mean of the last
                                          1024; of the connection where it is not HTTP */
    int64_t changed;               /* seconds since the state changed */
};

/* All servers, sorted by backend and server (byte order). Starts as {0}. */
struct stats_table {
    struct stats_server *servers;
    size_t count;
    char *text; /* what the strings point into */
};

/* Reads the answer of `show stat`; columns are found by their names, rows that are no
 * servers are skipped. Returns false with an error, and an empty table, for a text that is
 * no such answer. */
bool stats_parse(const char *text, struct stats_table *table, struct error *error);
void stats_table_free(struct stats_table *table);

/* Sets `first` to the first server of the backend and returns how many there are. */
size_t stats_backend(const struct stats_table *table, const char *backend,
                     const struct stats_server **first);

/* Looks one server up; NULL if there is none. */
const struct stats_server *stats_find(const struct stats_table *table,
                                      const char *backend, const char *server);

/* "up", "down", "drain", "maint", "unchecked", "unknown". */
const char *stats_state_name(enum stats_state state);

/* The table is the callback's own to keep and free; NULL with an error. Called once, from
 * the loop. */
typedef void stats_answered(void *arg, struct stats_table *table,
                            const struct error *error);

/* Makes a client for HAProxy's stats socket. It is connected only while it asks. */
struct stats *stats_new(struct event_base *base, const char *socket);
void stats_free(struct stats *stats); /* no callback after; NULL is fine */

/* Asks for all servers. Nothing happens if a question is under way. */
void stats_ask(struct stats *stats, stats_answered *answered, void *arg);

#endif
