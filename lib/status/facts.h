/* What follows from a view and from what HAProxy says of its servers: how each host
 * stands, what differs, and whether all is well. */
#ifndef HATLAS_STATUS_FACTS_H
#define HATLAS_STATUS_FACTS_H

#include "haproxy/stats.h"
#include "status/status.h"

/* What HAProxy last answered. */
struct facts_stats {
    struct stats_table table; /* empty while it never answered */
    bool known;               /* it answered the last time */
    int64_t at;               /* when it last did: milliseconds since 1970; 0: never */
    struct error error;       /* if it did not */
};

/* One host of one service as both sides have it; one of the pointers may be NULL. */
struct facts_host {
    const struct host *host;
    const struct stats_server *server;
    const char *differs; /* in which way HAProxy has it otherwise; NULL: it does not */
};

/* All services or one, counted. */
struct facts_tally {
    size_t hosts; /* in the registry */
    size_t up;    /* serving, by HAProxy's word */
    size_t down;  /* should serve, and do not */
    size_t differs;
    size_t unserved; /* services with hosts of which none is up */
    int64_t sessions, rate, errors,
        latency; /* latency: mean over the hosts that are up */
};

/* Visits every host of the service, those that only HAProxy has last, and adds to the
 * tally. Returns whether HAProxy has a backend of this name. `visit` may be NULL. */
bool facts_service(const struct service *service, const struct facts_stats *stats,
                   struct facts_tally *tally,
                   void (*visit)(void *arg, const struct facts_host *host), void *arg);

/* "enabled", "disabled", "drain" or "backup". */
const char *facts_registry_state(const struct host *host);

enum facts_level { FACTS_OK, FACTS_WARNING, FACTS_ERROR };

/* Whether all is well, in one sentence, and what is not, worst first. */
struct facts_health {
    enum facts_level level;
    struct buffer summary;
    struct problems reasons; /* `where` is the level's name */
};

void facts_health(struct facts_health *health, const struct status_view *view,
                  const struct facts_stats *stats, const struct facts_tally *all,
                  int64_t now);
void facts_health_free(struct facts_health *health);

const char *facts_level_name(enum facts_level level); /* "ok", "warning", "error" */

/* Counts all services. */
void facts_count(struct facts_tally *all, const struct status_view *view,
                 const struct facts_stats *stats);

/* Whether requests are served: a config is in place and HAProxy uses it. */
bool facts_ready(const struct status_view *view, const struct facts_stats *stats);

/* Milliseconds since 1970. */
int64_t facts_now(void);

#endif
