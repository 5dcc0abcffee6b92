/* One host of one service: a single block of memory that holds the struct and all that it
 * points to. */
#include "base/mem.h"
#include "base/text.h"
#include "catalog/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the next string of the block goes. */
static const char *put(char **next, const char *text) {
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*next, text, size);
    *next += size;
    return copy;
}

static size_t room(const char *text) {
    return text ? strlen(text) + 1 : 0;
}

static int compare_labels(const void *a, const void *b) {
    return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

static void put_labels(struct host *host, const struct host *values, char **next) {
    struct pair *labels = (struct pair *)(host + 1);
    for (size_t i = 0; i < values->label_count; i++) {
        labels[i].name = put(next, values->labels[i].name);
        labels[i].value = put(next, values->labels[i].value);
    }
    if (values->label_count)
        qsort(labels, values->label_count, sizeof *labels, compare_labels);
    host->labels = labels;
}

struct host *host_new(const struct host *values) {
    char address[300];
    (void)snprintf(address, sizeof address, "%s:%u", values->host, values->port);
    bool same = !strcmp(values->id, address);
    size_t size = sizeof *values + values->label_count * sizeof *values->labels +
                  room(values->id) + room(values->host) + room(values->zone) +
                  room(values->options) + (same ? 0 : room(address));
    for (size_t i = 0; i < values->label_count; i++)
        size += room(values->labels[i].name) + room(values->labels[i].value);
    struct host *host = mem_zalloc(size);
    *host = *values;
    host->refs = 1;
    char *next = (char *)(host + 1) + values->label_count * sizeof *values->labels;
    host->id = put(&next, values->id);
    host->host = put(&next, values->host);
    host->zone = put(&next, values->zone);
    host->options = put(&next, values->options);
    host->name = same ? host->id : put(&next, address);
    put_labels(host, values, &next);
    json_incref(host->extra);
    return host;
}

const struct host *host_ref(const struct host *host) {
    ((struct host *)host)->refs++;
    return host;
}

void host_unref(const struct host *host) {
    struct host *own = (struct host *)host;
    if (!own || --own->refs)
        return;
    json_decref(own->extra);
    free(own);
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && !strcmp(a, b));
}

static bool same_labels(const struct host *a, const struct host *b) {
    if (a->label_count != b->label_count)
        return false;
    for (size_t i = 0; i < a->label_count; i++)
        if (strcmp(a->labels[i].name, b->labels[i].name) != 0 ||
            strcmp(a->labels[i].value, b->labels[i].value) != 0)
            return false;
    return true;
}

bool host_equal(const struct host *a, const struct host *b) {
    return a == b ||
           (same_text(a->id, b->id) && same_text(a->host, b->host) &&
            same_text(a->zone, b->zone) && same_text(a->options, b->options) &&
            a->port == b->port && a->weight == b->weight && a->maxconn == b->maxconn &&
            a->enabled == b->enabled && a->drain == b->drain && a->backup == b->backup &&
            same_labels(a, b) &&
            (a->extra == b->extra || json_equal(a->extra, b->extra)));
}
