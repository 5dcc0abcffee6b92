/* A connection to ZooKeeper in the loop, for what writes: it connects, connects again, and
 * begins a new session when the old one has expired, for ever. */
#ifndef HATLAS_ATLAS_LINK_H
#define HATLAS_ATLAS_LINK_H

#include "settings/settings.h"

struct event_base;
struct atlas_link;
struct _zhandle;
struct ACL_vector;

/* Called at the end of every turn of the loop in which the link did something: completions
 * of requests have run by then. Must not close the link. */
typedef void atlas_link_turned(void *arg);

/* Begins with the loop, which must outlive it, as must the settings. The caller owns it.
 */
struct atlas_link *atlas_link_open(struct event_base *base,
                                   const struct source_settings *settings,
                                   atlas_link_turned *turned, void *arg);

/* Ends the session, with which its ephemeral znodes go. Completions of requests that wait
 * run once more, with ZCLOSING. */
void atlas_link_close(struct atlas_link *link);

/* The handle for requests, NULL while there is no connection. Call atlas_link_wake after
 * requests that were made outside of `turned` and of completions. */
struct _zhandle *atlas_link_handle(const struct atlas_link *link);
void atlas_link_wake(struct atlas_link *link);

/* The client sends each request by itself, in small packets that cost the server more than
 * the requests do. Between on and off they leave in full ones. */
void atlas_link_cork(struct atlas_link *link, bool on);

/* The session's number: 0 before the first was made, and another for each new one. */
unsigned atlas_link_session(const struct atlas_link *link);

/* Who may do what with znodes that are created; valid as long as the link. */
const struct ACL_vector *atlas_link_acl(const struct atlas_link *link);

/* What went wrong last, "" while connected; and whether trying again is of no use. */
const char *atlas_link_why(const struct atlas_link *link);
bool atlas_link_refused(const struct atlas_link *link);

#endif
