/* Showing what differs between two sets of outputs, by diff(1). */
#ifndef HATLAS_DIFFER_H
#define HATLAS_DIFFER_H

#include "agent/outputs.h"

/* Prints the differences with `diff -u`, in colour on a terminal, or with the command in
 * HATLAS_EXTERNAL_DIFF, which is given two folders as kubectl does it. Returns 0 for
 * none, 1 for some, 2 with an error. */
int differ_show(const struct outputs *old, const struct outputs *new,
                struct error *error);

/* Makes the plan for a HAProxy that runs `old` and can do all that hatlas knows to use
 * (HAProxy 2.6); NULL if no output is HAProxy's. The caller owns it. */
struct plan *differ_plan(const struct settings *settings, const struct outputs *old,
                         const struct outputs *new);

/* Prints the plan for people, or as JSON. */
void differ_print_plan(const struct plan *plan);
void differ_print_json(const struct plan *plan, const struct outputs *old,
                       const struct outputs *new);

#endif
