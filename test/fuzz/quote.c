/* Quoting, and the questions about text: a value that is quoted is read as just this
 * value by the other reader of this folder, and as no word more. */
#include "render/quote.h"
#include "base/mem.h"
#include "base/text.h"
#include "config.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

/* How a value stands in a line, and where its word is then. */
static const struct place {
    enum quote quote;
    const char *before, *after;
} places[] = {
    {QUOTE_BARE, "word ", " next"},
    {QUOTE_DOUBLE, "word \"", "\" next"},
    {QUOTE_SINGLE, "word '", "' next"},
};

static void check_word(const struct place *place, const char *value, size_t len) {
    static struct config_line line;
    struct buffer out = BUFFER_INIT;
    buffer_puts(&out, place->before);
    const char *fault = quote_append(place->quote, value, len, &out);
    if (fault) {
        fuzz_require(!text_is_clean(value, len), "a clean value is refused: %s", fault);
        fuzz_require(out.len == strlen(place->before), "text in spite of a refusal");
    } else {
        buffer_puts(&out, place->after);
        fault = config_split(out.data, out.len, &line);
        fuzz_require(!fault, "%s in: %s", fault, out.data);
        fuzz_require(line.count == 3 && strlen(line.words[1]) == len &&
                         !memcmp(line.words[1], value, len),
                     "the value is read as another: %s", out.data);
    }
    buffer_free(&out);
}

/* A comment stays one, an entry of a map has one key, other text one line. */
static void check_rest(const char *value, size_t len) {
    static const enum quote quotes[] = {QUOTE_COMMENT, QUOTE_MAP, QUOTE_NONE};
    for (size_t i = 0; i < 3; i++) {
        struct buffer out = BUFFER_INIT;
        if (!quote_append(quotes[i], value, len, &out) && out.len) {
            fuzz_require(!memchr(out.data, '\n', out.len) &&
                             !memchr(out.data, '\r', out.len) &&
                             !memchr(out.data, '\0', out.len),
                         "a line ends in a value: %s", out.data);
            fuzz_require(quotes[i] != QUOTE_MAP || !strpbrk(out.data, " \t"),
                         "a blank in a map: %s", out.data);
        }
        buffer_free(&out);
    }
}

static void check_durations(const char *text) {
    int64_t read = -1;
    int64_t again = -2;
    char out[64];
    if (text_duration(text, &read)) {
        fuzz_require(read >= 0, "a negative duration of %s", text);
        (void)text_format_duration(read, out, sizeof out);
        fuzz_require(text_duration(out, &again) && again == read, "%s becomes %s", text,
                     out);
    }
    if (text_percent(text, &read))
        fuzz_require(read >= 0 && read <= 100, "%s is no percentage", text);
}

static void check_text(const char *text) {
    static const char *const names[] = {"balance", "check", "timeouts", NULL};
    static const size_t sizes[] = {1, 4, 5, 16, 4096};
    check_durations(text);
    (void)text_is_host(text);
    (void)text_is_service_name(text);
    (void)text_nearest(text, names);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *out = mem_zalloc(sizes[i]);
        (void)text_printable(text, out, sizes[i]);
        fuzz_require(strlen(out) < sizes[i], "no end in %zu bytes", sizes[i]);
        fuzz_require_clean(out, "printable text");
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    check_text(text);
    const char *value = size ? (const char *)data : "";
    for (size_t i = 0; size < 4000 && i < sizeof places / sizeof places[0]; i++)
        check_word(&places[i], value, size);
    check_rest(value, size);
    free(text);
    return 0;
}
