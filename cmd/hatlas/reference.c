/* hatlas reference: completions and man pages, made of the tables that --help is made of,
 * so that they can't say anything else. */
#include "base/mem.h"
#include "catalog/fields.h"
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- roff --- */

/* A text that is no roff: backslashes, dashes, and what would be a request. */
static void add_roff(const char *text, struct buffer *out) {
    bool at_start = true;
    for (; *text; text++) {
        if (at_start && strchr(".'", *text))
            buffer_puts(out, "\\&");
        at_start = *text == '\n';
        if (*text == '\\')
            buffer_puts(out, "\\e");
        else if (*text == '-')
            buffer_puts(out, "\\-");
        else
            buffer_putc(out, *text);
    }
}

static void add_flags(const struct flag *flag, struct buffer *out) {
    for (; flag && flag->name; flag++) {
        buffer_puts(out, ".TP\n\\fB");
        if (flag->letter)
            buffer_printf(out, "\\-%c\\fR, \\fB", flag->letter);
        buffer_puts(out, "\\-\\-");
        add_roff(flag->name, out);
        buffer_puts(out, "\\fR");
        if (flag->value) {
            buffer_puts(out, " \\fI");
            add_roff(flag->value, out);
            buffer_puts(out, "\\fR");
        }
        buffer_putc(out, '\n');
        add_roff(flag->help, out);
        buffer_putc(out, '\n');
    }
}

static void add_command(const struct command *command, struct buffer *out) {
    buffer_printf(out, ".SS hatlas %s\n\\fBhatlas %s\\fR [\\fIflags\\fR]", command->name,
                  command->name);
    if (command->arguments) {
        buffer_puts(out, " \\fI");
        add_roff(command->arguments, out);
        buffer_puts(out, "\\fR");
    }
    buffer_puts(out, "\n.PP\n");
    add_roff(command->text, out);
    buffer_puts(out, "\n");
    add_flags(command->flags, out);
    buffer_puts(out, ".PP\n.nf\n");
    add_roff(command->examples, out);
    buffer_puts(out, ".fi\n");
}

static void write_commands(struct buffer *out) {
    for (size_t i = 0; commands[i]; i++)
        add_command(commands[i], out);
    buffer_puts(out, ".SH COMMON FLAGS\nEvery command has these.\n");
    add_flags(common_flag_table, out);
}

/* --- settings as roff --- */

static const char *type_name(const struct schema *row) {
    switch (row->type) {
    case SCHEMA_BOOL:
        return "true or false";
    case SCHEMA_INT:
        return "whole number";
    case SCHEMA_NAME:
        return "name";
    case SCHEMA_HOST:
        return "host";
    case SCHEMA_ADDRESS:
        return "address";
    case SCHEMA_PATH:
    case SCHEMA_URI_PATH:
        return "path";
    case SCHEMA_DURATION:
        return "duration";
    case SCHEMA_PERCENT:
        return "percent";
    case SCHEMA_LIST_OF_TEXT:
    case SCHEMA_LIST_OF_NAMES:
    case SCHEMA_LIST_OF_OBJECTS:
        return "list";
    case SCHEMA_OBJECT:
    case SCHEMA_MAP_OF_TEXT:
    case SCHEMA_MAP_OF_OBJECTS:
        return "object";
    default:
        return "text";
    }
}

static void add_type(const struct schema *row, struct buffer *out) {
    if (!row->choices)
        buffer_puts(out, type_name(row));
    for (size_t i = 0; row->choices && row->choices[i]; i++) {
        buffer_puts(out, i ? " | " : "");
        add_roff(row->choices[i], out);
    }
    if (row->required)
        buffer_puts(out, "; required");
    if (row->fallback && !row->rows) {
        buffer_puts(out, "; default ");
        add_roff(row->fallback, out);
    }
}

static void add_keys(const struct schema *row, const char *prefix, struct buffer *out) {
    for (; row && row->name; row++) {
        char *name = mem_printf("%s%s%s", prefix, *prefix ? "." : "", row->name);
        buffer_puts(out, ".TP\n\\fB");
        add_roff(name, out);
        buffer_puts(out, "\\fR (");
        add_type(row, out);
        buffer_puts(out, ")\n");
        add_roff(row->text ? row->text : "", out);
        buffer_puts(out, "\n");
        add_keys(row->rows, name, out);
        free(name);
    }
}

static void write_keys(struct buffer *out) {
    buffer_puts(out, ".SH KEYS\nA key inside a list is written without its index.\n");
    add_keys(settings_schema, "", out);
    buffer_puts(out,
                ".SH FIELDS OF A SERVICE\nFor services.defaults, services.overrides, "
                "cluster files and the registry.\n");
    add_keys(service_schema, "", out);
    buffer_puts(out, ".SH FIELDS OF A HOST\n");
    add_keys(host_schema, "", out);
}

/* --- what completions ask of a command --- */

static bool begins_with_service(const struct command *command) {
    return command->arguments &&
           !strncmp(command->arguments + (command->arguments[0] == '['), "SERVICE", 7);
}

/* The fields that its words FIELD=VALUE may set: one table, two, or none. */
static void add_fields(const struct command *command, struct buffer *out) {
    if (!command->arguments || !strstr(command->arguments, "FIELD=VALUE"))
        return;
    bool host = strstr(command->arguments, "HOST");
    bool service = !strstr(command->arguments, "HOST:PORT");
    for (const struct schema *row = service_schema; service && row->name; row++)
        buffer_printf(out, "%s= ", row->name);
    for (const struct schema *row = host_schema; host && row->name; row++)
        if (!service || !schema_find(service_schema, row->name))
            buffer_printf(out, "%s= ", row->name);
}

static bool takes_file(const struct flag *flag) {
    return flag->value &&
           (!strncmp(flag->value, "FILE", 4) || !strcmp(flag->value, "DIR"));
}

/* --- bash --- */

typedef bool flag_filter(const struct flag *flag);

static bool is_any(const struct flag *flag) {
    return flag->name;
}

static bool takes_value(const struct flag *flag) {
    return flag->value && !takes_file(flag);
}

static void add_names(const struct command *command, flag_filter *wanted,
                      const char *between, struct buffer *out) {
    const struct flag *const tables[] = {command->flags, common_flag_table};
    const char *separator = "";
    for (size_t i = 0; i < 2; i++)
        for (const struct flag *flag = tables[i]; flag && flag->name; flag++) {
            if (!wanted(flag))
                continue;
            buffer_printf(out, "%s--%s", separator, flag->name);
            separator = between;
            if (flag->letter && wanted != is_any)
                buffer_printf(out, "%s-%c", between, flag->letter);
        }
}

static void add_bash_command(const struct command *command, struct buffer *out) {
    buffer_printf(out, "    %s)\n        flags='", command->name);
    add_names(command, is_any, " ", out);
    buffer_puts(out, "'\n        files=' ");
    add_names(command, takes_file, " ", out);
    buffer_puts(out, " '\n        values=' ");
    add_names(command, takes_value, " ", out);
    buffer_puts(out, " '\n        fields='");
    add_fields(command, out);
    buffer_printf(out, "'\n        services=%s\n        ;;\n",
                  begins_with_service(command) ? "yes" : "");
}

static void write_bash(struct buffer *out) {
    buffer_puts(out, "# bash completion for hatlas, made by 'hatlas reference bash'\n"
                     "_hatlas() {\n"
                     "    local cur=${COMP_WORDS[COMP_CWORD]}\n"
                     "    local prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                     "    local flags files values fields services words=\n"
                     "    COMPREPLY=()\n"
                     "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; commands[i]; i++)
        add_bash_command(commands[i], out);
    buffer_puts(out, "    esac\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='");
    for (size_t i = 0; commands[i]; i++)
        buffer_printf(out, "%s ", commands[i]->name);
    buffer_puts(out,
                "--help --version'\n"
                "    elif [[ $files == *\" $prev \"* ]]; then\n"
                "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                "        return\n"
                "    elif [[ $values == *\" $prev \"* ]]; then\n"
                "        return\n"
                "    elif [[ $cur == -* ]]; then\n"
                "        words=$flags\n"
                "    elif [ \"$COMP_CWORD\" -eq 2 ] && [ -n \"$services\" ]; then\n"
                "        words=$(\"${COMP_WORDS[0]}\" ls --timeout 2s 2>/dev/null |\n"
                "            awk 'NR > 1 { print $1 }')\n"
                "    elif [ -n \"$fields\" ]; then\n"
                "        words=$fields\n"
                "        compopt -o nospace 2>/dev/null\n"
                "    else\n"
                "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                "        return\n"
                "    fi\n"
                "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                "}\n"
                "complete -F _hatlas hatlas\n");
}

/* --- zsh --- */

/* A text within single quotes and brackets of _arguments. */
static void add_zsh(const char *text, struct buffer *out) {
    for (; *text; text++) {
        if (*text == '\'')
            buffer_puts(out, "'\\''");
        else if (strchr("[]:\\", *text))
            buffer_printf(out, "\\%c", *text);
        else if (*text == '\n')
            buffer_putc(out, ' ');
        else
            buffer_putc(out, *text);
    }
}

static void add_zsh_flags(const struct flag *flag, struct buffer *out) {
    for (; flag && flag->name; flag++) {
        bool repeated = flag->value && strstr(flag->value, "...");
        buffer_printf(out, "            '%s--%s%s[", repeated ? "*" : "", flag->name,
                      flag->value ? "=" : "");
        add_zsh(flag->help, out);
        buffer_puts(out, "]");
        if (flag->value) {
            buffer_puts(out, ":");
            add_zsh(flag->value, out);
            buffer_puts(out, takes_file(flag) ? ":_files" : ":");
        }
        buffer_puts(out, "' \\\n");
    }
}

static void add_zsh_command(const struct command *command, struct buffer *out) {
    buffer_printf(out, "    %s)\n        _arguments \\\n", command->name);
    add_zsh_flags(command->flags, out);
    add_zsh_flags(common_flag_table, out);
    if (begins_with_service(command))
        buffer_puts(out, "            '1:service:_hatlas_services' \\\n");
    struct buffer fields = BUFFER_INIT;
    add_fields(command, &fields);
    if (fields.len)
        buffer_printf(out, "            '*:field:(%s)'\n", buffer_str(&fields));
    else
        buffer_puts(out, "            '*:argument:_files'\n");
    buffer_puts(out, "        ;;\n");
    buffer_free(&fields);
}

static void write_zsh(struct buffer *out) {
    buffer_puts(out, "#compdef hatlas\n# zsh completion, made by 'hatlas reference zsh'\n"
                     "_hatlas_services() {\n"
                     "    local -a services\n"
                     "    services=(${(f)\"$(hatlas ls --timeout 2s 2>/dev/null |\n"
                     "        awk 'NR > 1 { print $1 }')\"})\n"
                     "    compadd -a services\n"
                     "}\n\n_hatlas() {\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; commands[i]; i++) {
        buffer_printf(out, "        '%s:", commands[i]->name);
        add_zsh(commands[i]->summary, out);
        buffer_puts(out, "'\n");
    }
    buffer_puts(out, "    )\n    if (( CURRENT == 2 )); then\n"
                     "        _describe command commands\n        return\n    fi\n"
                     "    local command=$words[2]\n"
                     "    shift words\n    (( CURRENT-- ))\n    case $command in\n");
    for (size_t i = 0; commands[i]; i++)
        add_zsh_command(commands[i], out);
    buffer_puts(out, "    esac\n}\n\n_hatlas \"$@\"\n");
}

/* --- the command --- */

static const struct {
    const char *name;
    void (*write)(struct buffer *out);
} kinds[] = {
    {"bash", write_bash},
    {"zsh", write_zsh},
    {"man-commands", write_commands},
    {"man-settings", write_keys},
};

struct reference_flags {
    struct common_flags common;
};

static int run(const void *command_flags) {
    const struct reference_flags *flags = command_flags;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strcmp(kinds[i].name, flags->common.args[0])) {
            struct buffer text = BUFFER_INIT;
            kinds[i].write(&text);
            bool done = cli_print(&text);
            buffer_free(&text);
            return done ? EXIT_OK : EXIT_TROUBLE;
        }
    (void)fprintf(stderr,
                  "hatlas reference: expected bash, zsh, man-commands or "
                  "man-settings, found '%s'\n",
                  flags->common.args[0]);
    return EXIT_TROUBLE;
}

const struct command command_reference = {
    .name = "reference",
    .arguments = "bash | zsh | man-commands | man-settings",
    .args_min = 1,
    .args_max = 1,
    .summary = "print shell completions, or the tables of the man pages",
    .text = "Prints what an install puts in its place: the completions of bash and zsh, "
            "and the\nparts of hatlas(1) and hatlas.yaml(5) that list commands and keys.",
    .examples = "  . <(hatlas reference bash)\n"
                "  hatlas reference zsh > ~/.zfunc/_hatlas\n",
    .flags_size = sizeof(struct reference_flags),
    .run = run,
};
