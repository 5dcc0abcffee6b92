/* Lines of the log that would repeat endlessly: some are written, the rest is counted,
 * and the count is written. */
#ifndef HATLAS_BASE_LIMIT_H
#define HATLAS_BASE_LIMIT_H

#include "base/log.h"

struct log_limit;

enum { LOG_LIMIT_BURST = 20, LOG_LIMIT_WINDOW_S = 60 };

struct log_limit *log_limit_new(void);
void log_limit_free(struct log_limit *limit); /* NULL is fine */

/* Whether a line may be written: of lines with the same message and texts (numbers may
 * differ) the first LOG_LIMIT_BURST within LOG_LIMIT_WINDOW_S. Those that may not are
 * counted. `now` is clock_usec(). */
bool log_limit_pass(struct log_limit *limit, enum log_level level, const char *message,
                    const struct log_field *fields, int64_t now);

/* Writes how many lines were held back, for those whose window is over; to be called from
 * time to time. */
void log_limit_flush(struct log_limit *limit, const struct log *log, int64_t now);

#endif
