/* Workers that a reload left behind: they serve the connections they had, and should end
 * by themselves (`hard-stop-after`). Those that do not are reported. */
#ifndef HATLAS_HAPROXY_LEFTOVER_H
#define HATLAS_HAPROXY_LEFTOVER_H

#include "base/log.h"
#include "settings/settings.h"

struct event_base;
struct leftover;

/* Log, settings and loop must outlive it. */
struct leftover *leftover_new(struct event_base *base, const struct log *log,
                              const struct haproxy_settings *settings);
void leftover_free(struct leftover *leftover);

/* To be called after each reload: asks the master from time to time whether the old
 * workers have ended, until they have. */
void leftover_watch(struct leftover *leftover);

#endif
