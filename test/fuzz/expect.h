/* What the shipped templates may make of a catalog. */
#ifndef HATLAS_FUZZ_EXPECT_H
#define HATLAS_FUZZ_EXPECT_H

#include "catalog/catalog.h"

/* Returns a new catalog that has the same services and hosts, but in place of each free
 * value a harmless one. It renders to the same text but for these values. */
struct catalog *expect_twin(const struct catalog *catalog);

/* Requires that the config has just the sections of these services, and in each of them
 * only keywords that belong there, and just the servers of its hosts. */
void expect_sections(const char *config, const struct catalog *catalog);

/* Requires that the config and the one of the twin have the same lines of the same words,
 * but for the service's own value where the twin has its. */
void expect_same_words(const char *config, const char *twin,
                       const struct catalog *catalog);

/* The same for the other templates. */
void expect_map(const char *map, const struct catalog *catalog);
void expect_hosts(const char *hosts);

#endif
