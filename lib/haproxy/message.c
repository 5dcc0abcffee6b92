/* Picks what matters from HAProxy's standard error. Lines are "[LEVEL] (pid) : text", a
 * text may begin with "config : " and "parsing [file:line] : ", and go on in lines that
 * begin with " | ". */
#include "haproxy/message.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool begins(const char *text, const char *start) {
    return !strncmp(text, start, strlen(start));
}

static bool continues(const char *line) {
    return begins(line + strspn(line, " "), "| ");
}

const char *message_text(const char *line) {
    if (continues(line))
        return strchr(line, '|') + 2;
    const char *end = *line == '[' ? strchr(line, ']') : NULL;
    const char *text = end ? strstr(end, ") : ") : NULL;
    return text ? text + 4 : line;
}

/* Said by the workers at every reload and stop, once a proxy. */
static bool is_routine(const char *text) {
    bool stopped = begins(text, "Proxy ") && strstr(text, " stopped (cumulated conns");
    bool exited = begins(text, "Former worker ") && strstr(text, "exited with code 0");
    return stopped || exited;
}

enum log_level message_level(const char *line, enum log_level previous) {
    if (continues(line))
        return previous;
    if (begins(line, "[ALERT]") || begins(line, "[EMERG]"))
        return LOG_ERROR;
    if (begins(line, "[WARNING]"))
        return is_routine(message_text(line)) ? LOG_DEBUG : LOG_WARNING;
    return begins(line, "[NOTICE]") || begins(line, "[DIAG]") ? LOG_DEBUG : LOG_INFO;
}

bool message_is_alert(const char *line, bool previous) {
    return continues(line) ? previous : message_level(line, LOG_INFO) == LOG_ERROR;
}

/* Closing words that only repeat that there was an error. */
static bool is_noise(const char *text) {
    return begins(text, "Error(s) found in configuration file") ||
           begins(text, "Fatal errors found in configuration");
}

/* One alert: its place, as a run of bytes, and the text without it. */
struct alert {
    const char *place, *text;
    size_t place_len;
};

/* Finds "[file:123]" or "[file:123:…]"; its end is right behind the bracket. */
static const char *find_place(const char *text, struct alert *alert) {
    for (const char *open = strchr(text, '['); open; open = strchr(open + 1, '[')) {
        const char *close = strchr(open, ']');
        if (!close)
            return NULL;
        const char *digits = close;
        while (digits > open && isdigit((unsigned char)digits[-1]))
            digits--;
        if (digits == close || digits - open < 3 || digits[-1] != ':')
            continue;
        alert->place = open + 1;
        alert->place_len = (size_t)(close - open - 1);
        return close + 1;
    }
    return NULL;
}

static struct alert dissect(const char *text) {
    if (begins(text, "config : "))
        text += strlen("config : ");
    struct alert alert = {NULL, text, 0};
    const char *rest = find_place(text, &alert);
    /* A place in the middle of the sentence belongs there. */
    if (rest && (begins(text, "parsing [") || *text == '['))
        alert.text = rest + strspn(rest, " :");
    return alert;
}

/* Joined alerts, and the place of the first that names one. */
struct summary {
    char text[1400];
    char place[512];
    bool alert; /* the line before was an alert */
};

static void append(struct summary *summary, const char *text) {
    size_t len = strlen(summary->text);
    (void)snprintf(summary->text + len, sizeof summary->text - len, "%s", text);
}

static void add_line(struct summary *summary, const char *line) {
    summary->alert = message_is_alert(line, summary->alert);
    const char *text = message_text(line);
    if (!summary->alert || is_noise(dissect(text).text))
        return;
    if (continues(line)) {
        append(summary, " ");
        append(summary, text);
        return;
    }
    struct alert alert = dissect(text);
    if (summary->text[0])
        append(summary, "; ");
    if (alert.place && !summary->place[0]) {
        (void)snprintf(summary->place, sizeof summary->place, "%.*s",
                       (int)alert.place_len, alert.place);
    } else if (alert.place && alert.text != text) {
        char place[512];
        (void)snprintf(place, sizeof place, "%.*s", (int)alert.place_len, alert.place);
        append(summary, place);
        append(summary, ": ");
    }
    append(summary, alert.text);
}

bool message_error(const char *output, const char *where, const char *otherwise,
                   struct error *error) {
    struct summary summary = {.alert = false};
    while (*output) {
        char line[1024];
        size_t len = strcspn(output, "\n");
        (void)snprintf(line, sizeof line, "%.*s", (int)(len < 1023 ? len : 1023), output);
        add_line(&summary, line);
        output += len + (output[len] == '\n');
    }
    return error_set(error, summary.place[0] ? summary.place : where, "%s",
                     summary.text[0] ? summary.text : otherwise);
}
