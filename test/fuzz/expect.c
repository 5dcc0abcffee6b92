/* Holds what was rendered against what the catalog says. */
#include "expect.h"
#include "base/json.h"
#include "base/mem.h"
#include "catalog/fields.h"
#include "catalog/text.h"
#include "config.h"
#include "fuzz.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The twin. */

/* Free values of a service, and what stands for them: no other text has these in it. */
static const struct stand_in {
    const char *object, *key, *value;
} stand_ins[] = {
    {"check", "path", "/twin-path"},     {"check", "host", "twin-host"},
    {"check", "user", "twin-user"},      {"sticky", "cookie", "twin-cookie"},
    {"sticky", "header", "twin-header"}, {"tls", "name", "twin-name"},
};

enum { STAND_INS = sizeof stand_ins / sizeof stand_ins[0] };

static bool is_known(const struct schema *table, const char *name) {
    while (table->name && strcmp(table->name, name) != 0)
        table++;
    return table->name;
}

/* What no shipped template prints, the twin does not have. */
static void drop_unknown(json_t *object, const struct schema *table, const char *also) {
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, name, value) {
        if (!strcmp(name, "labels") ||
            (!is_known(table, name) && strcmp(name, also) != 0))
            (void)json_object_del(object, name);
    }
}

static void stand_in(json_t *service) {
    for (size_t i = 0; i < STAND_INS; i++) {
        json_t *object = json_object_get(service, stand_ins[i].object);
        if (json_object_get(object, stand_ins[i].key))
            (void)json_object_set_new(object, stand_ins[i].key,
                                      json_string(stand_ins[i].value));
    }
}

/* Zones decide by being one of some names; ids by their order. */
static void change_host(json_t *host, size_t index) {
    const char *zone = json_string_value(json_object_get(host, "zone"));
    char id[32];
    drop_unknown(host, host_schema, "");
    (void)snprintf(id, sizeof id, "twin-%06zu", index);
    (void)json_object_set_new(host, "id", json_string(id));
    if (zone && strcmp(zone, "a") != 0 && strcmp(zone, "b") != 0)
        (void)json_object_set_new(host, "zone", json_string("elsewhere"));
}

static void change_service(json_t *service) {
    size_t i;
    json_t *host;
    drop_unknown(service, service_schema, "hosts");
    stand_in(service);
    json_array_foreach(json_object_get(service, "hosts"), i, host) change_host(host, i);
}

struct catalog *expect_twin(const struct catalog *catalog) {
    struct buffer text = BUFFER_INIT;
    struct problems problems = {0};
    const char *name;
    json_t *service;
    catalog_write(catalog, CATALOG_JSON, &text);
    json_t *tree = json_parse(text.data, text.len, "twin", NULL);
    json_object_foreach(json_object_get(tree, "services"), name, service)
        change_service(service);
    buffer_clear(&text);
    json_write(tree, 0, &text);
    struct catalog *twin =
        catalog_read(buffer_str(&text), text.len, "twin", NULL, &problems);
    fuzz_require(twin && !problems.count, "the twin is bad: %s",
                 problems.count ? problems.items[0].text : "");
    json_decref(tree);
    buffer_free(&text);
    return twin;
}

/* Lines. */

/* Takes the next line. Returns false after the last. */
static bool next_line(const char **rest, struct config_line *line) {
    const char *text = *rest;
    if (!*text)
        return false;
    const char *newline = strchr(text, '\n');
    fuzz_require(newline, "the last line has no newline");
    size_t len = newline ? (size_t)(newline - text) : strlen(text);
    const char *fault = config_split(text, len, line);
    fuzz_require(!fault, "%s in: %.*s", fault, (int)len, text);
    *rest = text + len + (newline != NULL);
    return true;
}

/* Whether `word` is the twin's, but for the service's own value in one place. */
static bool stands_for(const char *word, const char *twin,
                       const struct service *service) {
    for (size_t i = 0; service && i < STAND_INS; i++) {
        const struct stand_in *known = &stand_ins[i];
        const char *at = strstr(twin, known->value);
        const char *value = json_string_value(
            json_object_get(json_object_get(service->fields, known->object), known->key));
        if (!at || !value)
            continue;
        size_t before = (size_t)(at - twin), len = strlen(value);
        return !strncmp(word, twin, before) && !strncmp(word + before, value, len) &&
               !strcmp(word + before + len, at + strlen(known->value));
    }
    return false;
}

static bool is_number(const char *word) {
    return *word && !word[strspn(word, "0123456789")];
}

static bool same_word(const struct config_line *a, const struct config_line *b, size_t i,
                      const struct service *service) {
    if (!strcmp(a->words[i], b->words[i]) ||
        stands_for(a->words[i], b->words[i], service))
        return true;
    return i && !strcmp(a->words[i - 1], "id") && is_number(a->words[i]) &&
           is_number(b->words[i]);
}

/* The service whose section that is, and whether it is the one for panics. */
static const struct service *service_of(const struct catalog *catalog, const char *name,
                                        bool *panic) {
    static const char mark[] = ":panic";
    size_t len = strlen(name), tail = sizeof mark - 1;
    *panic = len > tail && !strcmp(name + len - tail, mark);
    char *own = mem_strndup(name, *panic ? len - tail : len);
    const struct service *service = catalog_find(catalog, own);
    free(own);
    return service;
}

void expect_same_words(const char *config, const char *twin,
                       const struct catalog *catalog) {
    static struct config_line a, b;
    const struct service *service = NULL;
    const char *rest = config;
    const char *twin_rest = twin;
    bool panic;
    while (next_line(&rest, &a)) {
        fuzz_require(next_line(&twin_rest, &b), "a line too much: %s", a.words[0]);
        fuzz_require(a.count == b.count && a.indented == b.indented,
                     "%zu words instead of %zu: %s", a.count, b.count,
                     a.count ? a.words[0] : "");
        if (a.count && !a.indented)
            service = service_of(catalog, a.count > 1 ? a.words[1] : "", &panic);
        for (size_t i = 0; i < a.count; i++)
            fuzz_require(same_word(&a, &b, i, service), "%s: \"%s\" in place of \"%s\"",
                         a.words[0], a.words[i], b.words[i]);
    }
    fuzz_require(!*twin_rest, "a line is missing: %s", twin_rest);
}

/* Sections. */

/* Keywords of the lines in each kind of section, between blanks. */
static const struct keywords {
    const char *section, *words;
} keywords[] = {
    {"global",
     " default-path stats hard-stop-after mworker-max-reloads set-var user group "
     "nbthread maxconn log "},
    {"defaults", " mode timeout option errorfile balance retries default-server retry-on "
                 "http-request http-error log log-format "},
    {"frontend", " bind log log-format option http-request acl use_backend "
                 "default_backend stats "},
    {"backend", " balance hash-type timeout retries retry-on option http-check "
                "default-server http-request http-response http-error stick-table cookie "
                "dynamic-cookie-key server "},
    {"listen", " bind balance hash-type timeout retries option default-server "
               "use_backend server "},
    {"cache", " total-max-size max-object-size max-age process-vary "},
    {"resolvers", " parse-resolv-conf "},
};

static bool may_have(const char *section, const char *keyword) {
    char word[64];
    (void)snprintf(word, sizeof word, " %s ", keyword);
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (!strcmp(keywords[i].section, section))
            return strstr(keywords[i].words, word);
    return false;
}

static const char *text_of(const struct service *service, const char *key,
                           const char *otherwise) {
    const char *text = json_string_value(json_object_get(service->fields, key));
    return text ? text : otherwise;
}

static bool is_http(const struct service *service) {
    return !strcmp(text_of(service, "mode", "http"), "http");
}

static void check_header(const struct config_line *line, const struct catalog *catalog,
                         size_t *own) {
    const char *keyword = line->words[0];
    const char *name = line->count > 1 ? line->words[1] : "";
    bool panic;
    if (!strcmp(keyword, "global") || !strncmp(name, "hatlas:", 7)) {
        fuzz_require(line->count == 1 || line->count == 2 ||
                         (line->count == 4 && !strcmp(line->words[2], "from") &&
                          !strncmp(line->words[3], "hatlas:", 7)),
                     "section %s %s has more words", keyword, name);
        return;
    }
    const struct service *service = service_of(catalog, name, &panic);
    fuzz_require(service, "section %s %s", keyword, name);
    fuzz_require(line->count == 4 && !strcmp(line->words[2], "from"),
                 "section %s %s has other words", keyword, name);
    if (!service)
        return;
    bool listens = !is_http(service) && !panic;
    fuzz_require(!strcmp(keyword, listens ? "listen" : "backend"), "%s %s", keyword,
                 name);
    fuzz_require(!panic || !strcmp(text_of(service, "on_all_down", ""), "panic"),
                 "%s has a panic", name);
    *own += is_http(service) && !panic;
}

static void check_server(const struct config_line *line, const char *section,
                         const struct catalog *catalog) {
    bool panic;
    const struct service *service = service_of(catalog, section, &panic);
    const struct host *host = NULL;
    char address[300];
    fuzz_require(service && line->count >= 5, "a server of %s", section);
    for (size_t i = 0; service && i < service->host_count; i++)
        if (!strcmp(service->hosts[i]->name, line->words[1]))
            host = service->hosts[i];
    fuzz_require(host, "a server %s in %s", line->words[1], section);
    if (!host)
        return;
    bool v6 = strchr(host->host, ':') != NULL;
    (void)snprintf(address, sizeof address, v6 ? "[%s]:%u" : "%s:%u", host->host,
                   host->port);
    fuzz_require(!strcmp(line->words[2], address) || strchr(line->words[2], ':'),
                 "server %s at %s, not %s", line->words[1], line->words[2], address);
    fuzz_require(!strcmp(line->words[3], "weight") && is_number(line->words[4]),
                 "server %s %s %s", line->words[1], line->words[3], line->words[4]);
}

void expect_sections(const char *config, const struct catalog *catalog) {
    static struct config_line line;
    char keyword[32] = "";
    char name[CONFIG_LINE_MAX] = "";
    const char *rest = config;
    size_t own = 0, wanted = 0;
    while (next_line(&rest, &line)) {
        if (!line.count)
            continue;
        fuzz_require(line.indented != config_is_section(line.words[0]), "%s %s",
                     line.indented ? "indented" : "not indented", line.words[0]);
        if (line.indented) {
            fuzz_require(may_have(keyword, line.words[0]), "%s in %s %s", line.words[0],
                         keyword, name);
            if (!strcmp(line.words[0], "server"))
                check_server(&line, name, catalog);
            continue;
        }
        check_header(&line, catalog, &own);
        (void)snprintf(keyword, sizeof keyword, "%s", line.words[0]);
        (void)snprintf(name, sizeof name, "%s", line.count > 1 ? line.words[1] : "");
    }
    for (size_t i = 0; i < catalog->service_count; i++)
        wanted += is_http(catalog->services[i]);
    fuzz_require(own == wanted, "%zu backends for %zu services", own, wanted);
}

/* The other templates. */

/* Whether the key is the service's name or one of its aliases in small letters. */
static bool is_key_of(const char *key, size_t len, const struct service *service) {
    size_t i;
    const json_t *alias;
    for (size_t c = 0; c < len; c++)
        if (isupper((unsigned char)key[c]))
            return false;
    if (strlen(service->name) == len && !strncasecmp(key, service->name, len))
        return true;
    json_array_foreach(json_object_get(service->fields, "aliases"), i, alias) {
        if (json_string_length(alias) == len &&
            !strncasecmp(key, json_string_value(alias), len))
            return true;
    }
    return false;
}

/* "NAME:HOSTS" leads to how many hosts the service has, any other key to a service. */
static bool is_entry(const char *key, size_t len, const char *value,
                     const struct catalog *catalog) {
    static const char mark[] = ":HOSTS";
    size_t tail = sizeof mark - 1;
    if (len > tail && !strncmp(key + len - tail, mark, tail)) {
        char *name = mem_strndup(key, len - tail);
        const struct service *service = catalog_find(catalog, name);
        free(name);
        return service && is_number(value) &&
               strtoul(value, NULL, 10) == service->host_count;
    }
    const struct service *service = catalog_find(catalog, value);
    return service && is_http(service) && is_key_of(key, len, service);
}

void expect_map(const char *map, const struct catalog *catalog) {
    for (const char *line = map; *line;) {
        size_t len = strcspn(line, "\n");
        size_t key = strcspn(line, " \n");
        fuzz_require(line[len], "the last line has no newline");
        if (*line != '#') {
            fuzz_require(key < len, "no value in: %.*s", (int)len, line);
            char *value = mem_strndup(line + key + 1, len - key - 1);
            fuzz_require(is_entry(line, key, value, catalog), "entry: %.*s", (int)len,
                         line);
            free(value);
        }
        line += len + 1;
    }
}

void expect_hosts(const char *hosts) {
    for (const char *line = hosts; *line;) {
        size_t len = strcspn(line, "\n");
        size_t address = strspn(line, "0123456789abcdefABCDEF.:");
        fuzz_require(line[len], "the last line has no newline");
        if (*line != '#') {
            fuzz_require(address && line[address] == ' ', "entry: %.*s", (int)len, line);
            const char *name = line + address + 1;
            size_t letters = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
            fuzz_require(letters && name + letters == line + len, "entry: %.*s", (int)len,
                         line);
        }
        line += len + 1;
    }
}
