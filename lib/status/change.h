/* One change that was applied, or not, and the sums over all of them. */
#ifndef HATLAS_STATUS_CHANGE_H
#define HATLAS_STATUS_CHANGE_H

#include <stddef.h>
#include <stdint.h>

enum status_way { STATUS_FILES, STATUS_RUNTIME, STATUS_RELOAD, STATUS_WAYS };
enum status_result {
    STATUS_DONE,
    STATUS_REFUSED,
    STATUS_NOT_WRITTEN,
    STATUS_ROLLED_BACK,
    STATUS_NOT_LOADED,
    STATUS_NOT_RENDERED,
    STATUS_RESULTS
};

/* Strings are NULL where there is nothing to say. */
struct status_change {
    uint64_t id;      /* 1 for the first since the start */
    int64_t at;       /* when it ended: milliseconds since 1970 */
    const char *what; /* what changed in the registry, one difference a line */
    const char *who;  /* the record of the first of them: "PATH version N" */
    size_t count;     /* how many differences; `what` may name fewer */
    enum status_way way;
    enum status_result result;
    const char *reason; /* why a reload */
    const char *error;  /* why it failed */
    size_t steps;       /* runtime commands */
    size_t tries;       /* how often it failed in the same way, one after the other */
    int64_t usec;       /* from the moment it was wanted */
    const char *diff;   /* unified, of all outputs */
};

/* How long things took, as Prometheus counts it. */
enum { STATUS_BUCKETS = 12 };
struct status_histogram {
    uint64_t buckets[STATUS_BUCKETS + 1]; /* not cumulative; the last is +Inf */
    int64_t sum;                          /* microseconds */
};

struct status_totals {
    uint64_t changes[STATUS_WAYS][STATUS_RESULTS];
    struct status_histogram apply[STATUS_WAYS];
    struct status_histogram render;
    uint64_t render_errors;
};

void status_histogram_add(struct status_histogram *histogram, int64_t usec);

/* Upper bound of a bucket in microseconds. */
int64_t status_histogram_bound(size_t bucket);

const char *status_way_name(enum status_way way);          /* "files", … */
const char *status_result_name(enum status_result result); /* "done", "refused", … */

#endif
