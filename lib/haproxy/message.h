/* What HAProxy says on standard error: levels, places and the message that matters. Pure
 * functions. */
#ifndef HATLAS_HAPROXY_MESSAGE_H
#define HATLAS_HAPROXY_MESSAGE_H

#include "base/error.h"
#include "base/log.h"

/* The level at which a line of HAProxy belongs into our log. A line that continues the
 * one before ("   | …") has its level, `previous`. What every reload says is only debug.
 */
enum log_level message_level(const char *line, enum log_level previous);

/* Returns the line without "[ALERT]    (123) : ", pointing into it. */
const char *message_text(const char *line);

/* Whether the line is an alert, or continues one. */
bool message_is_alert(const char *line, bool previous);

/* Sets the error from HAProxy's output: its alerts, without the noise around them. The
 * place is the file:line of the first that names one, else `where`. An output without any
 * alert gives `otherwise`. Returns false. */
bool message_error(const char *output, const char *where, const char *otherwise,
                   struct error *error);

#endif
