/* What all kinds of sources have in common. */
#ifndef HATLAS_SOURCE_SOURCE_INTERNAL_H
#define HATLAS_SOURCE_SOURCE_INTERNAL_H

#include "source/source.h"

struct event;

/* What a kind of source does; `open` allocates and fills its own struct. */
struct source_ops {
    void (*close)(struct source *source);
    const struct catalog *(*catalog)(struct source *source);
    void (*problems)(const struct source *source, struct problems *problems);
    void (*status)(const struct source *source, struct source_status *status);
    void (*refresh)(struct source *source);
    bool (*origin)(struct source *source, const char *service, const char *host,
                   struct buffer *out);
};

/* The first member of every kind's struct. */
struct source {
    const struct source_ops *ops;
    struct event_base *base;
    const struct log *log;
    const struct source_settings *settings;
    char *name;
    source_changed *changed;
    void *arg;
    struct event *notify;
};

/* Makes the loop call `changed`, once however often this is called within one turn. */
void source_notify(struct source *source);

/* Open one kind: a source with its ops set and its name, which source_open completes
 * before the loop runs. NULL with an error for settings that can never work. */
struct source *source_file_open(struct event_base *base, const struct log *log,
                                const struct source_settings *settings,
                                struct error *error);
struct source *source_zookeeper_open(struct event_base *base, const struct log *log,
                                     const struct source_settings *settings,
                                     struct error *error);

#endif
