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

static char *member(const json_t *object, const char *first, const char *second) {
    const json_t *value = json_object_get(object, first);
    if (second)
        value = json_object_get(value, second);
    return mem_strdup(json_string_value(value));
}

static void fill_source(const struct loader *loader, struct source_settings *source,
                        const json_t *from, size_t index) {
    char key[KEY_MAX];
    bool zookeeper = json_object_get(from, "zookeeper");
    bool file = json_object_get(from, "file");
    const char *timeout = json_string_value(json_object_get(from, "session_timeout"));
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
    source->path = member(from, "path", NULL);
    source->auth_scheme = member(from, "auth", "scheme");
    source->auth_file = member(from, "auth", "file");
    source->tls_ca = member(from, "tls", "ca");
    source->tls_cert = member(from, "tls", "cert");
    source->tls_key = member(from, "tls", "key");
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
        free(source->auth_file);
        free(source->tls_ca);
        free(source->tls_cert);
        free(source->tls_key);
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
