/* hatlas: finds the command, reads its flags, runs it. */
#include "base/mem.h"
#include "base/text.h"
#include "cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command *const commands[] = {
    &command_run,       &command_render,
    &command_diff,      &command_check,
    &command_status,    &command_ls,
    &command_show,      &command_create,
    &command_set,       &command_rm,
    &command_attach,    &command_detach,
    &command_enable,    &command_drain,
    &command_disable,   &command_weight,
    &command_config,    &command_export,
    &command_import,    &command_announce,
    &command_reference, NULL,
};

enum { COMMANDS = sizeof commands / sizeof commands[0] - 1, FLAGS_MAX = 32 };

#define COMMON(field) offsetof(struct common_flags, field)

const struct flag common_flag_table[] = {
    {"config", 'c', "FILE", COMMON(config),
     "settings (default: /etc/hatlas/hatlas.yaml if it is there)"},
    {"source", 's', "SOURCE...", COMMON(sources),
     "file:PATH or zookeeper:HOSTS/ROOT instead of the settings' sources; may be "
     "repeated"},
    {"realm", 0, "NAME", COMMON(realm), "realm: local, testing, production, ..."},
    {"log-level", 0, "LEVEL", COMMON(log_level), "error, warning, notice, info or debug"},
    {"log-format", 0, "FORMAT", COMMON(log_format), "logfmt or json"},
    {"help", 'h', NULL, COMMON(help), "this text"},
    {0},
};

static void print_flags(const struct flag *flags) {
    for (; flags && flags->name; flags++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s%s%s", flags->name,
                       flags->value ? " " : "", flags->value ? flags->value : "");
        if (flags->letter)
            printf("  -%c, %-22s %s\n", flags->letter, left, flags->help);
        else
            printf("      %-22s %s\n", left, flags->help);
    }
}

static void print_command_help(const struct command *command) {
    printf("Usage: hatlas %s [flags]%s%s\n\n%s\n\nExamples:\n%s\nFlags:\n", command->name,
           command->arguments ? " " : "", command->arguments ? command->arguments : "",
           command->text, command->examples);
    print_flags(command->flags);
    print_flags(common_flag_table);
}

static void print_help(void) {
    printf(
        "hatlas keeps a local HAProxy in step with a service registry in ZooKeeper.\n\n"
        "Usage: hatlas COMMAND [flags]\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n'hatlas COMMAND --help' explains a command. 'hatlas --version' names the "
           "version.\nExit codes: 0 fine, 1 differences (diff), 2 error.\n");
}

static int usage_error(const struct command *command) {
    (void)fprintf(stderr, "hatlas: see 'hatlas%s%s --help'\n", command ? " " : "",
                  command ? command->name : "");
    return EXIT_TROUBLE;
}

static bool is_repeated(const struct flag *flag) {
    size_t len = strlen(flag->value);
    return len > 3 && !strcmp(flag->value + len - 3, "...");
}

static bool set_flag(const struct flag *flag, void *flags) {
    char *target = (char *)flags + flag->offset;
    if (!flag->value) {
        *(bool *)target = true;
    } else if (!is_repeated(flag)) {
        *(const char **)target = optarg;
    } else {
        const char **values = (const char **)target;
        size_t count = 0;
        while (values[count])
            count++;
        if (count == REPEATS_MAX) {
            (void)fprintf(stderr, "hatlas: --%s more than %d times\n", flag->name,
                          REPEATS_MAX);
            return false;
        }
        values[count] = optarg;
    }
    return true;
}

/* The rows of both tables, side by side with what getopt_long(3) wants. */
struct parser {
    const struct flag *rows[FLAGS_MAX];
    struct option options[FLAGS_MAX + 1];
    char letters[2 * FLAGS_MAX + 2];
    int count;
};

static void add_rows(struct parser *parser, const struct flag *rows) {
    for (; rows && rows->name && parser->count < FLAGS_MAX; rows++) {
        int has_arg = rows->value ? required_argument : no_argument;
        parser->options[parser->count] =
            (struct option){rows->name, has_arg, NULL, 256 + parser->count};
        parser->rows[parser->count++] = rows;
        if (rows->letter) {
            char *end = parser->letters + strlen(parser->letters);
            *end++ = rows->letter;
            if (rows->value)
                *end = ':';
        }
    }
}

static const struct flag *find_row(const struct parser *parser, int found) {
    if (found >= 256)
        return parser->rows[found - 256];
    for (int i = 0; i < parser->count; i++)
        if (parser->rows[i]->letter == found)
            return parser->rows[i];
    return NULL;
}

static bool good_arguments(const struct command *command,
                           const struct common_flags *common) {
    if (common->arg_count > command->args_max)
        (void)fprintf(stderr, "hatlas %s: unexpected argument '%s'\n", command->name,
                      common->args[command->args_max]);
    else if (common->arg_count < command->args_min)
        (void)fprintf(stderr, "hatlas %s: expected %s\n", command->name,
                      command->arguments);
    else
        return true;
    return false;
}

static bool parse_flags(const struct command *command, int argc, char **argv,
                        void *flags) {
    struct common_flags *common = flags;
    struct parser parser = {.count = 0};
    int found;
    add_rows(&parser, command->flags);
    add_rows(&parser, common_flag_table);
    while ((found = getopt_long(argc, argv, parser.letters, parser.options, NULL)) !=
           -1) {
        const struct flag *row = find_row(&parser, found);
        if (!row || !set_flag(row, flags))
            return false;
    }
    common->args = (const char *const *)(argv + optind);
    common->arg_count = (size_t)(argc - optind);
    return common->help || good_arguments(command, common);
}

static int run_command(const struct command *command, int argc, char **argv) {
    void *flags = mem_zalloc(command->flags_size);
    int code = EXIT_OK;
    if (!parse_flags(command, argc, argv, flags))
        code = usage_error(command);
    else if (((struct common_flags *)flags)->help)
        print_command_help(command);
    else
        code = command->run(flags);
    free(flags);
    if (fflush(stdout) != 0 && code == EXIT_OK)
        code = EXIT_TROUBLE;
    return code;
}

static int unknown_command(const char *name) {
    const char *names[COMMANDS + 1] = {0};
    for (int i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *nearest = text_nearest(name, names);
    (void)fprintf(stderr, "hatlas: unknown command '%s'%s%s%s\n", name,
                  nearest ? "; did you mean '" : "", nearest ? nearest : "",
                  nearest ? "'?" : "");
    return usage_error(NULL);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "--help";
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help();
        return argc > 1 ? EXIT_OK : EXIT_TROUBLE;
    }
    if (!strcmp(name, "--version") || !strcmp(name, "version")) {
        printf("hatlas %s\n", HATLAS_VERSION);
        return EXIT_OK;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i]->name, name))
            return run_command(commands[i], argc - 1, argv + 1);
    return unknown_command(name);
}
