/* The status as Prometheus reads it (text format 0.0.4). */
#ifndef HATLAS_STATUS_METRICS_H
#define HATLAS_STATUS_METRICS_H

#include "status/facts.h"

void metrics_write(struct buffer *out, const struct status_view *view,
                   const struct facts_stats *stats);

#endif
