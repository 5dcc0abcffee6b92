/* Time that never jumps. */
#ifndef HATLAS_BASE_CLOCK_H
#define HATLAS_BASE_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

/* Returns microseconds of CLOCK_MONOTONIC (clock_gettime(2)). */
static inline int64_t clock_usec(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Returns the microseconds as libevent takes them; less than 0 is 0. */
static inline struct timeval clock_timeval(int64_t usec) {
    if (usec < 0)
        usec = 0;
    return (struct timeval){usec / 1000000, usec % 1000000};
}

#endif
