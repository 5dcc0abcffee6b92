/* Showing what differs between two sets of outputs, by diff(1). */
#ifndef HATLAS_DIFFER_H
#define HATLAS_DIFFER_H

#include "agent/outputs.h"

/* Prints the differences with `diff -u`, in colour on a terminal, or with the command in
 * HATLAS_EXTERNAL_DIFF, which is given two folders as kubectl does it. Returns 0 for
 * none, 1 for some, 2 with an error. */
int differ_show(const struct outputs *old, const struct outputs *new,
                struct error *error);

#endif
