/* Reads HAProxy's configuration language on its own account. */
#include "config.h"

#include <string.h>

/* Where the reader stands. */
struct state {
    struct config_line *line;
    char *out;
    char quote; /* the one it is in, or '\0' */
    bool in_word;
};

static void put(struct state *state, char c) {
    *state->out++ = c;
}

static const char *begin(struct state *state) {
    if (state->in_word)
        return NULL;
    if (state->line->count == CONFIG_WORDS_MAX)
        return "too many words";
    state->line->words[state->line->count++] = state->out;
    state->in_word = true;
    return NULL;
}

static void end(struct state *state) {
    if (state->in_word)
        put(state, '\0');
    state->in_word = false;
}

static const char *escape(struct state *state, char c) {
    switch (c) {
    case 'n':
    case 'r':
    case 't':
    case 'x':
        return "an escape that makes another character";
    default:
        put(state, c);
        return NULL;
    }
}

/* Takes the character at `p`; `*p` moves behind it. */
static const char *step(struct state *state, const char **p, const char *limit) {
    char c = *(*p)++;
    if ((unsigned char)c < ' ' || c == 127)
        return "a control character";
    if (!state->quote && c == ' ') {
        end(state);
        return NULL;
    }
    const char *fault = begin(state);
    if (fault)
        return fault;
    if (c == '\\' && state->quote != '\'') {
        if (*p == limit)
            return "a backslash at the end";
        return escape(state, *(*p)++);
    }
    if (c == '$' && state->quote == '"')
        return "a variable";
    if (c == state->quote)
        state->quote = '\0';
    else if (!state->quote && (c == '"' || c == '\''))
        state->quote = c;
    else
        put(state, c);
    return NULL;
}

const char *config_split(const char *text, size_t len, struct config_line *line) {
    struct state state = {.line = line, .out = line->text};
    const char *p = text;
    const char *limit = text + len;
    line->count = 0;
    line->indented = len && text[0] == ' ';
    if (len >= CONFIG_LINE_MAX)
        return "a line too long";
    while (p < limit && (state.quote || *p != '#')) {
        const char *fault = step(&state, &p, limit);
        if (fault)
            return fault;
    }
    for (; p < limit; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            return "a control character in a comment";
    if (state.quote)
        return "a quote that never ends";
    end(&state);
    return NULL;
}

bool config_is_section(const char *word) {
    static const char *const names[] = {"global",  "defaults", "frontend",    "backend",
                                        "listen",  "userlist", "peers",       "resolvers",
                                        "cache",   "program",  "http-errors", "ring",
                                        "mailers", "fcgi-app", "crt-store"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(word, names[i]))
            return true;
    return false;
}
