/* From single answers to a verdict: up after some good ones in a row, down after some bad
 * ones, and slower to rise the more often it fell. No I/O, no clock of its own. */
#ifndef HATLAS_ATLAS_HEALTH_H
#define HATLAS_ATLAS_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/* Starts as {.rise, .fall, .interval_ms}, which means down. */
struct health {
    int rise, fall;
    int64_t interval_ms;
    bool up;
    int in_row;      /* answers that speak against `up` */
    int falls;       /* without a steady time in between */
    int64_t changed; /* when `up` last changed, milliseconds */
    int64_t held;    /* until when it may not rise */
};

/* Limits of the time for which a host that fell again may not rise: doubled each time,
 * forgotten once it was up for as long as HEALTH_STEADY intervals. */
enum { HEALTH_STEADY = 30, HEALTH_HOLD_MAX = 300000 };

/* Takes one answer; returns whether `up` changed. */
bool health_note(struct health *health, bool good, int64_t now_ms);

/* How many milliseconds it still may not rise, 0 if it may. */
int64_t health_hold(const struct health *health, int64_t now_ms);

#endif
