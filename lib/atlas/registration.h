/* One ephemeral znode that is there while it is wanted: made again in a new session, taken
 * back when someone removed it, kept as someone changed it. */
#ifndef HATLAS_ATLAS_REGISTRATION_H
#define HATLAS_ATLAS_REGISTRATION_H

#include "base/log.h"
#include "settings/settings.h"

struct event_base;
struct registration;

/* Called from the loop after the znode was made or removed. */
typedef void registration_changed(void *arg);

/* Nothing is wanted at first. `record` is what the znode says, a new reference is taken;
 * parents that are missing are created. All others must outlive it. */
struct registration *registration_open(struct event_base *base, const struct log *log,
                                       const struct source_settings *source,
                                       const char *path, json_t *record,
                                       registration_changed *changed, void *arg);

/* Ends the session, with which the znode goes. */
void registration_close(struct registration *registration);

void registration_want(struct registration *registration, bool wanted);

/* Whether the znode is there in this session, as far as it is known. */
bool registration_stands(const struct registration *registration);

#endif
