/* Compares the servers of one proxy, and says by which commands the old ones become the
 * new ones. */
#include "base/mem.h"
#include "base/text.h"
#include "plan/compare.h"
#include "plan/server.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

/* A server line, and how many default-server lines count for it. */
struct entry {
    struct line line;
    size_t defaults;
    char *name;
    size_t place; /* among the old ones */
    bool kept;
    UT_hash_handle hh;
};

struct servers {
    struct proxy proxy;
    struct entry *entries;
    size_t count;
};

/* The servers of one section, before and after. */
struct pair {
    struct comparison *comparison;
    const char *title, *backend;
    struct servers old, new;
};

static bool is_word(struct words *words, const struct line *line, const char *word) {
    struct line first = line_first_word(line);
    if (line_is_plain(&first))
        return line_is(&first, word);
    words_split(words, line);
    return words->count && !strcmp(words->at[0], word);
}

static void read_servers(struct servers *servers, const struct section *section,
                         struct words *words) {
    struct line rest = section->text, line;
    *servers = (struct servers){0};
    proxy_start(&servers->proxy, section->inherit);
    while (line_next(&rest, &line)) {
        if (!is_word(words, &line, "server")) {
            proxy_read(&servers->proxy, words, &line);
            continue;
        }
        words_split(words, &line);
        servers->entries =
            mem_grow(servers->entries, servers->count, sizeof *servers->entries);
        servers->entries[servers->count] = (struct entry){
            .line = line,
            .defaults = servers->proxy.server_default_count,
            .name = mem_strdup(words->count > 1 ? words->at[1] : ""),
            .place = servers->count,
        };
        servers->count++;
    }
}

static void free_servers(struct servers *servers) {
    for (size_t i = 0; i < servers->count; i++)
        free(servers->entries[i].name);
    free(servers->entries);
    proxy_free(&servers->proxy);
}

static void parse(struct pair *pair, const struct servers *servers,
                  const struct entry *entry, struct server *server) {
    server_parse(server, &pair->comparison->words[0], servers->proxy.server_defaults,
                 entry->defaults, &entry->line);
}

static bool refuse(struct pair *pair, const char *server, const char *why) {
    char title[160], name[160];
    return compare_reload(pair->comparison, "%s: server %s: %s",
                          text_printable(pair->title, title, sizeof title),
                          text_printable(server, name, sizeof name), why);
}

static bool refuse_because(struct pair *pair, const char *server, const char *what,
                           const char *why) {
    char *text = mem_printf("%s%s", what, why);
    (void)refuse(pair, server, text);
    free(text);
    return false;
}

static struct plan_step *add_step(struct pair *pair, const struct server *server,
                                  enum plan_step_kind kind, enum phase phase) {
    struct plan_step *step = compare_step(pair->comparison, kind, phase);
    step->backend = mem_strdup(pair->backend);
    step->server = mem_strdup(server->name);
    return step;
}

static char *keywords_of(const struct server *server) {
    struct buffer text = BUFFER_INIT;
    server_keywords(server, &text);
    return buffer_steal(&text);
}

/* Why servers can't come to this proxy; NULL if they can. */
static const char *no_dynamic(const struct pair *pair) {
    if (!pair->comparison->abilities->dynamic_servers)
        return ", which this HAProxy can't do at run time";
    if (!proxy_is_dynamic(&pair->new.proxy))
        return ", and its balance is not dynamic";
    return NULL;
}

static bool add_server(struct pair *pair, const struct server *server) {
    const char *why = no_dynamic(pair);
    if (why)
        return refuse_because(pair, server->name, "added", why);
    why = pair->new.proxy.no_add ? pair->new.proxy.no_add : server_no_add(server);
    if (why)
        return refuse_because(pair, server->name,
                              "added, but not at run time because of ", why);
    struct plan_step *step = add_step(pair, server, PLAN_ADD_SERVER, PHASE_ADD);
    step->address = mem_strdup(server->address);
    step->keywords = keywords_of(server);
    step->number = server->weight;
    step->disabled = server->disabled;
    step->checked = server->checked;
    step->agent_checked = server->agent_checked;
    return true;
}

static bool remove_server(struct pair *pair, const struct server *server) {
    struct comparison *comparison = pair->comparison;
    const char *why = no_dynamic(pair);
    if (why)
        return refuse_because(pair, server->name, "removed", why);
    if (!comparison->references)
        comparison->references = references_new(comparison->old_side->config);
    if (references_have(comparison->references, pair->backend, server->name))
        return refuse(pair, server->name, "removed, but the config refers to it");
    struct plan_step *step = add_step(pair, server, PLAN_REMOVE_SERVER, PHASE_REMOVE);
    if (!server->opaque)
        step->keywords = keywords_of(server);
    return true;
}

/* A server gets requests only when all else is right, and loses them first. */
static enum phase setting_phase(const struct server *old, const struct server *new) {
    return new->disabled && !old->disabled ? PHASE_DISABLE : PHASE_SET;
}

static bool change_address(struct pair *pair, const struct server *old,
                           const struct server *new) {
    if (!strcmp(old->address, new->address))
        return true;
    if (old->address_kind == ADDRESS_OTHER || new->address_kind == ADDRESS_OTHER)
        return refuse(pair, new->name, "address changed, and is no IP:port or host:port");
    if (server_has(new, "resolvers"))
        return refuse(pair, new->name, "address changed, and it has resolvers");
    if (pair->new.proxy.no_add)
        return refuse_because(pair, new->name,
                              "address changed, but not at run time because of ",
                              pair->new.proxy.no_add);
    if (proxy_reuses(&pair->new.proxy))
        return refuse(pair, new->name,
                      "address changed, but connections to the old one would be reused");
    add_step(pair, new, PLAN_SET_ADDRESS, setting_phase(old, new))->address =
        mem_strdup(new->address);
    return true;
}

static bool change_maxconn(struct pair *pair, const struct server *old,
                           const struct server *new) {
    if (old->maxconn == new->maxconn)
        return true;
    if (server_has(new, "minconn"))
        return refuse(pair, new->name, "maxconn changed, and it has minconn");
    add_step(pair, new, PLAN_SET_MAXCONN, setting_phase(old, new))->number = new->maxconn;
    return true;
}

/* A static balance takes the weight 0 and the one that HAProxy started with; what that
 * was is not known here. */
static bool change_weight(struct pair *pair, const struct server *old,
                          const struct server *new) {
    if (old->weight == new->weight)
        return true;
    const struct proxy *proxy = &pair->new.proxy;
    if (new->weight && !proxy_is_dynamic(proxy) && proxy->balance != BALANCE_FIRST)
        return refuse(pair, new->name, "weight changed, and its balance is not dynamic");
    enum phase phase = new->weight < old->weight ? PHASE_DISABLE : PHASE_SET;
    if (new->disabled && !old->disabled)
        phase = PHASE_DISABLE;
    add_step(pair, new, PLAN_SET_WEIGHT, phase)->number = new->weight;
    return true;
}

static bool change_server(struct pair *pair, const struct server *old,
                          const struct server *new) {
    const char *how = "";
    if (old->opaque || new->opaque)
        return refuse(pair, new->name, "changed, and not all of it is understood");
    const char *option = server_difference(old, new, &how);
    if (option) {
        char *what = mem_printf("%s ", option);
        (void)refuse_because(pair, new->name, what, how);
        free(what);
        return false;
    }
    if (new->disabled && !old->disabled)
        (void)add_step(pair, new, PLAN_DISABLE, PHASE_DISABLE);
    if (!change_address(pair, old, new) || !change_maxconn(pair, old, new) ||
        !change_weight(pair, old, new))
        return false;
    if (old->disabled && !new->disabled)
        (void)add_step(pair, new, PLAN_ENABLE, PHASE_ENABLE);
    return true;
}

static bool change_entry(struct pair *pair, const struct entry *old,
                         const struct entry *new) {
    struct server before, after;
    struct words *words = pair->comparison->words;
    if (old->defaults == new->defaults &&
        words_same(&words[0], &words[1], &old->line, &new->line))
        return true;
    parse(pair, &pair->old, old, &before);
    parse(pair, &pair->new, new, &after);
    bool done = change_server(pair, &before, &after);
    server_free(&before);
    server_free(&after);
    return done;
}

/* The order of servers counts for static ways to balance, and for "first". */
static bool check_order(struct pair *pair, const struct entry *old, size_t *last) {
    bool in_order = old->place >= *last;
    *last = old->place;
    if (in_order || proxy_is_dynamic(&pair->new.proxy))
        return true;
    return refuse(pair, old->name, "at another place, which its balance depends on");
}

/* HAProxy refuses the others, and no command could be about them. */
static bool is_named(struct pair *pair, const struct entry *entry) {
    return (*pair->backend && *entry->name) ||
           refuse(pair, entry->name, "it or its section has no name");
}

/* The new servers, in order: added or changed. */
static bool walk_new(struct pair *pair, struct entry *known) {
    bool done = true;
    size_t last = 0;
    for (size_t i = 0; done && i < pair->new.count; i++) {
        const struct entry *entry = &pair->new.entries[i];
        struct entry *old = NULL;
        if (!is_named(pair, entry))
            return false;
        HASH_FIND_STR(known, entry->name, old);
        if (old && old->kept)
            return refuse(pair, entry->name, "is there twice");
        if (old) {
            old->kept = true;
            done = check_order(pair, old, &last) && change_entry(pair, old, entry);
            continue;
        }
        struct server server;
        parse(pair, &pair->new, entry, &server);
        done = add_server(pair, &server);
        server_free(&server);
    }
    return done;
}

static bool walk_old(struct pair *pair) {
    bool done = true;
    for (size_t i = 0; done && i < pair->old.count; i++) {
        struct server server;
        if (pair->old.entries[i].kept)
            continue;
        parse(pair, &pair->old, &pair->old.entries[i], &server);
        done = remove_server(pair, &server);
        server_free(&server);
    }
    return done;
}

bool compare_servers(struct comparison *comparison, const struct section *old,
                     const struct section *new) {
    struct pair pair = {
        .comparison = comparison, .title = new->title, .backend = new->name};
    struct entry *known = NULL, *found;
    read_servers(&pair.old, old, &comparison->words[0]);
    read_servers(&pair.new, new, &comparison->words[0]);
    bool done = true;
    for (size_t i = 0; done && i < pair.old.count; i++) {
        struct entry *entry = &pair.old.entries[i];
        HASH_FIND_STR(known, entry->name, found);
        if (!is_named(&pair, entry))
            done = false;
        else if (found)
            done = refuse(&pair, entry->name, "was there twice");
        else
            HASH_ADD_KEYPTR(hh, known, entry->name, strlen(entry->name), entry);
    }
    done = done && walk_new(&pair, known) && walk_old(&pair);
    HASH_CLEAR(hh, known);
    free_servers(&pair.old);
    free_servers(&pair.new);
    return done;
}

void plan_servers(const char *config, plan_wanted *wanted,
                  void (*visit)(void *arg, const struct plan_server *server), void *arg) {
    struct config parsed;
    struct words words = {0};
    config_skim(&parsed, (struct line){config, strlen(config)}, wanted, arg);
    for (size_t i = 0; i < parsed.count; i++) {
        const struct section *section = &parsed.sections[i];
        struct servers servers;
        if (section->kind != SECTION_SERVERS || section->conditional)
            continue;
        read_servers(&servers, section, &words);
        for (size_t j = 0; j < servers.count; j++) {
            struct server server;
            const struct entry *entry = &servers.entries[j];
            server_parse(&server, &words, servers.proxy.server_defaults, entry->defaults,
                         &entry->line);
            visit(arg, &(struct plan_server){section->name, server.name, server.address,
                                             server.weight, server.disabled});
            server_free(&server);
        }
        free_servers(&servers);
    }
    words_free(&words);
    config_free(&parsed);
}
