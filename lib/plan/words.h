/* One line of HAProxy's config as words (configuration manual, 2.2 "Quoting and
 * escaping"). */
#ifndef HATLAS_PLAN_WORDS_H
#define HATLAS_PLAN_WORDS_H

#include "base/buffer.h"

#include <stdbool.h>

/* HAProxy refuses lines of more words. */
enum { WORDS_MAX = 64 };

/* A part of a text, without its newline. */
struct line {
    const char *text;
    size_t len;
};

/* Starts zeroed; can be used for one line after the other. */
struct words {
    const char *at[WORDS_MAX]; /* valid until the next split */
    size_t count;
    bool expands; /* a variable of the environment stands in it: "$NAME" */
    bool odd;     /* HAProxy would refuse it, or it is not known how it would read it */
    struct buffer text;
};

/* Splits the line: quotes and escapes are resolved, a comment is left out. */
void words_split(struct words *words, const struct line *line);
void words_free(struct words *words);

/* Whether both lines mean the same, wherever and whenever HAProxy reads them. */
bool words_same(struct words *a, struct words *b, const struct line *x,
                const struct line *y);

/* The first word of the line as it stands there, up to a blank, '#' or the end. */
struct line line_first_word(const struct line *line);

/* Whether a word stands there as HAProxy reads it: without quotes and escapes. */
bool line_is_plain(const struct line *word);

bool line_equal(const struct line *a, const struct line *b);
bool line_is(const struct line *line, const char *text);

#endif
