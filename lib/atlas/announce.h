/* The loop of `hatlas announce`: a host stands in the registry while it is well. */
#ifndef HATLAS_ATLAS_ANNOUNCE_H
#define HATLAS_ATLAS_ANNOUNCE_H

#include "atlas/probe.h"
#include "base/log.h"
#include "settings/settings.h"

struct announce_options {
    const struct source_settings *source;
    const struct log *log;
    const char *service;
    json_t *record;                    /* the host's, checked */
    const struct probe_options *check; /* NULL: well while this process lives */
    int64_t interval_ms;
    int rise, fall;
    const char *const *command; /* the service itself, NULL-terminated; NULL: none */
    int64_t settle_ms;          /* between taking the host off and stopping the command */
    int64_t stop_ms; /* for the command to end after SIGTERM, then it is killed */
};

/* Announces until SIGTERM or SIGINT, or until the command ends. The host is taken off
 * first, then the command is stopped; a second signal skips the waiting. Other signals
 * (HUP, USR1, USR2) are passed on to the command. Blocks. Returns the exit code: the
 * command's (128 and the signal's number if one ended it), else 0; -1 with an error if it
 * can't begin. */
int announce_run(const struct announce_options *options, struct error *error);

#endif
