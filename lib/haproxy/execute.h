/* One plan, executed over the stats socket and verified. */
#ifndef HATLAS_HAPROXY_EXECUTE_H
#define HATLAS_HAPROXY_EXECUTE_H

#include "haproxy/background.h"
#include "haproxy/greeting.h"
#include "haproxy/runtime.h"

struct execution;

struct execution_options {
    struct event_base *base;
    const struct log *log;
    const char *socket;
    struct background *background;
    pid_t pid;
    size_t next_id;            /* for `add server` */
    struct greeting *greeting; /* to begin with, taken over; NULL: a new one */
};

struct execution_end {
    const struct error *error; /* NULL: all is as planned */
    bool touched;              /* HAProxy got a part of the plan, or is another one */
    size_t next_id;
};

typedef void execution_ended(void *arg, const struct execution_end *end);

/* Starts to execute the plan; the execution is freed before the callback runs, which
 * comes from the loop. */
struct execution *execution_start(const struct execution_options *options,
                                  const struct plan *plan, const char *config,
                                  execution_ended *ended, void *arg);

/* Stops wherever it is; no callback. NULL is fine. */
void execution_cancel(struct execution *execution);

#endif
