/* Log lines: one line an event, logfmt or JSON, on standard error. */
#ifndef HATLAS_BASE_LOG_H
#define HATLAS_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* Levels have the numbers of syslog(3), which journald reads from a "<N>" prefix
 * (sd-daemon(3)). */
enum log_level {
    LOG_ERROR = 3,
    LOG_WARNING = 4,
    LOG_NOTICE = 5,
    LOG_INFO = 6,
    LOG_DEBUG = 7
};
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_limit;

struct log {
    int fd; /* where lines go; -1 for nowhere */
    enum log_level level;
    enum log_format format;
    bool journal;            /* prefix lines with <level>, leave the time out */
    struct log_limit *limit; /* of what is a notice or worse (limit.h); NULL: none */
};

/* One key=value of a line. Build with LOG_STR and friends. */
struct log_field {
    const char *key;
    enum { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_USEC } type;
    const char *text;
    int64_t number;
};

#define LOG_STR(key, value) ((struct log_field){(key), LOG_FIELD_STR, (value), 0})
#define LOG_INT(key, value)                                                              \
    ((struct log_field){(key), LOG_FIELD_INT, 0, (int64_t)(value)})
/* Microseconds, written as milliseconds with three decimals. */
#define LOG_USEC(key, value)                                                             \
    ((struct log_field){(key), LOG_FIELD_USEC, 0, (int64_t)(value)})

/* Writes one line in one write(2). `fields` ends with a zeroed one; a NULL string value
 * leaves its field out. Values are quoted so that none can forge a second line or field.
 */
void log_write(const struct log *log, enum log_level level, const char *message,
               const struct log_field *fields);

#define LOG_FIELDS_(...) ((struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define log_error(log, ...) log_line_(log, LOG_ERROR, __VA_ARGS__)
#define log_warning(log, ...) log_line_(log, LOG_WARNING, __VA_ARGS__)
#define log_notice(log, ...) log_line_(log, LOG_NOTICE, __VA_ARGS__)
#define log_info(log, ...) log_line_(log, LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_line_(log, LOG_DEBUG, __VA_ARGS__)
#define log_line_(log, level, message, ...)                                              \
    log_write(log, level, message, LOG_FIELDS_(__VA_ARGS__))

/* Reads "error", "warning", "notice", "info" or "debug". */
bool log_level_parse(const char *text, enum log_level *level);

#endif
