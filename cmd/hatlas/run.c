/* hatlas run: the sidecar. */
#include "agent/agent.h"
#include "base/limit.h"
#include "cli.h"
#include "differ.h"

#include <malloc.h>
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

struct sidecar {
    const struct common_flags *flags;
    struct log log;
    const struct settings *settings;
};

static struct settings *reread(void *arg) {
    struct sidecar *sidecar = arg;
    struct log_limit *limit = sidecar->log.limit;
    struct settings *settings = cli_settings_again(sidecar->flags, &sidecar->log);
    sidecar->log.limit = limit;
    return settings;
}

static void show(void *arg, const struct outputs *old, const struct outputs *new) {
    const struct sidecar *sidecar = arg;
    struct error error;
    struct plan *plan = differ_plan(sidecar->settings, old, new);
    int code = differ_show(old, new, &error);
    if (code == EXIT_TROUBLE)
        cli_print_error(&error);
    else if (code == EXIT_DIFFERENT && plan)
        differ_print_plan(plan);
    (void)fflush(stdout);
    plan_free(plan);
}

/* Large texts that come and go (HAProxy's answers, renderings) go back to the system:
 * left alone, malloc learns from the first of them to keep such sizes in the heap, which
 * grew a process of 10 MB to 14. In the heap they leave holes that small ones then cut up
 * (mallopt(3), M_MMAP_THRESHOLD). */
static void keep_memory_small(void) {
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

static int run(const void *command_flags) {
    const struct run_flags *flags = command_flags;
    struct sidecar sidecar = {.flags = &flags->common};
    struct error error = {0};
    struct settings *settings = cli_settings(&flags->common, &sidecar.log);
    if (!settings)
        return EXIT_TROUBLE;
    sidecar.settings = settings;
    /* A peer that goes away is an error of a write, not the end of this process. */
    (void)signal(SIGPIPE, SIG_IGN);
    keep_memory_small();
    sidecar.log.limit = log_limit_new();
    struct agent_options options = {
        .once = flags->once,
        .show = flags->dry_run ? show : NULL,
        .reread = reread,
        .arg = &sidecar,
    };
    bool done = agent_run(settings, &sidecar.log, &options, &error);
    if (!done)
        cli_print_error(&error);
    log_limit_free(sidecar.log.limit);
    settings_free(settings);
    return done ? EXIT_OK : EXIT_TROUBLE;
}

const struct command command_run = {
    .name = "run",
    .summary = "keep HAProxy in step with the registry, for ever",
    .text = "Watches the registry, renders the outputs and applies them: writes files, "
            "tells\nHAProxy: by its Runtime API where that is enough, else by a graceful "
            "reload.\nSignals: SIGTERM and SIGINT stop (twice: at once), SIGHUP reads "
            "settings and templates\nagain, SIGUSR1 logs the state.",
    .examples =
        "  hatlas run\n"
        "  hatlas run --source zookeeper:zk1:2181,zk2:2181/atlas --realm production\n"
        "  hatlas run --dry-run\n",
    .flags = flags_table,
    .flags_size = sizeof(struct run_flags),
    .run = run,
};
