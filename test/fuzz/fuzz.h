/* What all targets share: claims that end the process, and inputs taken apart. */
#ifndef HATLAS_FUZZ_FUZZ_H
#define HATLAS_FUZZ_FUZZ_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The target: called for each input by libFuzzer, and by replay.c. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process with the message if the claim does not hold. */
void fuzz_require(bool claim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Returns the bytes as a string that the caller owns. It ends at the first NUL, and so
 * does its memory, for the sanitizer to see who reads on. */
char *fuzz_text(const uint8_t *data, size_t size);

/* Takes an input of several texts apart, which lines "%%%" stand between: sets `count`
 * strings that the caller owns, those that are not there to "". */
void fuzz_split(const uint8_t *data, size_t size, char **parts, size_t count);

/* Requires that a call that failed said why, and in clean words. */
void fuzz_require_error(const struct error *error);

/* The same for a call that names problems; they are freed. */
void fuzz_require_problems(struct problems *problems, bool failed);

/* Requires text without control characters; NULL is fine. */
void fuzz_require_clean(const char *text, const char *what);

/* Returns the path of a new folder for this process, removed with the files in it at its
 * end. */
const char *fuzz_folder(void);

#endif
