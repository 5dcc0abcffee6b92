/* Map files: read, sent in pieces that HAProxy takes as they are meant, and read back from
 * what it then shows. */
#include "haproxy/map.h"
#include "base/mem.h"
#include "fuzz.h"
#include "haproxy/cli.h"

#include <stdlib.h>
#include <string.h>

/* A payload ends at an empty line, and every line is an entry. */
static void check_piece(const struct buffer *piece) {
    fuzz_require(piece->len && piece->len <= CLI_COMMAND_MAX, "a piece of %zu bytes",
                 piece->len);
    fuzz_require(piece->data[0] != '\n' && !strstr(piece->data, "\n\n"),
                 "an empty line in a payload");
}

/* What HAProxy would show after the pieces were sent. */
static void take_all(const struct map *map, struct buffer *shown) {
    size_t next = 0;
    while (next < map->count) {
        struct buffer piece = BUFFER_INIT;
        size_t after = map_take(map, next, CLI_COMMAND_MAX, &piece);
        fuzz_require(after > next, "nothing is taken");
        next = after;
        check_piece(&piece);
        char *rest = NULL;
        for (char *line = strtok_r(piece.data, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest))
            buffer_printf(shown, "0x55a8aa048560 %s\n", line);
        buffer_free(&piece);
    }
}

static void check_map(struct map *map) {
    struct buffer shown = BUFFER_INIT;
    struct error error = {0};
    struct map got;
    take_all(map, &shown);
    fuzz_require(map_read_answer(&got, buffer_str(&shown)), "what was sent is no answer");
    fuzz_require(map_equal(map, &got, "m", &error), "what was sent differs: %s",
                 error.text);
    map_free(&got);
    buffer_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    struct map map;
    struct error error = {0};
    if (map_read(&map, "services.map", text, &error)) {
        check_map(&map);
        map_free(&map);
    } else {
        fuzz_require_error(&error);
    }
    if (map_read_answer(&map, text))
        map_free(&map);
    free(text);
    return 0;
}
