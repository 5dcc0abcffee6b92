/* What all targets share. */
#include "fuzz.h"
#include "base/mem.h"
#include "base/text.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fuzz_require(bool claim, const char *format, ...) {
    va_list args;
    if (claim)
        return;
    va_start(args, format);
    (void)fprintf(stderr, "claim failed: ");
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\n");
    va_end(args);
    abort();
}

char *fuzz_text(const uint8_t *data, size_t size) {
    return size ? mem_strndup((const char *)data, strnlen((const char *)data, size))
                : mem_strdup("");
}

void fuzz_split(const uint8_t *data, size_t size, char **parts, size_t count) {
    static const char mark[] = "%%%\n";
    for (size_t i = 0; i < count; i++) {
        const uint8_t *end = size ? memmem(data, size, mark, sizeof mark - 1) : NULL;
        size_t len = end ? (size_t)(end - data) : size;
        parts[i] = fuzz_text(data, len);
        size_t step = end ? len + sizeof mark - 1 : len;
        data = size ? data + step : data;
        size -= step;
    }
}

void fuzz_require_clean(const char *text, const char *what) {
    fuzz_require(!text || text_is_clean(text, strlen(text)), "%s is not clean: \"%s\"",
                 what, text ? text : "");
}

void fuzz_require_error(const struct error *error) {
    fuzz_require(error->text[0], "an error without a text");
    fuzz_require_clean(error->text, "the text of an error");
    fuzz_require_clean(error->where, "the place of an error");
}

void fuzz_require_problems(struct problems *problems, bool failed) {
    fuzz_require(!failed || problems->count, "a failure without a problem");
    for (size_t i = 0; i < problems->count; i++) {
        fuzz_require(problems->items[i].text[0], "a problem without a text");
        fuzz_require_clean(problems->items[i].text, "the text of a problem");
        fuzz_require_clean(problems->items[i].where, "the place of a problem");
    }
    problems_free(problems);
}

static char folder[] = "/tmp/hatlas-fuzz.XXXXXX";

static void remove_folder(void) {
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        (void)closedir(dir);
    (void)rmdir(folder);
}

const char *fuzz_folder(void) {
    if (strstr(folder, "XXXXXX")) {
        fuzz_require(mkdtemp(folder), "no folder in /tmp");
        (void)atexit(remove_folder);
    }
    return folder;
}
