/* Whole files: read at once, replaced atomically, locked. */
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(struct error *error, const char *path, const char *what) {
    return error_set(error, path, "%s: %s", what, strerror(errno));
}

static bool read_all(int fd, const char *path, size_t max, struct buffer *out,
                     struct error *error) {
    size_t start = out->len;
    for (;;) {
        char *end = buffer_reserve(out, 65536);
        ssize_t got = read(fd, end, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(error, path, "can't read");
        end[got] = '\0';
        if (!got)
            return true;
        out->len += (size_t)got;
        if (out->len - start > max)
            return error_set(error, path, "larger than %zu bytes", max);
    }
}

bool file_read(const char *path, size_t max, struct buffer *out, struct error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(error, path, "can't open");
    size_t start = out->len;
    bool done = read_all(fd, path, max, out, error);
    (void)close(fd);
    if (!done && out->data)
        out->data[out->len = start] = '\0';
    return done;
}

static bool write_all(int fd, const char *bytes, size_t len) {
    while (len) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

/* A name that was renamed is only safe from power loss once its folder is synced. */
static bool sync_dir(const char *path, struct error *error) {
    char *dir = file_dir(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    if (!done)
        (void)fail(error, dir, "can't sync the folder");
    if (fd >= 0)
        (void)close(fd);
    free(dir);
    return done;
}

static bool keep_mode(int fd, const char *path, mode_t mode) {
    struct stat old;
    if (stat(path, &old) < 0)
        return fchmod(fd, mode) == 0;
    if ((old.st_uid != geteuid() || old.st_gid != getegid()) &&
        fchown(fd, old.st_uid, old.st_gid) < 0 && errno != EPERM)
        return false;
    return fchmod(fd, old.st_mode & 07777) == 0;
}

bool file_replace(const char *path, const void *bytes, size_t len, mode_t mode,
                  struct error *error) {
    char *beside = mem_printf("%s.XXXXXX", path);
    bool done = false;
    int fd = mkostemp(beside, O_CLOEXEC);
    if (fd < 0) {
        (void)fail(error, path, "can't create a file beside it");
        goto out;
    }
    if (!write_all(fd, bytes, len) || !keep_mode(fd, path, mode) || fsync(fd) < 0)
        (void)fail(error, path, "can't write");
    else if (rename(beside, path) < 0)
        (void)fail(error, path, "can't replace");
    else
        done = true;
    if (!done)
        (void)unlink(beside);
    (void)close(fd);
    done = done && sync_dir(path, error);
out:
    free(beside);
    return done;
}

static void name_holder(int fd, const char *path, struct error *error) {
    char pid[32] = "";
    ssize_t got = pread(fd, pid, sizeof pid - 1, 0);
    pid[got > 0 ? strcspn(pid, "\n") : 0] = '\0';
    (void)error_set(error, path, "held by another hatlas%s%s", pid[0] ? ", process " : "",
                    pid);
}

int file_lock(const char *path, struct error *error) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        (void)fail(error, path, "can't open the lock file");
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            name_holder(fd, path, error);
        else
            (void)fail(error, path, "can't lock");
        (void)close(fd);
        return -1;
    }
    char pid[32];
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) < 0) {
        (void)fail(error, path, "can't write the lock file");
        (void)close(fd);
        return -1;
    }
    return fd;
}

bool file_make_dirs(const char *path, mode_t mode, struct error *error) {
    char *part = mem_strdup(path);
    bool done = true;
    for (char *c = part; done && *c; c++) {
        char next = c[1];
        if (next && next != '/')
            continue;
        c[1] = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            done = fail(error, part, "can't make the folder");
        c[1] = next;
    }
    struct stat made;
    if (done && (stat(path, &made) < 0 || !S_ISDIR(made.st_mode)))
        done = error_set(error, path, "can't make the folder: not a folder");
    free(part);
    return done;
}

bool file_equals(const char *path, const void *bytes, size_t len) {
    struct buffer old = BUFFER_INIT;
    bool same = file_read(path, len, &old, NULL) && old.len == len &&
                (!len || !memcmp(old.data, bytes, len));
    buffer_free(&old);
    return same;
}

char *file_dir(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
