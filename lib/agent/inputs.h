/* All sources of hatlas.yaml as one catalog. */
#ifndef HATLAS_AGENT_INPUTS_H
#define HATLAS_AGENT_INPUTS_H

#include "catalog/catalog.h"
#include "settings/settings.h"
#include "source/source.h"

struct inputs;

/* Called from the loop after anything about the sources changed. */
typedef void inputs_changed(void *arg);

/* Opens the sources; settings, log and loop must outlive them. Returns NULL with an error
 * if one has settings that can never work. The caller owns the inputs. */
struct inputs *inputs_open(struct event_base *base, const struct log *log,
                           const struct settings *settings, inputs_changed *changed,
                           void *arg, struct error *error);
void inputs_close(struct inputs *inputs);

/* Returns the merged catalog as a new reference, NULL until every source was read once.
 * Adds all that is wrong with any record. Unless a source gave a new catalog since, the
 * same one is returned again. */
const struct catalog *inputs_catalog(struct inputs *inputs, struct problems *problems);

/* Returns the source number `index`, NULL behind the last. */
struct source *inputs_source(struct inputs *inputs, size_t index);

/* Begins to read every source again from the start. Returns the number of this round. */
uint64_t inputs_refresh(struct inputs *inputs);

/* Returns the number of the last round that is complete, 0 before the first. */
uint64_t inputs_rounds(struct inputs *inputs);

/* Called from the loop now and then, with the first source that was not read yet. */
typedef void inputs_progress(void *arg, const struct source *source);

struct inputs_wait {
    int64_t timeout_ms;
    inputs_progress *progress; /* or NULL */
    void *arg;
};

/* Reads every source once and closes them again. Gives up after the time-out; the error
 * says which source did not answer, and why as far as it is known. Returns a new
 * reference. */
const struct catalog *inputs_read(const struct log *log, const struct settings *settings,
                                  const struct inputs_wait *wait,
                                  struct problems *problems, struct error *error);

/* Checks services.defaults and services.overrides of the settings, whose fields are those
 * of the catalog's services. */
void inputs_check_settings(const struct settings *settings, struct problems *problems);

#endif
