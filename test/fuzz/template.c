/* Any template of one of three kinds (its length decides), rendered from a small catalog:
 * text or an error with a place, in bounded time and memory. */
#include "base/file.h"
#include "catalog/text.h"
#include "fuzz.h"
#include "render/compile.h"
#include "render/render.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char cluster[] =
    "services:\n"
    "  teams: {check: {path: /health}, aliases: [crews], config: {A: b}, hosts: [\n"
    "    {host: 10.0.0.1, port: 80, weight: 3, zone: a, labels: {k: v}},\n"
    "    {id: 'x y', host: host-2, port: 81, enabled: false}]}\n"
    "  mail: {mode: tcp, port: 2525, hosts: [{host: '::1', port: 25, backup: true}]}\n";

static const struct catalog *get_catalog(void) {
    static const struct catalog *catalog;
    struct problems problems = {0};
    if (!catalog)
        catalog = catalog_read(cluster, sizeof cluster - 1, "c", NULL, &problems);
    fuzz_require(catalog && !problems.count, "the catalog of the test is bad");
    return catalog;
}

static void put(const char *name, const void *text, size_t len) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    FILE *file = fopen(path, "wb");
    fuzz_require(file && fwrite(text, 1, len, file) == len && !fclose(file),
                 "can't write %s", path);
}

static void check_text(const struct buffer *out, bool config) {
    if (!out->len)
        return;
    fuzz_require(!memchr(out->data, '\0', out->len), "a NUL in the text");
    fuzz_require(!config || out->data[out->len - 1] == '\n', "no newline at the end");
}

static void render(const char *name, bool config) {
    const char *dirs[] = {fuzz_folder(), NULL};
    json_t *globals =
        json_pack("{s:s,s:{s:s,s:n},s:{s:s,s:[i,s]}}", "realm", "local", "node", "name",
                  "n1", "zone", "vars", "a", "b", "list", 1, "x");
    struct render_options options = {.dirs = dirs, .globals = globals};
    struct renderer *renderer = renderer_new(&options);
    struct buffer out = BUFFER_INIT;
    struct buffer again = BUFFER_INIT;
    struct error error = {0};
    bool good = renderer_render(renderer, name, get_catalog(), &out, &error);
    if (good) {
        check_text(&out, config);
        bool same = renderer_render(renderer, name, get_catalog(), &again, &error) &&
                    again.len == out.len &&
                    !memcmp(buffer_str(&again), buffer_str(&out), out.len);
        fuzz_require(same, "the second rendering is another: %s\n%s\n---\n%s", error.text,
                     buffer_str(&out), buffer_str(&again));
    } else {
        fuzz_require(!out.len, "text in spite of an error");
        fuzz_require_error(&error);
        fuzz_require(error.where[0], "an error without a place: %s", error.text);
    }
    buffer_free(&out);
    buffer_free(&again);
    renderer_free(renderer);
    json_decref(globals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char included[] = "included {{ it }} {{ realm }}\n";
    static const char *const names[] = {"t.cfg", "t.map", "t.txt"};
    put("included.cfg", included, sizeof included - 1);
    size_t kind = size % 3;
    put(names[kind], data, size);
    render(names[kind], kind == 0);
    return 0;
}
