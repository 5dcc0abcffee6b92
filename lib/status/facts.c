/* Holds the registry against HAProxy, and says whether all is well. */
#include "status/facts.h"

#include <string.h>
#include <time.h>

int64_t facts_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *facts_registry_state(const struct host *host) {
    return !host->enabled ? "disabled"
           : host->drain  ? "drain"
           : host->backup ? "backup"
                          : "enabled";
}

/* Being down is no difference: it is what a check found. */
static const char *difference(const struct host *host,
                              const struct stats_server *server) {
    if (!server)
        return "not in HAProxy";
    if (!host)
        return server->state == STATS_MAINT ? "leaving" : "not in the registry";
    bool drains = host->drain || !host->weight;
    bool maint = server->state == STATS_MAINT;
    if (!host->enabled)
        return maint ? NULL : "not disabled in HAProxy";
    if (maint)
        return "in maintenance in HAProxy";
    if (server->state == STATS_DRAIN && !drains)
        return "draining in HAProxy";
    if (server->state == STATS_UP && drains)
        return "not draining in HAProxy";
    return NULL;
}

static bool is_up(const struct stats_server *server) {
    return server && (server->state == STATS_UP || server->state == STATS_UNCHECKED);
}

static void count(struct facts_tally *tally, const struct facts_host *host) {
    const struct stats_server *server = host->server;
    tally->hosts += host->host != NULL;
    tally->differs += host->differs != NULL;
    if (!server)
        return;
    tally->sessions += server->sessions;
    tally->rate += server->rate;
    tally->errors += server->errors;
    if (is_up(server)) {
        tally->up++;
        tally->latency += server->latency;
    } else if (host->host && host->host->enabled && server->state == STATS_DOWN) {
        tally->down++;
    }
}

static bool is_registered(const struct service *service, const char *name) {
    for (size_t i = 0; i < service->host_count; i++)
        if (!strcmp(service->hosts[i]->name, name))
            return true;
    return false;
}

bool facts_service(const struct service *service, const struct facts_stats *stats,
                   struct facts_tally *tally,
                   void (*visit)(void *arg, const struct facts_host *host), void *arg) {
    const struct stats_server *first = NULL;
    size_t servers = stats_backend(&stats->table, service->name, &first);
    size_t matched = 0;
    for (size_t i = 0; i < service->host_count; i++) {
        struct facts_host found = {.host = service->hosts[i]};
        if (servers) {
            found.server = stats_find(&stats->table, service->name, found.host->name);
            found.differs = difference(found.host, found.server);
            matched += found.server != NULL;
        }
        count(tally, &found);
        if (visit)
            visit(arg, &found);
    }
    for (size_t i = 0; matched < servers && i < servers; i++) {
        struct facts_host found = {NULL, &first[i], difference(NULL, &first[i])};
        if (is_registered(service, first[i].server))
            continue;
        count(tally, &found);
        if (visit)
            visit(arg, &found);
    }
    return servers;
}

void facts_count(struct facts_tally *all, const struct status_view *view,
                 const struct facts_stats *stats) {
    const struct catalog *catalog = view->catalog;
    *all = (struct facts_tally){0};
    for (size_t i = 0; catalog && i < catalog->service_count; i++) {
        size_t up = all->up;
        bool served = facts_service(catalog->services[i], stats, all, NULL, NULL);
        all->unserved += served && catalog->services[i]->host_count && all->up == up;
    }
}
