/* What all commands share: one table row a command, one table row a flag. */
#ifndef HATLAS_CLI_H
#define HATLAS_CLI_H

#include "base/buffer.h"
#include "base/log.h"
#include "settings/settings.h"

#include <stdbool.h>

/* Exit codes, as of diff(1). */
enum { EXIT_OK = 0, EXIT_DIFFERENT = 1, EXIT_TROUBLE = 2 };

enum { REPEATS_MAX = 16 };

/* One flag. Tables end with a row whose name is NULL. */
struct flag {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* what its value is called; NULL: a switch; with "..." at its end
                          the flag may be repeated */
    size_t offset;     /* in the command's flags, of its bool, of its const char *, or of
                          its const char *[REPEATS_MAX + 1] */
    const char *help;
};

/* Flags that every command has; they come first in the flags of each. */
struct common_flags {
    const char *const *args; /* what is no flag, NULL-terminated */
    size_t arg_count;
    const char *config, *realm, *log_level, *log_format;
    const char *sources[REPEATS_MAX + 1];
    bool help;
};

struct command {
    const char *name;
    const char *arguments; /* what may stand beside flags, for --help; NULL: nothing */
    size_t args_min, args_max;
    const char *summary;
    const char *text;         /* what it does, for --help */
    const char *examples;     /* lines, for --help */
    const struct flag *flags; /* besides the common ones */
    size_t flags_size;
    int (*run)(const void *flags);
};

extern const struct command command_run, command_render, command_diff, command_check,
    command_status, command_reference;
extern const struct command command_ls, command_show, command_create, command_attach,
    command_detach, command_enable, command_disable, command_drain, command_weight,
    command_set, command_rm, command_config, command_export, command_import,
    command_announce;

/* One row a command, NULL-terminated: what --help, completions and man pages tell of. */
extern const struct command *const commands[];
extern const struct flag common_flag_table[];

/* Reads the settings for a command, and the log that they ask for. Prints all that is
 * wrong with them and returns NULL. */
struct settings *cli_settings(const struct common_flags *flags, struct log *log);

/* The same for a process that runs already: what is wrong goes to the log, which is only
 * changed if nothing is. */
struct settings *cli_settings_again(const struct common_flags *flags, struct log *log);

/* Reads a flag's duration, `fallback` milliseconds if it is NULL. Prints what is wrong. */
bool cli_duration(const char *flag, const char *text, int64_t fallback,
                  int64_t *milliseconds);

/* Writes to standard output; what goes wrong is printed. */
bool cli_print(const struct buffer *text);
bool cli_print_json(const json_t *value);

void cli_print_error(const struct error *error);
void cli_print_problems(const struct problems *problems);

#endif
