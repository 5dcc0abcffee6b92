/* The parts of the status as JSON: what GET /status puts together, and what watchers are
 * sent piece by piece. README.md documents them. */
#ifndef HATLAS_STATUS_DOCUMENT_H
#define HATLAS_STATUS_DOCUMENT_H

#include "status/facts.h"
#include "status/writer.h"

/* Members of an object that is open: "version" to "outputs". Nothing in it depends on the
 * time, so that it only differs if something changed. */
void document_head(struct writer *writer, const struct status_view *view,
                   const struct facts_stats *stats);

/* "problems": the list, of a bounded length. */
void document_problems(struct writer *writer, const struct status_view *view);

/* "changes": those with an id above `after`, oldest first. */
void document_changes(struct writer *writer, const struct status_view *view,
                      uint64_t after);

/* One service with its hosts, as an item of a list. */
void document_service(struct writer *writer, const struct service *service,
                      const struct facts_stats *stats);

/* The whole of GET /status. */
void document_write(struct buffer *out, const struct status_view *view,
                    const struct facts_stats *stats);

/* The outputs as text, each behind a line with its path; GET /config. Those that not
 * everybody on the machine may read are left out. */
void document_config(struct buffer *out, const struct status_view *view);

/* Whether everybody on the machine may read the output's file. */
bool document_is_public(const struct output_settings *output);

#endif
