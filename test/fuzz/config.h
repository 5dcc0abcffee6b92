/* An independent reader of HAProxy's configuration language (configuration manual, 2.2
 * "Quoting and escaping"): it shares no line with hatlas's own, so that what hatlas quotes
 * and parses is judged by other eyes. */
#ifndef HATLAS_FUZZ_CONFIG_H
#define HATLAS_FUZZ_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_WORDS_MAX = 64, CONFIG_LINE_MAX = 16384 };

/* One line. Starts zeroed; can be used for one line after the other. */
struct config_line {
    bool indented;
    size_t count;
    char *words[CONFIG_WORDS_MAX]; /* valid until the next line */
    char text[CONFIG_LINE_MAX + CONFIG_WORDS_MAX + 1];
};

/* Reads the line at `text`. Returns NULL, or why HAProxy would read it otherwise than it
 * is written, or not at all: hatlas never means a variable, for example. */
const char *config_split(const char *text, size_t len, struct config_line *line);

/* Whether lines of this word begin a section. */
bool config_is_section(const char *word);

#endif
