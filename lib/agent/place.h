/* The place of the outputs: the files on disk, held by this process alone, and what
 * stands beside HAProxy's config. */
#ifndef HATLAS_AGENT_PLACE_H
#define HATLAS_AGENT_PLACE_H

#include "agent/outputs.h"
#include "base/log.h"

struct event_base;
struct place;

/* Locks every output (`<path>.lock`) and reads what is there. Settings, log and loop must
 * outlive it. NULL with an error, which names who holds a lock. */
struct place *place_open(struct event_base *base, const struct log *log,
                         const struct settings *settings, struct error *error);

/* Lets go of the files; an on_change command that runs is left to itself. */
void place_close(struct place *place);

/* What the disk holds; valid until the next write. */
const struct outputs *place_outputs(const struct place *place);

/* Puts the outputs in place, all or none: on error the old ones are there again, or, where
 * even that fails, place_outputs() has what is there. A file
 * that someone else edited meanwhile is kept as `<path>.foreign`, and that is logged. For
 * each file that differs its on_change command is run. */
bool place_write(struct place *place, const struct outputs *outputs, struct error *error);

/* Writes HAProxy's config and what stands beside it into a folder for `haproxy -c`;
 * returns the config's path there, valid until place_close, or NULL with an error. */
const char *place_stage(struct place *place, const struct outputs *outputs,
                        struct error *error);

/* Removes the folder; the places that an error names in it become those in the real one.
 * The error may be NULL. */
void place_unstage(struct place *place, struct error *error);

/* Keeps a config that HAProxy refused, with its message, as `<path>.rejected`; removes
 * that file once a config was accepted. */
void place_reject(const struct place *place, const struct outputs *outputs,
                  const struct error *refusal);
void place_accept(const struct place *place);

/* Notes on disk (`<path>.reload-owed`) that HAProxy may use something else than its
 * config says, so that a process which comes after a crash knows. */
void place_owe(struct place *place, bool owed);
bool place_owes(const struct place *place);

#endif
