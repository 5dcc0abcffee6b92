/* Whole files: read at once, replaced atomically, locked. */
#ifndef HATLAS_BASE_FILE_H
#define HATLAS_BASE_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#include <sys/types.h>

/* Appends the whole file to `out`. A file larger than `max` bytes is an error. */
bool file_read(const char *path, size_t max, struct buffer *out, struct error *error);

/* Replaces the file by the bytes so that at any instant, kill -9 and power loss included,
 * the name leads to the whole old file or the whole new one: written beside it, fsynced,
 * renamed, the folder fsynced (rename(2), fsync(2)). An existing file keeps its mode and
 * owner; a new one gets `mode`. On error the old file stays and nothing is left beside.
 */
bool file_replace(const char *path, const void *bytes, size_t len, mode_t mode,
                  struct error *error);

/* Takes an exclusive lock on the file (flock(2)), which is made if it is not there, and
 * writes this process's id into it. Returns the descriptor, to be closed to let go, or
 * -1; an error names the process that holds the lock. */
int file_lock(const char *path, struct error *error);

/* Makes the folder and its parents, like mkdir -p. */
bool file_make_dirs(const char *path, mode_t mode, struct error *error);

/* Whether the file holds exactly these bytes. */
bool file_equals(const char *path, const void *bytes, size_t len);

/* Returns the folder of the path ("." where it names none), and its last part. The caller
 * owns the folder; the last part points into `path`. */
char *file_dir(const char *path);
const char *file_name(const char *path);

#endif
