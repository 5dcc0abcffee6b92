/* A connection to HAProxy's stats socket whose first question is which process answers:
 * whatever is asked on it later reaches that one (management guide, 9.3, "show info"). */
#ifndef HATLAS_HAPROXY_GREETING_H
#define HATLAS_HAPROXY_GREETING_H

#include "haproxy/cli.h"

#include <sys/types.h>

struct greeting;

/* `pid` is 0 with an error. Called once, from the loop. */
typedef void greeting_done(void *arg, pid_t pid, const struct error *error);

/* Connects and asks; nobody waits for the answer yet. */
struct greeting *greeting_start(struct event_base *base, const char *socket);

/* Says who answered, as soon as that is known. Errors: nobody listens, no answer within two
 * seconds, an answer that is none. */
void greeting_await(struct greeting *greeting, greeting_done *done, void *arg);

/* HAProxy's version, "2.6.12-1+deb12u4", once it has answered. */
const char *greeting_version(const struct greeting *greeting);

/* The connection, for more questions after the answer. */
struct cli *greeting_cli(const struct greeting *greeting);

/* Closes the connection; no callback. NULL is fine. */
void greeting_close(struct greeting *greeting);

#endif
