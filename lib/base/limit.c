/* Lines that repeat: a small table of the kinds of lines that were written lately. */
#include "base/limit.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { KINDS = 128, SECOND = 1000000 };

struct kind {
    uint64_t key; /* 0: free */
    int64_t since;
    size_t written, held;
    enum log_level level;
    char message[128];
};

struct log_limit {
    struct kind kinds[KINDS];
};

struct log_limit *log_limit_new(void) {
    return mem_zalloc(sizeof(struct log_limit));
}

void log_limit_free(struct log_limit *limit) {
    free(limit);
}

/* FNV-1a, with the end of each text. */
static uint64_t mix(uint64_t key, const char *text) {
    for (; text && *text; text++)
        key = (key ^ (uint8_t)*text) * 1099511628211U;
    return (key ^ 0xff) * 1099511628211U;
}

static uint64_t key_of(const char *message, const struct log_field *fields) {
    uint64_t key = mix(14695981039346656037U, message);
    for (const struct log_field *field = fields; field->type != LOG_FIELD_END; field++)
        if (field->type == LOG_FIELD_STR)
            key = mix(key, field->text);
    return key ? key : 1;
}

static bool is_over(const struct kind *kind, int64_t now) {
    return !kind->key || now - kind->since >= LOG_LIMIT_WINDOW_S * (int64_t)SECOND;
}

/* The kind's place, or the best one for a new kind: free, over, or the oldest of those
 * that hold nothing back. NULL if there is none. */
static struct kind *place_for(struct log_limit *limit, uint64_t key, int64_t now) {
    struct kind *best = NULL;
    for (size_t i = 0; i < KINDS; i++) {
        struct kind *kind = &limit->kinds[i];
        if (kind->key == key)
            return kind;
        bool usable = !kind->held;
        if (usable && (!best || (is_over(kind, now) && !is_over(best, now)) ||
                       kind->since < best->since))
            best = kind;
    }
    return best;
}

bool log_limit_pass(struct log_limit *limit, enum log_level level, const char *message,
                    const struct log_field *fields, int64_t now) {
    uint64_t key = key_of(message, fields);
    struct kind *kind = place_for(limit, key, now);
    if (!kind)
        return true;
    if (kind->key != key || (is_over(kind, now) && !kind->held))
        *kind = (struct kind){.key = key, .since = now, .level = level};
    if (kind->written < LOG_LIMIT_BURST) {
        kind->written++;
        return true;
    }
    if (!kind->held++)
        (void)strncat(kind->message, message, sizeof kind->message - 1);
    return false;
}

void log_limit_flush(struct log_limit *limit, const struct log *log, int64_t now) {
    for (size_t i = 0; i < KINDS; i++) {
        struct kind ended = limit->kinds[i];
        if (!is_over(&ended, now))
            continue;
        limit->kinds[i] = (struct kind){0};
        if (ended.held)
            log_line_(log, ended.level, "the same lines were not written again",
                      LOG_STR("line", ended.message), LOG_INT("times", ended.held),
                      LOG_INT("seconds", (now - ended.since) / SECOND));
    }
}
