/* From single answers to a verdict. */
#include "atlas/health.h"

static int64_t hold_time(const struct health *health) {
    int64_t hold = health->interval_ms * health->rise;
    for (int i = 1; i < health->falls && hold < HEALTH_HOLD_MAX; i++)
        hold *= 2;
    return hold < HEALTH_HOLD_MAX ? hold : HEALTH_HOLD_MAX;
}

static void fall(struct health *health, int64_t now_ms) {
    if (now_ms - health->changed >= HEALTH_STEADY * health->interval_ms)
        health->falls = 0;
    health->falls++;
    health->held = now_ms + hold_time(health);
}

bool health_note(struct health *health, bool good, int64_t now_ms) {
    if (good == health->up) {
        health->in_row = 0;
        return false;
    }
    health->in_row++;
    if (health->in_row < (health->up ? health->fall : health->rise))
        return false;
    if (!health->up && health_hold(health, now_ms))
        return false;
    if (health->up)
        fall(health, now_ms);
    health->up = !health->up;
    health->in_row = 0;
    health->changed = now_ms;
    return true;
}

int64_t health_hold(const struct health *health, int64_t now_ms) {
    return health->falls && health->held > now_ms ? health->held - now_ms : 0;
}
