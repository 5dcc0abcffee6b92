/* What all commands share: one table row a command, one table row a flag. */
#ifndef HATLAS_CLI_H
#define HATLAS_CLI_H

#include "base/log.h"
#include "settings/settings.h"

#include <stdbool.h>

/* Exit codes, as of diff(1). */
enum { EXIT_OK = 0, EXIT_DIFFERENT = 1, EXIT_TROUBLE = 2 };

enum { SOURCES_MAX = 16 };

/* One flag. Tables end with a row whose name is NULL. */
struct flag {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* what its value is called; NULL: a switch */
    size_t offset;     /* of its bool, or of its const char *, in the command's flags */
    const char *help;
};

/* Flags that every command has; they come first in the flags of each. */
struct common_flags {
    const char *config, *realm, *log_level, *log_format;
    const char *sources[SOURCES_MAX + 1];
    bool help;
};

struct command {
    const char *name;
    const char *summary;
    const char *text;         /* what it does, for --help */
    const char *examples;     /* lines, for --help */
    const struct flag *flags; /* besides the common ones */
    size_t flags_size;
    int (*run)(const void *flags);
};

extern const struct command command_run, command_render, command_diff, command_check;

/* Reads the settings for a command, and the log that they ask for. Prints all that is
 * wrong with them and returns NULL. */
struct settings *cli_settings(const struct common_flags *flags, struct log *log);

/* The same for a process that runs already: what is wrong goes to the log, which is only
 * changed if nothing is. */
struct settings *cli_settings_again(const struct common_flags *flags, struct log *log);

void cli_print_error(const struct error *error);
void cli_print_problems(const struct problems *problems);

#endif
