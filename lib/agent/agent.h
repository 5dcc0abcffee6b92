/* The loop of `hatlas run`: source → catalog → render → apply, for every change, until
 * told to stop. */
#ifndef HATLAS_AGENT_AGENT_H
#define HATLAS_AGENT_AGENT_H

#include "agent/outputs.h"
#include "base/log.h"
#include "settings/settings.h"

struct agent_options {
    bool once; /* apply once and return */

    /* Dry run: instead of applying, each new set of files is shown beside the last (at
     * first what the disk holds). NULL: apply. */
    void (*show)(void *arg, const struct outputs *old, const struct outputs *new);
    void *arg;
};

/* Runs until SIGTERM or SIGINT (or, with `once`, until the first apply ended). Blocks.
 * Returns true after an orderly end, false with an error for what makes running
 * impossible: a lock held by another hatlas, settings that can never work, with `once` a
 * failed apply. */
bool agent_run(const struct settings *settings, const struct log *log,
               const struct agent_options *options, struct error *error);

/* Makes the renderer for the settings. `order_seed`: see render_options. `globals`
 * receives what the templates see; it is owned by the caller and must outlive the
 * renderer. */
struct renderer *agent_renderer(const struct settings *settings, const char *order_seed,
                                json_t **globals);

#endif
