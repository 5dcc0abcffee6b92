/* Those who watch: each is sent what changed, as server-sent events. A watcher that does
 * not read costs nothing but its connection. */
#ifndef HATLAS_STATUS_STREAM_H
#define HATLAS_STATUS_STREAM_H

#include "status/facts.h"

struct door;
struct event_base;
struct evhttp_request;
struct streams;

enum { STREAMS_MAX = 8 };

struct streams *streams_new(struct event_base *base);

/* Ends all; before the evhttp is freed. NULL is fine. */
void streams_free(struct streams *streams);

/* Makes the request a watcher. False if there are too many; then it is not answered. */
bool streams_add(struct streams *streams, struct evhttp_request *request,
                 struct door *door);

size_t streams_count(const struct streams *streams);

/* Sends everybody what is new to them. */
void streams_tell(struct streams *streams, const struct status_view *view,
                  const struct facts_stats *stats);

#endif
