/* hatlas run: the sidecar. */
#include "agent/agent.h"
#include "cli.h"
#include "differ.h"

#include <signal.h>
#include <stdio.h>

struct run_flags {
    struct common_flags common;
    bool dry_run, once;
};

#define FLAG(field) offsetof(struct run_flags, field)

static const struct flag flags_table[] = {
    {"dry-run", 'n', NULL, FLAG(dry_run), "print each diff instead of applying it"},
    {"once", 0, NULL, FLAG(once), "apply once, then leave"},
    {0},
};

static void show(void *arg, const struct outputs *old, const struct outputs *new) {
    struct error error;
    (void)arg;
    if (differ_show(old, new, &error) == EXIT_TROUBLE)
        cli_print_error(&error);
}

static int run(const void *command_flags) {
    const struct run_flags *flags = command_flags;
    struct log log;
    struct error error = {0};
    struct settings *settings = cli_settings(&flags->common, &log);
    if (!settings)
        return EXIT_TROUBLE;
    /* A peer that goes away is an error of a write, not the end of this process. */
    (void)signal(SIGPIPE, SIG_IGN);
    struct agent_options options = {
        .once = flags->once,
        .show = flags->dry_run ? show : NULL,
    };
    bool done = agent_run(settings, &log, &options, &error);
    if (!done)
        cli_print_error(&error);
    settings_free(settings);
    return done ? EXIT_OK : EXIT_TROUBLE;
}

const struct command command_run = {
    .name = "run",
    .summary = "keep HAProxy in step with the registry, for ever",
    .text = "Watches the registry, renders the outputs and applies them: writes files, "
            "reloads "
            "HAProxy.\nSignals: SIGTERM and SIGINT stop, SIGHUP renders again with the "
            "templates as they are\nnow, SIGUSR1 logs the state.",
    .examples =
        "  hatlas run\n"
        "  hatlas run --source zookeeper:zk1:2181,zk2:2181/atlas --realm production\n"
        "  hatlas run --dry-run\n",
    .flags = flags_table,
    .flags_size = sizeof(struct run_flags),
    .run = run,
};
