/* The value of one znode: decoded when its bytes changed, kept while they are bad. */
#include "source/filter.h"
#include "source/zk_tree.h"

#include <string.h>

static const char *last_part(const char *path) {
    return strrchr(path, '/') + 1;
}

static bool set_host(struct zk_node *node, const struct host *host) {
    const struct host *old = node->value.host;
    if (host == old || (host && old && host_equal(host, old))) {
        host_unref(host);
        return false;
    }
    node->value.host = host;
    host_unref(old);
    return true;
}

static bool set_json(struct zk_node *node, json_t *json) {
    json_t *old = node->value.json;
    if (json == old || (json && old && json_equal(json, old))) {
        json_decref(json);
        return false;
    }
    node->value.json = json;
    json_decref(old);
    return true;
}

/* The value of a host that is not wanted here is let go. */
static bool decode_host(struct zk_node *node, const struct zk_reader *reader,
                        const char *data, size_t len, struct problems *problems) {
    const struct host *host =
        data ? reader->format->host(last_part(node->path), data, len, node->path,
                                    &reader->options, problems)
             : NULL;
    node->unwanted = host && !filter_host(reader->wants, host);
    if (node->unwanted) {
        host_unref(host);
        return set_host(node, NULL);
    }
    if (host || !problems->count)
        return set_host(node, host);
    problems_note(problems, 0,
                  node->value.host ? "; the host keeps its last good value"
                                   : "; the host is left out");
    return false;
}

/* A record with one bad field may still have good ones, but those of the last record that
 * was wholly good are the safer choice. */
static bool decode_json(struct zk_node *node, const struct zk_reader *reader,
                        const char *data, size_t len, struct problems *problems) {
    json_t *json = NULL;
    if (data && node->kind == ZK_SERVICE)
        json = reader->format->service(data, len, node->path, problems);
    else if (data)
        json = reader->format->vars(data, len, node->path, problems);
    if (problems->count && node->clean && node->value.json) {
        problems_note(problems, 0, "; the last good value is kept");
        json_decref(json);
        return false;
    }
    node->clean = !problems->count;
    problems_note(problems, 0, "; left out");
    return set_json(node, json);
}

bool zk_node_decode(struct zk_node *node, const struct zk_reader *reader,
                    const char *data, size_t len, struct problems *problems) {
    return node->kind == ZK_HOST ? decode_host(node, reader, data, len, problems)
                                 : decode_json(node, reader, data, len, problems);
}

void zk_node_clear(struct zk_node *node) {
    if (node->kind == ZK_HOST)
        (void)set_host(node, NULL);
    else
        (void)set_json(node, NULL);
    problems_free(&node->problems);
}
