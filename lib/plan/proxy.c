/* What a proxy's lines say about its servers: how requests are balanced, whether servers
 * can be added, and what default-server gives each of them. */
#include "base/mem.h"
#include "plan/config.h"

#include <stdlib.h>
#include <string.h>

static void add_default(struct proxy *proxy, const struct line *line) {
    proxy->server_defaults =
        mem_grow(proxy->server_defaults, proxy->server_default_count, sizeof *line);
    proxy->server_defaults[proxy->server_default_count++] = *line;
}

void proxy_start(struct proxy *proxy, const struct proxy *inherit) {
    *proxy = (struct proxy){0};
    if (!inherit)
        return;
    proxy->balance = inherit->balance;
    proxy->consistent = inherit->consistent;
    proxy->no_add = inherit->no_add;
    proxy->http = inherit->http;
    proxy->never_reused = inherit->never_reused;
    for (size_t i = 0; i < inherit->server_default_count; i++)
        add_default(proxy, &inherit->server_defaults[i]);
}

void proxy_free(struct proxy *proxy) {
    free(proxy->server_defaults);
    *proxy = (struct proxy){0};
}

/* Names are cut at '(' as in "random(2)". What is not here is unknown. */
static void read_balance(struct proxy *proxy, const char *name) {
    static const struct {
        const char *name;
        enum proxy_balance balance;
    } names[] = {
        {"roundrobin", BALANCE_DYNAMIC}, {"leastconn", BALANCE_DYNAMIC},
        {"random", BALANCE_DYNAMIC},     {"first", BALANCE_FIRST},
        {"static-rr", BALANCE_STATIC},   {"source", BALANCE_HASH},
        {"uri", BALANCE_HASH},           {"url_param", BALANCE_HASH},
        {"hdr", BALANCE_HASH},           {"hash", BALANCE_HASH},
        {"rdp-cookie", BALANCE_HASH},
    };
    size_t len = strcspn(name, "(");
    proxy->balance = BALANCE_UNKNOWN;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == len && !strncmp(names[i].name, name, len))
            proxy->balance = names[i].balance;
}

static bool has_word(const struct words *words, const char *word) {
    for (size_t i = 1; i < words->count; i++)
        if (!strcmp(words->at[i], word))
            return true;
    return false;
}

/* Tried on HAProxy 2.6: an added server gets no dynamic cookie. An external check's
 * environment is prepared when the config is read. */
static void read_obstacle(struct proxy *proxy, const struct words *words) {
    const char *key = words->at[0];
    if (!strcmp(key, "cookie") && has_word(words, "dynamic"))
        proxy->no_add = "dynamic cookies";
    else if (!strcmp(key, "option") && has_word(words, "external-check"))
        proxy->no_add = "external checks";
    else if (!strcmp(key, "mode"))
        proxy->http = has_word(words, "http");
    else if (!strcmp(key, "http-reuse"))
        proxy->never_reused = has_word(words, "never");
    if (!strcmp(key, "mode") && !has_word(words, "http") && !has_word(words, "tcp"))
        proxy->no_add = "its mode";
}

void proxy_read(struct proxy *proxy, struct words *words, const struct line *line) {
    static const char *const keys[] = {"balance", "hash-type", "default-server", "cookie",
                                       "option",  "mode",      "http-reuse"};
    struct line first = line_first_word(line);
    bool known = !line_is_plain(&first);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        known |= line_is(&first, keys[i]);
    if (!known)
        return;
    words_split(words, line);
    if (words->count < 2)
        return;
    const char *key = words->at[0];
    if (!strcmp(key, "balance"))
        read_balance(proxy, words->expands || words->odd ? "" : words->at[1]);
    else if (!strcmp(key, "hash-type"))
        proxy->consistent =
            !words->expands && !words->odd && !strcmp(words->at[1], "consistent");
    else if (!strcmp(key, "default-server"))
        add_default(proxy, line);
    else
        read_obstacle(proxy, words);
}

bool proxy_is_dynamic(const struct proxy *proxy) {
    return proxy->balance == BALANCE_DYNAMIC ||
           (proxy->balance == BALANCE_HASH && proxy->consistent);
}

bool proxy_reuses(const struct proxy *proxy) {
    return proxy->http && !proxy->never_reused;
}
