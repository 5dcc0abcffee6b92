/* The registry for commands that show it: the catalog of all sources, whatever their
 * format, without what the settings say of services besides. */
#ifndef HATLAS_LOOKUP_H
#define HATLAS_LOOKUP_H

#include "agent/inputs.h"
#include "cli.h"

struct lookup {
    struct settings *settings;
    struct log log;
    const struct catalog *catalog;
    struct problems problems;
};

/* The settings without include, exclude and overrides. NULL after it printed why. */
struct settings *lookup_settings(const struct common_flags *flags, struct log *log);

/* Reads the catalog and prints what is wrong with its records; `patterns` (fnmatch(3), an
 * empty list: all) say which services are wanted. False, after it printed why: no answer
 * in time, or a pattern that matches none. Close the lookup in either case. */
bool lookup_open(struct lookup *lookup, const struct common_flags *flags,
                 const char *timeout, const char *const *patterns, size_t count);
void lookup_close(struct lookup *lookup);

/* Returns the services that match, as a new catalog. False, after it printed which, if a
 * pattern matches none. */
const struct catalog *lookup_filter(const struct catalog *catalog,
                                    const char *const *patterns, size_t count);

#endif
