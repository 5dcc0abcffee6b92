/* Runs a target on every file of a folder, or on single files, with any compiler: keeps
 * what fuzzing found tested. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The input ends where its memory ends, as libFuzzer has it. */
static void run_file(const char *path) {
    struct buffer text = BUFFER_INIT;
    FILE *file = fopen(path, "rb");
    fuzz_require(file, "can't open %s", path);
    for (int c; file && (c = getc(file)) != EOF;)
        buffer_putc(&text, (char)c);
    if (file)
        (void)fclose(file);
    uint8_t *bytes = malloc(text.len ? text.len : 1);
    fuzz_require(bytes, "no memory");
    if (bytes && text.len)
        memcpy(bytes, text.data, text.len);
    (void)fprintf(stderr, "%s\n", path);
    (void)LLVMFuzzerTestOneInput(bytes, text.len);
    free(bytes);
    buffer_free(&text);
}

static size_t run_folder(const char *path) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    size_t run = 0;
    fuzz_require(count >= 0, "can't read %s", path);
    for (int i = 0; i < count; i++) {
        struct buffer name = BUFFER_INIT;
        buffer_printf(&name, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            run_file(buffer_str(&name));
            run++;
        }
        buffer_free(&name);
        free(entries[i]);
    }
    free(entries);
    return run;
}

int main(int argc, char **argv) {
    size_t run = 0;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        bool folder = !stat(argv[i], &info) && S_ISDIR(info.st_mode);
        if (folder)
            run += run_folder(argv[i]);
        else
            run_file(argv[i]), run++;
    }
    (void)fprintf(stderr, "%zu inputs\n", run);
    return run ? 0 : 1;
}
