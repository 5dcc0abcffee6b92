/* Fields as people type them, a word a line: a patch or a fault for each, and a record
 * that the check lets through is one that the decoders take too. */
#include "atlas/fields.h"
#include "base/mem.h"
#include "base/text.h"
#include "catalog/fields.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 16 };

static void check_describe(const json_t *patch) {
    struct buffer text = BUFFER_INIT;
    atlas_fields_describe(patch, &text);
    fuzz_require_clean(buffer_str(&text), "a patch in words");
    buffer_free(&text);
}

/* A record that is good with the patch can be read. */
static void check_record(bool host, const json_t *record) {
    const struct schema *table = host ? host_schema : service_schema;
    struct problems problems = {0};
    struct problems faults = {0};
    struct schema_input from = {.where = "/again", .problems = &faults};
    if (atlas_fields_check(table, record, "/here", &problems)) {
        struct host *made = host ? host_decode("id-1", record, &from) : NULL;
        json_t *fields = host ? NULL : service_fields_decode(record, &from);
        fuzz_require(!faults.count && (made || fields), "a good record is refused: %s",
                     faults.count ? faults.items[0].text : "");
        host_unref(made);
        json_decref(fields);
    }
    fuzz_require_problems(&problems, false);
    problems_free(&faults);
}

static void check_words(bool host, const char *const *words, size_t count) {
    struct problems problems = {0};
    json_t *record = host ? json_pack("{s:s,s:i}", "host", "h", "port", 1)
                          : json_pack("{s:s}", "mode", "http");
    json_t *patch = atlas_fields_parse(host ? host_schema : service_schema, words, count,
                                       true, &problems);
    fuzz_require(json_is_object(patch), "no patch");
    fuzz_require(problems.count || !count || json_object_size(patch),
                 "words without an effect or a fault");
    json_t *patched = atlas_fields_patch(record, patch);
    check_describe(patch);
    if (!problems.count)
        check_record(host, patched);
    fuzz_require_problems(&problems, false);
    json_decref(patched);
    json_decref(patch);
    json_decref(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *words[WORDS_MAX];
    size_t count = 0;
    char *text = fuzz_text(data, size);
    char *rest = NULL;
    for (char *word = strtok_r(text, "\n", &rest); word && count < WORDS_MAX;
         word = strtok_r(NULL, "\n", &rest))
        words[count++] = word;
    check_words(true, words, count);
    check_words(false, words, count);
    free(text);
    return 0;
}
