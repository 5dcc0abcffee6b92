/* Ports of this machine that a config wants and another program holds. HAProxy refuses a
 * config for one of them as a whole, after the old worker took no connection for two
 * seconds. So templates get to know them, and leave out what can't be had. */
#ifndef HATLAS_AGENT_PORTS_H
#define HATLAS_AGENT_PORTS_H

#include "base/error.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

struct ports;

/* `freed` is called from the loop when a port that was held is free again. */
struct ports *ports_new(struct event_base *base, void (*freed)(void *arg), void *arg);
void ports_free(struct ports *ports);

/* Tries the addresses of all `bind` lines of the config `wanted` (four blanks before them)
 * but for those that `placed` has too: these are HAProxy's own. Returns whether any is
 * held. */
bool ports_look(struct ports *ports, const char *wanted, const char *placed);

/* Empties the list for templates, so that a config is rendered that wants all ports. */
void ports_forget(struct ports *ports);

/* The numbers of the ports that are held, for templates: node.taken_ports. Borrowed. */
json_t *ports_taken(const struct ports *ports);

/* Adds a problem for each, by the section that wants it. */
void ports_report(const struct ports *ports, struct problems *problems);

#endif
