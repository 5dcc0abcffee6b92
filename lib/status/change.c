/* Names of ways and results, and histograms. */
#include "status/change.h"

static const int64_t bounds[STATUS_BUCKETS] = {
    1000,   2500,   5000,   10000,   25000,   50000,
    100000, 250000, 500000, 1000000, 2500000, 10000000,
};

void status_histogram_add(struct status_histogram *histogram, int64_t usec) {
    size_t bucket = 0;
    while (bucket < STATUS_BUCKETS && usec > bounds[bucket])
        bucket++;
    histogram->buckets[bucket]++;
    histogram->sum += usec;
}

int64_t status_histogram_bound(size_t bucket) {
    return bounds[bucket];
}

const char *status_way_name(enum status_way way) {
    static const char *const names[STATUS_WAYS] = {[STATUS_FILES] = "files",
                                                   [STATUS_RUNTIME] = "runtime",
                                                   [STATUS_RELOAD] = "reload"};
    return names[way];
}

const char *status_result_name(enum status_result result) {
    static const char *const names[STATUS_RESULTS] = {
        [STATUS_DONE] = "done",
        [STATUS_REFUSED] = "refused",
        [STATUS_NOT_WRITTEN] = "not_written",
        [STATUS_ROLLED_BACK] = "rolled_back",
        [STATUS_NOT_LOADED] = "not_loaded",
        [STATUS_NOT_RENDERED] = "not_rendered",
    };
    return names[result];
}
