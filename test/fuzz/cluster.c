/* cluster.yaml, as YAML and as JSON: what is read is written as text that is read back to
 * the same. */
#include "catalog/text.h"
#include "fuzz.h"

static void check_round(const struct catalog *catalog, enum catalog_format format) {
    struct problems problems = {0};
    struct buffer text = BUFFER_INIT;
    catalog_write(catalog, format, &text);
    struct catalog *again =
        catalog_read(buffer_str(&text), text.len, "again", NULL, &problems);
    fuzz_require(again, "a catalog can't be read back:\n%s", buffer_str(&text));
    fuzz_require(!problems.count, "a catalog is read back with problems: %s\n%s",
                 problems.count ? problems.items[0].text : "", buffer_str(&text));
    fuzz_require(catalog_equal(catalog, again), "a catalog is read back as another:\n%s",
                 buffer_str(&text));
    catalog_unref(again);
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct problems problems = {0};
    const char *text = size ? (const char *)data : "";
    struct catalog *catalog = catalog_read(text, size, "cluster.yaml", NULL, &problems);
    if (catalog) {
        struct problems again = {0};
        struct catalog *kept = catalog_read(text, size, "cluster.yaml", catalog, &again);
        fuzz_require(kept && catalog_equal(kept, catalog),
                     "a text gives another catalog the second time");
        check_round(catalog, CATALOG_YAML);
        check_round(catalog, CATALOG_JSON);
        catalog_unref(kept);
        problems_free(&again);
    }
    fuzz_require_problems(&problems, !catalog);
    catalog_unref(catalog);
    return 0;
}
