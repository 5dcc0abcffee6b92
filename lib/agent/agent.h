/* The loop of `hatlas run`: source → catalog → render → plan → apply, for every change,
 * until told to stop. */
#ifndef HATLAS_AGENT_AGENT_H
#define HATLAS_AGENT_AGENT_H

#include "agent/outputs.h"
#include "base/log.h"
#include "settings/settings.h"

struct agent_options {
    bool once; /* apply once and return; a supervised HAProxy is left running */

    /* Dry run: instead of applying, each new set of files is shown beside the last (at
     * first what the disk holds). NULL: apply. */
    void (*show)(void *arg, const struct outputs *old, const struct outputs *new);

    /* SIGHUP: reads the settings again. Returns NULL, after it logged why, if they are
     * wrong. The agent frees them. */
    struct settings *(*reread)(void *arg);
    void *arg; /* of both */
};

/* Runs until SIGTERM or SIGINT (or, with `once`, until the first apply ended). Blocks.
 * Returns true after an orderly end, false with an error for what makes running
 * impossible: a lock held by another hatlas, settings that can never work, with `once` a
 * failed apply. */
bool agent_run(const struct settings *settings, const struct log *log,
               const struct agent_options *options, struct error *error);

#endif
