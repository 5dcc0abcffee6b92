/* Reads server lines: default-server and the server's own keywords as one list, each
 * keyword known or the server left alone. */
#include "plan/server.h"
#include "base/mem.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What `add server` makes of a keyword; tried on HAProxy 2.6.12, whose -dKall lists all
 * keywords. Those of later versions are unknown here, which leads to a reload. */
struct keyword {
    const char *name;
    int args;
    enum {
        ADDS,    /* add server takes it */
        REFUSES, /* it does not */
        STARTS,  /* only counts when HAProxy starts */
        NEGATES, /* takes the keyword behind "no-" back; add server does not know it */
        OWN,     /* a field of struct server */
    } kind;
};

/* Sorted. */
static const struct keyword keywords[] = {
    {"addr", 1, ADDS},
    {"agent-addr", 1, ADDS},
    {"agent-check", 0, ADDS},
    {"agent-inter", 1, ADDS},
    {"agent-port", 1, ADDS},
    {"agent-send", 1, ADDS},
    {"allow-0rtt", 0, ADDS},
    {"alpn", 1, ADDS},
    {"backup", 0, ADDS},
    {"ca-file", 1, ADDS},
    {"check", 0, ADDS},
    {"check-alpn", 1, ADDS},
    {"check-proto", 1, ADDS},
    {"check-send-proxy", 0, ADDS},
    {"check-sni", 1, ADDS},
    {"check-ssl", 0, ADDS},
    {"check-via-socks4", 0, ADDS},
    {"ciphers", 1, ADDS},
    {"ciphersuites", 1, ADDS},
    {"cookie", 1, REFUSES},
    {"crl-file", 1, ADDS},
    {"crt", 1, ADDS},
    {"disabled", 0, OWN},
    {"downinter", 1, ADDS},
    {"enabled", 0, OWN},
    {"error-limit", 1, ADDS},
    {"fall", 1, ADDS},
    {"fastinter", 1, ADDS},
    {"force-sslv3", 0, ADDS},
    {"force-tlsv10", 0, ADDS},
    {"force-tlsv11", 0, ADDS},
    {"force-tlsv12", 0, ADDS},
    {"force-tlsv13", 0, ADDS},
    {"id", 1, ADDS},
    {"init-addr", 1, STARTS},
    {"inter", 1, ADDS},
    {"interface", 1, ADDS},
    {"log-proto", 1, REFUSES},
    {"max-reuse", 1, REFUSES},
    {"maxconn", 1, OWN},
    {"maxqueue", 1, ADDS},
    {"minconn", 1, ADDS},
    {"namespace", 1, REFUSES},
    {"no-agent-check", 0, NEGATES},
    {"no-backup", 0, NEGATES},
    {"no-check", 0, NEGATES},
    {"no-check-send-proxy", 0, NEGATES},
    {"no-check-ssl", 0, NEGATES},
    {"no-send-proxy", 0, NEGATES},
    {"no-send-proxy-v2", 0, NEGATES},
    {"no-send-proxy-v2-ssl", 0, NEGATES},
    {"no-send-proxy-v2-ssl-cn", 0, NEGATES},
    {"no-ssl", 0, NEGATES},
    {"no-ssl-reuse", 0, ADDS},
    {"no-sslv3", 0, ADDS},
    {"no-tfo", 0, NEGATES},
    {"no-tls-tickets", 0, ADDS},
    {"no-tlsv10", 0, ADDS},
    {"no-tlsv11", 0, ADDS},
    {"no-tlsv12", 0, ADDS},
    {"no-tlsv13", 0, ADDS},
    {"non-stick", 0, REFUSES},
    {"npn", 1, ADDS},
    {"observe", 1, ADDS},
    {"on-error", 1, ADDS},
    {"on-marked-down", 1, ADDS},
    {"on-marked-up", 1, ADDS},
    {"pool-low-conn", 1, ADDS},
    {"pool-max-conn", 1, ADDS},
    {"pool-purge-delay", 1, ADDS},
    {"port", 1, ADDS},
    {"proto", 1, ADDS},
    {"proxy-v2-options", 1, ADDS},
    {"redir", 1, REFUSES},
    {"resolve-net", 1, REFUSES},
    {"resolve-opts", 1, REFUSES},
    {"resolve-prefer", 1, REFUSES},
    {"resolvers", 1, REFUSES},
    {"rise", 1, ADDS},
    {"send-proxy", 0, ADDS},
    {"send-proxy-v2", 0, ADDS},
    {"send-proxy-v2-ssl", 0, ADDS},
    {"send-proxy-v2-ssl-cn", 0, ADDS},
    {"shard", 1, REFUSES},
    {"slowstart", 1, ADDS},
    {"sni", 1, ADDS},
    {"socks4", 1, REFUSES},
    {"source", 1, ADDS},
    {"ssl", 0, ADDS},
    {"ssl-max-ver", 1, ADDS},
    {"ssl-min-ver", 1, ADDS},
    {"ssl-reuse", 0, REFUSES},
    {"stick", 0, REFUSES},
    {"tcp-ut", 1, REFUSES},
    {"tfo", 0, ADDS},
    {"tls-tickets", 0, ADDS},
    {"track", 1, REFUSES}, /* taken, but not for every target */
    {"usesrc", 1, ADDS},
    {"verify", 1, ADDS},
    {"verifyhost", 1, ADDS},
    {"weight", 1, OWN},
    {"ws", 1, ADDS},
};

static int compare_keyword(const void *name, const void *item) {
    return strcmp(name, ((const struct keyword *)item)->name);
}

static const struct keyword *find_keyword(const char *name) {
    return bsearch(name, keywords, sizeof keywords / sizeof *keywords, sizeof *keywords,
                   compare_keyword);
}

static void set_number(struct server *server, long *field, const char *value, long max) {
    size_t len = strlen(value);
    if (!len || len > 9 || strspn(value, "0123456789") != len ||
        strtol(value, NULL, 10) > max)
        server->opaque = true;
    else
        *field = strtol(value, NULL, 10);
}

static void read_own(struct server *server, const char *name, const char *value) {
    if (!strcmp(name, "weight"))
        set_number(server, &server->weight, value, 256);
    else if (!strcmp(name, "maxconn"))
        set_number(server, &server->maxconn, value, 999999999);
    else
        server->disabled = !strcmp(name, "disabled");
}

static void take_back(struct server *server, const char *name) {
    size_t kept = 0;
    for (size_t i = 0; i < server->option_count; i++) {
        if (strcmp(server->options[i].keyword->name, name) != 0)
            server->options[kept++] = server->options[i];
        else
            free(server->options[i].value);
    }
    server->option_count = kept;
}

static void add_option(struct server *server, const struct keyword *keyword,
                       const char *value) {
    server->options =
        mem_grow(server->options, server->option_count, sizeof *server->options);
    server->options[server->option_count++] =
        (struct server_option){keyword, mem_strdup(value)};
}

static void read_options(struct server *server, const struct words *words, size_t first) {
    server->opaque |= words->odd || words->expands;
    for (size_t i = first; i < words->count; i++) {
        const struct keyword *keyword = find_keyword(words->at[i]);
        if (!keyword || (keyword->args && i + 1 == words->count)) {
            server->opaque = true;
            return;
        }
        const char *value = keyword->args ? words->at[++i] : "";
        if (keyword->kind == OWN)
            read_own(server, keyword->name, value);
        else if (keyword->kind == NEGATES)
            take_back(server, keyword->name + strlen("no-"));
        else
            add_option(server, keyword, value);
    }
}

/* Splits at the last ':'. Addresses expand variables even in single quotes. */
static void read_address(struct server *server, const char *text) {
    struct in6_addr binary;
    const char *colon = strrchr(text, ':');
    const char *port = colon ? colon + 1 : "";
    size_t port_len = strlen(port);
    server->address = mem_strdup(text);
    server->address_kind = ADDRESS_OTHER;
    server->opaque |= strchr(text, '$') != NULL;
    if (!colon || !port_len || port_len > 5 || strspn(port, "0123456789") != port_len ||
        !strtol(port, NULL, 10) || strtol(port, NULL, 10) > 65535)
        return;
    bool brackets = *text == '[' && colon > text + 1 && colon[-1] == ']';
    char *host =
        mem_strndup(text + brackets, (size_t)(colon - text) - (brackets ? 2 : 0));
    bool v6 = inet_pton(AF_INET6, host, &binary) == 1;
    if (v6 || (!brackets && inet_pton(AF_INET, host, &binary) == 1))
        server->address_kind = ADDRESS_IP;
    else if (!brackets && text_is_host(host))
        server->address_kind = ADDRESS_HOST;
    if (server->address_kind != ADDRESS_OTHER) {
        free(server->address);
        server->address =
            mem_printf(v6 ? "[%s]:%ld" : "%s:%ld", host, strtol(port, NULL, 10));
    }
    free(host);
}

void server_parse(struct server *server, struct words *words, const struct line *defaults,
                  size_t default_count, const struct line *line) {
    *server = (struct server){.weight = 1};
    for (size_t i = 0; i < default_count; i++) {
        words_split(words, &defaults[i]);
        read_options(server, words, 1);
    }
    words_split(words, line);
    server->name = mem_strdup(words->count > 1 ? words->at[1] : "");
    read_address(server, words->count > 2 ? words->at[2] : "");
    read_options(server, words, 3);
    server->opaque |= words->count < 3;
    server->checked = server_has(server, "check");
    server->agent_checked = server_has(server, "agent-check");
}

void server_free(struct server *server) {
    for (size_t i = 0; i < server->option_count; i++)
        free(server->options[i].value);
    free(server->options);
    free(server->name);
    free(server->address);
    *server = (struct server){0};
}

static const char *find_option(const struct server *server, const char *keyword) {
    for (size_t i = server->option_count; i-- > 0;)
        if (!strcmp(server->options[i].keyword->name, keyword))
            return server->options[i].value;
    return NULL;
}

bool server_has(const struct server *server, const char *keyword) {
    return find_option(server, keyword) != NULL;
}

/* HAProxy's command line has other rules of quoting than its config. */
static bool is_safe(const char *value) {
    for (const char *c = value; *c; c++)
        if (*c <= ' ' || *c >= '\x7f' || strchr("\"'\\;#<>$", *c))
            return false;
    return true;
}

static bool starts_with(const char *text, const char *start) {
    return text && !strncmp(text, start, strlen(start));
}

/* Tried on HAProxy 2.6: an added server of HTTP/2 opens a connection a request
 * (max-reuse, which can't be given, is 0), and one with an agent but no check goes down
 * when the agent fails, which one of the config does not. */
const char *server_no_add(const struct server *server) {
    const char *proto = find_option(server, "proto");
    const char *alpn = find_option(server, "alpn");
    const char *init = find_option(server, "init-addr");
    for (size_t i = 0; i < server->option_count; i++) {
        const struct server_option *option = &server->options[i];
        if (option->keyword->kind == REFUSES || !is_safe(option->value) ||
            (option->keyword->args && !*option->value))
            return option->keyword->name;
    }
    if (server->opaque)
        return "a keyword that is not known";
    if (server->address_kind == ADDRESS_OTHER || !is_safe(server->name))
        return "its address";
    if (server->address_kind == ADDRESS_HOST && init && !starts_with(init, "libc") &&
        !starts_with(init, "last,libc"))
        return "init-addr";
    if (proto && strcmp(proto, "h1") != 0)
        return "proto";
    if (alpn && strstr(alpn, "h2"))
        return "alpn";
    return server->agent_checked && !server->checked ? "agent-check without check" : NULL;
}

/* Tried on HAProxy 2.6: these have defaults for servers of the config, but not for added
 * ones, which keep no idle connection and take the first error for one too many. */
static void append_defaults(const struct server *server, struct buffer *out) {
    static const struct {
        const char *name, *value, *with;
    } defaults[] = {
        {"pool-max-conn", "-1", NULL},
        {"pool-purge-delay", "5s", NULL},
        {"error-limit", "10", "observe"},
        {"on-error", "fail-check", "observe"},
    };
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!server_has(server, defaults[i].name) &&
            (!defaults[i].with || server_has(server, defaults[i].with)))
            buffer_printf(out, " %s %s", defaults[i].name, defaults[i].value);
}

void server_keywords(const struct server *server, struct buffer *out) {
    struct buffer text = BUFFER_INIT;
    for (size_t i = 0; i < server->option_count; i++) {
        const struct server_option *option = &server->options[i];
        if (option->keyword->kind != STARTS)
            buffer_printf(&text, " %s%s%s", option->keyword->name,
                          *option->value ? " " : "", option->value);
    }
    if (server->maxconn)
        buffer_printf(&text, " maxconn %ld", server->maxconn);
    append_defaults(server, &text);
    buffer_puts(out, *buffer_str(&text) ? buffer_str(&text) + 1 : "");
    buffer_free(&text);
}

const char *server_difference(const struct server *old, const struct server *new,
                              const char **how) {
    size_t i = 0;
    while (i < old->option_count && i < new->option_count &&
           old->options[i].keyword == new->options[i].keyword &&
           !strcmp(old->options[i].value, new->options[i].value))
        i++;
    const struct keyword *before = i < old->option_count ? old->options[i].keyword : NULL;
    const struct keyword *after = i < new->option_count ? new->options[i].keyword : NULL;
    if (!before && !after)
        return NULL;
    bool gone = before && !server_has(new, before->name);
    bool come = after && !server_has(old, after->name);
    *how = gone ? "removed" : come ? "added" : "changed";
    return gone || !after ? before->name : after->name;
}
