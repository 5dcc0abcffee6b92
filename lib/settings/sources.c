/* The sources: connect strings taken apart and made whole, --source taken for a source.
 */
#include "base/mem.h"
#include "base/text.h"
#include "settings/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 64 };

/* Whether the path is one that ZooKeeper takes: no empty part, no "." and "..". */
static bool is_znode_path(const char *path) {
    while (*path == '/') {
        size_t len = strcspn(++path, "/");
        bool dots = len <= 2 && strspn(path, ".") >= len;
        if (!len || dots)
            return false;
        path += len;
    }
    return !*path;
}

/* Returns the path without slashes at its end, "" for the top; NULL, with a fault, if it
 * is none. */
static char *znode_path(const struct loader *loader, const char *key, const char *path) {
    size_t len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    char *copy = mem_strndup(path, len);
    if (is_znode_path(copy))
        return copy;
    loader_fault(loader, key, "\"%s\" is no path of a znode", path);
    free(copy);
    return NULL;
}

/* Appends one "host" or "host:port" of a connect string with its port. */
static bool add_host(const char *text, size_t len, struct buffer *out) {
    char host[300];
    char name[256];
    uint16_t port = 0;
    while (len && *text == ' ')
        text++, len--;
    while (len && text[len - 1] == ' ')
        len--;
    if (!len || len >= sizeof host - 8)
        return false;
    (void)snprintf(host, sizeof host, "%.*s", (int)len, text);
    const char *colon = strrchr(host, ':');
    if (!colon || strchr(colon, ']'))
        (void)snprintf(host + len, sizeof host - len, ":2181");
    if (!schema_split_address(host, name, sizeof name, &port) || !*name)
        return false;
    buffer_printf(out, "%s%s", out->len ? "," : "", host);
    return true;
}

static char *connect_hosts(const struct loader *loader, const char *key,
                           const char *text) {
    struct buffer out = BUFFER_INIT;
    size_t rest = strcspn(text, "/");
    for (const char *host = text;;) {
        size_t len = strcspn(host, ",/");
        if (!add_host(host, len, &out)) {
            loader_fault(loader, key,
                         "expected hosts such as zk1:2181,zk2:2181, found \"%.*s\" in "
                         "\"%s\"",
                         (int)len, host, text);
            buffer_free(&out);
            return NULL;
        }
        host += len;
        if (host >= text + rest)
            return buffer_steal(&out);
        host++;
    }
}

static void fill_zookeeper(const struct loader *loader, struct source_settings *source,
                           const json_t *from, size_t index) {
    char key[KEY_MAX];
    const char *text = json_string_value(json_object_get(from, "zookeeper"));
    const char *root = json_string_value(json_object_get(from, "root"));
    (void)snprintf(key, sizeof key, "sources[%zu].zookeeper", index);
    source->hosts = connect_hosts(loader, key, text);
    source->chroot = znode_path(loader, key, text + strcspn(text, "/"));
    (void)snprintf(key, sizeof key, "sources[%zu].root", index);
    source->root = znode_path(loader, key, root);
}

/* Whether "{service}" is one part of the path, and stands nowhere else. */
static bool is_pattern(const char *path) {
    static const char mark[] = "/{service}";
    const char *at = strstr(path, mark);
    const char *after = at ? at + sizeof mark - 1 : NULL;
    return at && (!*after || *after == '/') && !strchr(after, '{') &&
           strchr(path, '{') == at + 1;
}

static char *pattern_path(const struct loader *loader, const char *key,
                          const char *text) {
    char *path = text ? znode_path(loader, key, text) : NULL;
    if (!path || is_pattern(path))
        return path;
    loader_fault(loader, key,
                 "expected a path with {service} as one of its parts, as in "
                 "/nerve/services/{service}/services, found \"%s\"",
                 text);
    free(path);
    return NULL;
}

/* "world:anyone:r": the id may have colons of its own. */
static bool parse_acl(const char *text, struct acl_settings *acl) {
    static const char letters[] = "rwcda";
    const char *id = strchr(text, ':');
    const char *permissions = id ? strrchr(id + 1, ':') : NULL;
    if (!permissions || id == text || !permissions[1])
        return false;
    acl->permissions = 0;
    for (const char *c = permissions + 1; *c; c++) {
        const char *letter = strchr(letters, *c);
        if (!letter)
            return false;
        acl->permissions |= 1 << (letter - letters);
    }
    acl->scheme = mem_strndup(text, (size_t)(id - text));
    acl->id = mem_strndup(id + 1, (size_t)(permissions - id - 1));
    return true;
}

static void fill_acl(const struct loader *loader, struct source_settings *source,
                     const json_t *list, size_t index) {
    source->acl = mem_zalloc(json_array_size(list) * sizeof *source->acl);
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        struct acl_settings *acl = &source->acl[source->acl_count];
        char key[KEY_MAX];
        (void)snprintf(key, sizeof key, "sources[%zu].acl[%zu]", index, i);
        if (!parse_acl(json_string_value(item), acl)) {
            loader_fault(loader, key,
                         "expected scheme:id:permissions, of the letters c, d, r, w and "
                         "a, as in world:anyone:r, found \"%s\"",
                         json_string_value(item));
            continue;
        }
        source->acl_count++;
        if (!strcmp(acl->scheme, "auth") && !source->auth_scheme)
            loader_fault(loader, key, "\"auth\" is who auth says, which is not set");
    }
}

/* Keys that say something of the records of one format. */
static void check_format_keys(const struct loader *loader, const json_t *from,
                              const char *format, size_t index) {
    static const struct {
        const char *key, *format;
    } rows[] = {{"endpoint", "serverset"}, {"ssl", "curator"}, {"trust", "nerve"}};
    char key[KEY_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *value = json_object_get(from, rows[i].key);
        (void)snprintf(key, sizeof key, "sources[%zu].%s", index, rows[i].key);
        if (value && !json_is_false(value) && strcmp(format, rows[i].format) != 0)
            loader_fault(loader, key, "only for the format %s, this source has %s",
                         rows[i].format, format);
    }
    (void)snprintf(key, sizeof key, "sources[%zu].path", index);
    if (json_object_get(from, "path") && !strcmp(format, "atlas"))
        loader_fault(loader, key, "for formats other than atlas, which has root");
}

static char *member(const json_t *object, const char *first, const char *second) {
    const json_t *value = json_object_get(object, first);
    if (second)
        value = json_object_get(value, second);
    return mem_strdup(json_string_value(value));
}

static bool is_variable(const char *name) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    return strchr(letters, *name) && !name[strspn(name, "0123456789"
                                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                        "abcdefghijklmnopqrstuvwxyz_")];
}

static void fill_auth(const struct loader *loader, struct source_settings *source,
                      const json_t *from, size_t index) {
    char key[KEY_MAX];
    source->auth_scheme = member(from, "auth", "scheme");
    source->auth_file = member(from, "auth", "file");
    source->auth_env = member(from, "auth", "env");
    if (!source->auth_scheme)
        return;
    (void)snprintf(key, sizeof key, "sources[%zu].auth", index);
    if (!source->auth_file == !source->auth_env)
        loader_fault(loader, key, "expected one of file and env, found %s",
                     source->auth_file ? "both" : "neither");
    if (source->auth_env && !is_variable(source->auth_env))
        loader_fault(loader, key, "env: \"%s\" can't be the name of a variable",
                     source->auth_env);
    if (!strcmp(source->auth_scheme, "sasl"))
        loader_fault(loader, key,
                     "scheme: ZooKeeper's client library does SASL by another way, which "
                     "hatlas does not know; use digest, or a tunnel with a certificate");
}

/* The client library's own TLS takes any authority that the system trusts, looks at no
 * name and blocks the loop; and Debian's has none. Without this the secret would go out in
 * the clear. */
static void refuse_tls(const struct loader *loader, const json_t *from, size_t index) {
    char key[KEY_MAX];
    (void)snprintf(key, sizeof key, "sources[%zu].tls", index);
    if (json_object_get(from, "tls"))
        loader_fault(loader, key,
                     "hatlas has no TLS to ZooKeeper of its own: let a tunnel on this "
                     "machine speak it, as HAProxy with examples/zookeeper-tls.cfg, and "
                     "name the tunnel's address in zookeeper");
}

static void fill_source(const struct loader *loader, struct source_settings *source,
                        const json_t *from, size_t index) {
    char key[KEY_MAX];
    bool zookeeper = json_object_get(from, "zookeeper");
    bool file = json_object_get(from, "file");
    const char *timeout = json_string_value(json_object_get(from, "session_timeout"));
    source->whole = loader->settings;
    source->kind = file ? SOURCE_FILE : SOURCE_ZOOKEEPER;
    if (zookeeper == file) {
        (void)snprintf(key, sizeof key, "sources[%zu]", index);
        loader_fault(loader, key, "expected one of zookeeper and file, found %s",
                     file ? "both" : "neither");
    }
    if (zookeeper)
        fill_zookeeper(loader, source, from, index);
    source->file = member(from, "file", NULL);
    source->realm = loader_text(loader, "realm");
    source->format = member(from, "format", NULL);
    (void)snprintf(key, sizeof key, "sources[%zu].path", index);
    source->path =
        pattern_path(loader, key, json_string_value(json_object_get(from, "path")));
    source->endpoint = member(from, "endpoint", NULL);
    source->ssl = json_is_true(json_object_get(from, "ssl"));
    source->trust_options = json_object_get(from, "trust");
    if (source->format)
        check_format_keys(loader, from, source->format, index);
    fill_auth(loader, source, from, index);
    refuse_tls(loader, from, index);
    fill_acl(loader, source, json_object_get(from, "acl"), index);
    (void)text_duration(timeout, &source->session_timeout);
}

void loader_sources(struct loader *loader) {
    struct settings *settings = loader->settings;
    const json_t *list = loader_get(loader, "sources");
    size_t count = json_array_size(list);
    settings->sources = mem_zalloc(count * sizeof *settings->sources);
    settings->source_count = count;
    for (size_t i = 0; i < count; i++)
        fill_source(loader, &settings->sources[i], json_array_get(list, i), i);
}

void loader_sources_free(struct settings *settings) {
    for (size_t i = 0; i < settings->source_count; i++) {
        struct source_settings *source = &settings->sources[i];
        free(source->file);
        free(source->hosts);
        free(source->root);
        free(source->chroot);
        free(source->realm);
        free(source->format);
        free(source->path);
        free(source->auth_scheme);
        free(source->endpoint);
        free(source->auth_file);
        free(source->auth_env);
        for (size_t k = 0; k < source->acl_count; k++) {
            free(source->acl[k].scheme);
            free(source->acl[k].id);
        }
        free(source->acl);
    }
    free(settings->sources);
}

/* Takes "zookeeper:HOSTS/ROOT" or "file:PATH" for a source; NULL if it is neither. */
static json_t *source_from_text(const char *text) {
    json_t *source = NULL;
    if (!strncmp(text, "file:", 5)) {
        text += 5;
        source = json_object();
        (void)json_object_set_new(source, "file",
                                  json_stringn_nocheck(text, strlen(text)));
    } else if (!strncmp(text, "zookeeper:", 10)) {
        text += 10;
        size_t hosts = strcspn(text, "/");
        source = json_object();
        (void)json_object_set_new(source, "zookeeper", json_stringn_nocheck(text, hosts));
        if (text[hosts])
            (void)json_object_set_new(
                source, "root", json_stringn_nocheck(text + hosts, strlen(text + hosts)));
    }
    return source;
}

void loader_replace_sources(struct loader *loader, const char *const *sources,
                            const char *where) {
    json_t *list = json_array();
    bool good = true;
    for (size_t i = 0; sources[i]; i++) {
        json_t *source = source_from_text(sources[i]);
        good = good && source;
        if (source)
            (void)json_array_append_new(list, source);
        else
            problems_add(loader->problems, where,
                         "expected zookeeper:HOSTS/ROOT or file:PATH, found \"%s\"",
                         sources[i]);
    }
    if (good)
        loader_override(loader, "sources", list, where);
    json_decref(list);
}
