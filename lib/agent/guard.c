/* The guard: losses too large to be believed at once.
 *
 *   nothing held ──loss──► HELD ──grace over──► CONFIRMING ──full read done──► believed
 *                            └──────── hosts come back: nothing held ◄────────┘
 *
 * One state for the whole registry: losses come together, and so does their confirmation.
 */
#include "agent/guard.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct guard {
    const struct settings *settings;
    const struct catalog *served; /* what the last call returned */
    const struct catalog *given;  /* what it was given: served but not given is held */
    int64_t served_at;            /* when the last call was */
    const struct catalog *before; /* served one grace time ago, or up to two */
    const struct catalog *next;   /* what `before` will be */
    int64_t next_at;
    int64_t held_since;    /* 0: nothing is held */
    uint64_t confirmed_at; /* reads that confirm; 0: not asked for yet */
};

struct guard *guard_new(const struct settings *settings) {
    struct guard *guard = mem_zalloc(sizeof *guard);
    guard->settings = settings;
    return guard;
}

void guard_free(struct guard *guard) {
    if (!guard)
        return;
    guard_reset(guard);
    free(guard);
}

void guard_reset(struct guard *guard) {
    catalog_unref(guard->served);
    catalog_unref(guard->given);
    catalog_unref(guard->before);
    catalog_unref(guard->next);
    guard->served = NULL;
    guard->given = NULL;
    guard->before = NULL;
    guard->next = NULL;
    guard->held_since = 0;
    guard->confirmed_at = 0;
}

static int64_t grace_of(const struct guard *guard) {
    return guard->settings->guard.grace * 1000;
}

/* Losses are counted since a grace time ago, because what breaks slowly is broken too. */
static void move_window(struct guard *guard, int64_t now) {
    bool was_quiet = now - guard->served_at >= grace_of(guard);
    if (guard->next && now - guard->next_at < grace_of(guard))
        return;
    catalog_unref(guard->before);
    guard->before = catalog_ref(was_quiet || !guard->next ? guard->served : guard->next);
    catalog_unref(guard->next);
    guard->next = catalog_ref(guard->served);
    guard->next_at = now;
}

/* Finds the service of that name from place `at` on, which moves there; NULL if there is
 * none. Most services are the same structs in both catalogs, so few names are compared. */
static const struct service *walk_to(const struct catalog *catalog, size_t *at,
                                     const struct service *wanted) {
    int order = -1;
    for (; *at < catalog->service_count; ++*at) {
        const struct service *service = catalog->services[*at];
        order = service == wanted ? 0 : strcmp(service->name, wanted->name);
        if (order >= 0)
            break;
    }
    return order ? NULL : catalog->services[*at];
}

static bool has_host(const struct service *service, const char *id) {
    size_t low = 0;
    size_t high = service ? service->host_count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(service->hosts[middle]->id, id);
        if (!order)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static size_t lost_hosts(const struct service *old, const struct service *new) {
    size_t lost = 0;
    for (size_t i = 0; i < old->host_count; i++)
        lost += !has_host(new, old->hosts[i]->id);
    return lost;
}

/* Whether a host was held the last time and has not come back: hosts that joined since
 * must not make the loss look small. */
static bool still_held(const struct guard *guard, const struct service *old,
                       const struct service *new) {
    const struct service *given = catalog_find(guard->given, old->name);
    for (size_t i = 0; guard->held_since && i < old->host_count; i++)
        if (!has_host(new, old->hosts[i]->id) && !has_host(given, old->hosts[i]->id))
            return true;
    return false;
}

static bool too_many(const struct guard *guard, size_t lost, size_t of) {
    return lost * 100 > of * (size_t)guard->settings->guard.max_loss;
}

/* Whether too few are left of what there was. Those that others replaced are not missed:
 * that is how a service is deployed anew. */
static bool shrank(const struct guard *guard, size_t before, size_t left) {
    return left < before && too_many(guard, before - left, before);
}

static size_t hosts_before(const struct guard *guard, const char *name) {
    const struct service *service = catalog_find(guard->before, name);
    return service ? service->host_count : 0;
}

/* Whether what became of one service is not to be believed yet. */
static bool suspicious(const struct guard *guard, const struct service *old,
                       const struct service *new) {
    size_t lost = old == new ? 0 : lost_hosts(old, new);
    return lost && (!new->host_count || too_many(guard, lost, old->host_count) ||
                    shrank(guard, hosts_before(guard, new->name), new->host_count) ||
                    still_held(guard, old, new));
}

/* The service with the hosts that it lost: a new reference. */
static const struct service *keep_hosts(const struct service *old,
                                        const struct service *new) {
    const struct host **hosts =
        mem_zalloc((old->host_count + new->host_count) * sizeof *hosts);
    struct problems ignored = {0};
    size_t count = 0;
    for (size_t i = 0; i < new->host_count; i++)
        hosts[count++] = new->hosts[i];
    for (size_t i = 0; i < old->host_count; i++)
        if (!has_host(new, old->hosts[i]->id))
            hosts[count++] = old->hosts[i];
    const struct service *kept =
        service_new(new->name, new->fields, new->vars, hosts, count, new->name, &ignored);
    problems_free(&ignored);
    free(hosts);
    return kept;
}

/* The services of the catalog to serve, while it is put together. */
struct result {
    const struct service **services;
    size_t count;
    size_t held;
};

static void add(struct result *result, const struct service *taken) {
    result->services = mem_grow(result->services, result->count, sizeof taken);
    result->services[result->count++] = taken;
}

static void pass_service(struct guard *guard, struct result *result,
                         const struct service *old, const struct service *new,
                         struct problems *problems) {
    if (!old || !suspicious(guard, old, new)) {
        add(result, service_ref(new));
        return;
    }
    problems_add(problems, new->name,
                 "%zu of %zu hosts vanished, too many within guard.grace; they are kept "
                 "until a second full read confirms it",
                 lost_hosts(old, new), old->host_count);
    result->held++;
    add(result, keep_hosts(old, new));
}

/* Services that vanished are kept only if too many of them did: taking one away is what
 * an operator does, taking most of them away is what a broken registry does. */
static void pass_vanished(struct guard *guard, struct result *result,
                          const struct catalog *catalog, struct problems *problems) {
    const struct catalog *served = guard->served;
    size_t vanished = 0;
    size_t at = 0;
    bool held = false;
    for (size_t i = 0; i < served->service_count; i++) {
        const struct service *service = served->services[i];
        bool missing = !walk_to(catalog, &at, service);
        vanished += missing;
        held = held || (missing && !catalog_find(guard->given, service->name));
    }
    if (!vanished ||
        (catalog->service_count && !held &&
         !too_many(guard, vanished, served->service_count) &&
         !shrank(guard, guard->before->service_count, catalog->service_count)))
        return;
    problems_add(problems, "",
                 "%zu of %zu services vanished, too many within guard.grace; they are "
                 "kept %s",
                 vanished, served->service_count,
                 catalog->service_count ? "until a second full read confirms it"
                                        : "until the registry has services again, or "
                                          "guard.empty_service is `allow`");
    result->held += vanished;
    for (size_t i = 0; i < served->service_count; i++)
        if (!catalog_find(catalog, served->services[i]->name))
            add(result, service_ref(served->services[i]));
}

/* What comes after an empty registry may be one that is filled again: its grace begins
 * anew. */
static void note_held(struct guard *guard, bool held, int64_t now) {
    bool anew = !guard->held_since || !guard->given->service_count;
    if (!held || anew)
        guard->confirmed_at = 0;
    guard->held_since = !held ? 0 : anew ? now : guard->held_since;
}

static const struct catalog *hold_back(struct guard *guard, const struct catalog *catalog,
                                       int64_t now, struct problems *problems) {
    struct result result = {0};
    size_t at = 0;
    move_window(guard, now);
    for (size_t i = 0; i < catalog->service_count; i++) {
        const struct service *new = catalog->services[i];
        pass_service(guard, &result, walk_to(guard->served, &at, new), new, problems);
    }
    pass_vanished(guard, &result, catalog, problems);
    const struct catalog *passed = catalog_ref(catalog);
    note_held(guard, result.held, now);
    if (result.held) {
        catalog_unref(passed);
        passed = catalog_new(result.services, result.count, problems);
    }
    while (result.count)
        service_unref(result.services[--result.count]);
    free(result.services);
    return passed;
}

const struct catalog *guard_pass(struct guard *guard, const struct catalog *catalog,
                                 uint64_t reads, int64_t now, struct problems *problems) {
    bool believe =
        !guard->served || !guard->settings->guard.keep_empty ||
        (catalog->service_count && guard->confirmed_at && reads >= guard->confirmed_at);
    if (believe)
        guard_reset(guard);
    const struct catalog *passed =
        believe ? catalog_ref(catalog) : hold_back(guard, catalog, now, problems);
    catalog_unref(guard->served);
    catalog_unref(guard->given);
    guard->served = catalog_ref(passed);
    guard->given = catalog_ref(catalog);
    guard->served_at = now;
    return passed;
}

int64_t guard_confirm_at(const struct guard *guard) {
    if (!guard->held_since || guard->confirmed_at || !guard->given->service_count)
        return 0;
    return guard->held_since + grace_of(guard);
}

void guard_confirming(struct guard *guard, uint64_t reads) {
    guard->confirmed_at = reads;
}

void guard_seed(struct guard *guard, const struct catalog *served) {
    guard_reset(guard);
    guard->served = catalog_ref(served);
    guard->given = catalog_ref(served);
}
