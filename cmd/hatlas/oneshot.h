/* The first steps of the pipeline, walked once: settings → catalog → outputs. */
#ifndef HATLAS_ONESHOT_H
#define HATLAS_ONESHOT_H

#include "catalog/catalog.h"
#include "cli.h"
#include "render/render.h"

struct oneshot {
    struct log log;
    struct settings *settings;
    const struct catalog *catalog;
    json_t *globals;
    struct renderer *renderer;
    struct problems problems; /* with records of the registry */
};

/* Reads the settings and the registry once. `order` is "name" or "node". Prints why it
 * can't and returns false; close it in any case. */
bool oneshot_open(struct oneshot *oneshot, const struct common_flags *flags,
                  const char *order, const char *timeout);
void oneshot_close(struct oneshot *oneshot);

#endif
