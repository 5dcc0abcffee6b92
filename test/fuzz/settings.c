/* hatlas.yaml, and behind a line "%%%" the words of --source, a line each: settings or
 * reasons, and what the rest of the program makes of them. */
#include "settings/settings.h"
#include "agent/setup.h"
#include "base/text.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { FLAGS_MAX = 4 };

static void check_source(const struct source_settings *source) {
    fuzz_require(!source->file != !source->hosts, "a source of no or of two kinds");
    fuzz_require(source->session_timeout > 0, "no session time-out");
    if (!source->hosts)
        return;
    fuzz_require(source->hosts[0] && !strpbrk(source->hosts, "/ "), "hosts \"%s\"",
                 source->hosts);
    for (const char *host = source->hosts; host; host = strchr(host, ',')) {
        host += *host == ',';
        fuzz_require(memchr(host, ':', strcspn(host, ",")), "no port in \"%s\"",
                     source->hosts);
    }
    const char *paths[] = {source->root, source->chroot};
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(paths[i]);
        fuzz_require(!len || (paths[i][0] == '/' && paths[i][len - 1] != '/' &&
                              !strstr(paths[i], "//")),
                     "path \"%s\"", paths[i]);
    }
}

static void check_settings(const struct settings *settings) {
    json_t *globals = NULL;
    for (size_t i = 0; i < settings->source_count; i++)
        check_source(&settings->sources[i]);
    for (size_t i = 0; i < settings->output_count; i++)
        fuzz_require(settings->outputs[i].path && settings->outputs[i].template,
                     "an output without a path or a template");
    struct renderer *renderer = setup_renderer(settings, NULL, &globals);
    fuzz_require(renderer && json_is_object(globals), "no renderer of good settings");
    renderer_free(renderer);
    json_decref(globals);
}

/* Takes the lines of the text apart, in place. */
static void take_lines(char *text, const char **lines) {
    size_t count = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line && count < FLAGS_MAX;
         line = strtok_r(NULL, "\n", &rest))
        lines[count++] = line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *parts[2];
    const char *sources[FLAGS_MAX + 1] = {NULL};
    struct problems problems = {0};
    fuzz_split(data, size, parts, 2);
    take_lines(parts[1], sources);
    struct settings_flags flags = {.sources = sources[0] ? sources : NULL};
    struct settings *settings =
        settings_parse(parts[0], strlen(parts[0]), "hatlas.yaml", &flags, &problems);
    fuzz_require(!settings || !problems.count, "settings in spite of a problem");
    if (settings)
        check_settings(settings);
    fuzz_require_problems(&problems, !settings);
    settings_free(settings);
    free(parts[0]);
    free(parts[1]);
    return 0;
}
