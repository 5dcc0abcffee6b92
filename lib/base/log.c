/* Log lines. */
#include "base/log.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/limit.h"
#include "base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {{"error", LOG_ERROR},
              {"warning", LOG_WARNING},
              {"notice", LOG_NOTICE},
              {"info", LOG_INFO},
              {"debug", LOG_DEBUG}};

bool log_level_parse(const char *text, enum log_level *level) {
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (!strcmp(levels[i].name, text)) {
            *level = levels[i].level;
            return true;
        }
    return false;
}

static const char *level_name(enum log_level level) {
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (levels[i].level == level)
            return levels[i].name;
    return "info";
}

static void now(char *out, size_t size) {
    struct timespec t;
    struct tm tm;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    (void)gmtime_r(&t.tv_sec, &tm);
    char day[32];
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out, size, "%s.%03ldZ", day, t.tv_nsec / 1000000);
}

static void put_value(struct buffer *line, const char *text) {
    char safe[4096];
    text_printable(text, safe, sizeof safe);
    if (safe[0] && !strpbrk(safe, " =\"\\")) {
        buffer_puts(line, safe);
        return;
    }
    buffer_putc(line, '"');
    for (const char *c = safe; *c; c++) {
        if (*c == '"' || *c == '\\')
            buffer_putc(line, '\\');
        buffer_putc(line, *c);
    }
    buffer_putc(line, '"');
}

static void put_logfmt(struct buffer *line, const char *time, enum log_level level,
                       const char *message, const struct log_field *fields) {
    if (time[0])
        buffer_printf(line, "time=%s ", time);
    buffer_printf(line, "level=%s msg=", level_name(level));
    put_value(line, message);
    for (const struct log_field *f = fields; f->type != LOG_FIELD_END; f++) {
        if (f->type == LOG_FIELD_STR && !f->text)
            continue;
        buffer_printf(line, " %s=", f->key);
        if (f->type == LOG_FIELD_STR)
            put_value(line, f->text);
        else if (f->type == LOG_FIELD_INT)
            buffer_printf(line, "%lld", (long long)f->number);
        else
            buffer_printf(line, "%.3f", (double)f->number / 1000.0);
    }
}

static json_t *json_text(const char *text) {
    char safe[4096];
    return json_string(text_printable(text, safe, sizeof safe));
}

static void put_json(struct buffer *line, const char *time, enum log_level level,
                     const char *message, const struct log_field *fields) {
    json_t *object = json_object();
    if (time[0])
        json_object_set_new(object, "time", json_string(time));
    json_object_set_new(object, "level", json_string(level_name(level)));
    json_object_set_new(object, "msg", json_text(message));
    for (const struct log_field *f = fields; f->type != LOG_FIELD_END; f++) {
        if (f->type == LOG_FIELD_STR && f->text)
            json_object_set_new(object, f->key, json_text(f->text));
        else if (f->type == LOG_FIELD_INT)
            json_object_set_new(object, f->key, json_integer(f->number));
        else if (f->type == LOG_FIELD_USEC)
            json_object_set_new(object, f->key, json_real((double)f->number / 1000.0));
    }
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));
    buffer_puts(line, text ? text : "{}");
    free(text);
    json_decref(object);
}

void log_write(const struct log *log, enum log_level level, const char *message,
               const struct log_field *fields) {
    if (!log || log->fd < 0 || level > log->level)
        return;
    if (log->limit && level <= LOG_NOTICE &&
        !log_limit_pass(log->limit, level, message, fields, clock_usec()))
        return;
    struct buffer line = BUFFER_INIT;
    char time[48] = "";
    if (log->journal)
        buffer_printf(&line, "<%d>", (int)level);
    else
        now(time, sizeof time);
    if (log->format == LOG_JSON)
        put_json(&line, time, level, message, fields);
    else
        put_logfmt(&line, time, level, message, fields);
    buffer_putc(&line, '\n');
    /* A log that can't be written has nowhere to be reported. */
    ssize_t written = write(log->fd, line.data, line.len);
    (void)written;
    buffer_free(&line);
}
