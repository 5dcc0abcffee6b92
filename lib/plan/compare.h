/* The parts of a comparison, which all add to one plan. */
#ifndef HATLAS_PLAN_COMPARE_H
#define HATLAS_PLAN_COMPARE_H

#include "plan/config.h"
#include "plan/plan.h"

/* When a step is done: servers come before others go, and a server is right in all ways
 * before it gets requests. */
enum phase { PHASE_ADD, PHASE_SET, PHASE_ENABLE, PHASE_MAP, PHASE_DISABLE, PHASE_REMOVE };

/* A comparison under way. */
struct comparison {
    const struct plan_side *old_side, *new_side;
    const struct plan_abilities *abilities;
    struct config before;   /* the defaults that stand before what differs, */
    struct config old, new; /* which is all that is read of the rest */
    struct plan *plan;
    enum phase *phases;            /* of the plan's steps */
    struct references *references; /* NULL until they are needed */
    struct words words[2];         /* for everyone's use between two calls */
};

/* Makes the plan a reload. Only the first reason counts. Returns false, so that it reads
 * well in functions that return whether to go on. */
bool compare_reload(struct comparison *comparison, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds a step, to be filled. */
struct plan_step *compare_step(struct comparison *comparison, enum plan_step_kind kind,
                               enum phase phase);

/* All sections that were read. Returns false after a reload was found necessary. */
bool compare_sections(struct comparison *comparison);

/* The server lines of one section, whose other lines are the same. */
bool compare_servers(struct comparison *comparison, const struct section *old,
                     const struct section *new);

/* The files beside the config. */
bool compare_files(struct comparison *comparison);

/* The servers that a config refers to by name outside of server lines' names. */
struct references *references_new(const char *text);
void references_free(struct references *references);
bool references_have(const struct references *references, const char *backend,
                     const char *server);

#endif
