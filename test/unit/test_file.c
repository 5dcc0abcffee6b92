/* Tests of base/file.h in a folder of its own. */
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    char path[128]; /* a file in it that is not there yet */
};

static int set_up(void **state) {
    struct fixture *f = mem_zalloc(sizeof *f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/hatlas-file.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/file", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    const char *argv[] = {"rm", "-rf", f->dir, NULL};
    struct buffer output = BUFFER_INIT;
    (void)child_run(argv, 10000, &output, NULL, NULL);
    buffer_free(&output);
    free(f);
    return 0;
}

static void put(const char *path, const char *text, mode_t mode) {
    struct error error = {{0}, {0}};
    if (!file_replace(path, text, strlen(text), mode, &error))
        fail_msg("%s: %s", error.where, error.text);
}

static void assert_holds(const char *path, const char *text) {
    struct buffer got = BUFFER_INIT;
    struct error error;
    assert_true(file_read(path, 1 << 20, &got, &error));
    assert_string_equal(buffer_str(&got), text);
    buffer_free(&got);
}

static mode_t mode_of(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static int entries(const char *dir) {
    int count = 0;
    DIR *open = opendir(dir);
    assert_non_null(open);
    for (struct dirent *entry = readdir(open); entry; entry = readdir(open))
        count += entry->d_name[0] != '.';
    (void)closedir(open);
    return count;
}

static void test_replace(void **state) {
    struct fixture *f = *state;
    put(f->path, "one", 0640);
    assert_holds(f->path, "one");
    assert_int_equal(mode_of(f->path), 0640);
    assert_int_equal(chmod(f->path, 0604), 0);
    put(f->path, "two, longer", 0640);
    assert_holds(f->path, "two, longer");
    assert_int_equal(mode_of(f->path), 0604);
    put(f->path, "", 0640);
    assert_holds(f->path, "");
    assert_int_equal(entries(f->dir), 1);
}

static void test_replace_ignores_umask(void **state) {
    struct fixture *f = *state;
    mode_t old = umask(0077);
    put(f->path, "x", 0644);
    (void)umask(old);
    assert_int_equal(mode_of(f->path), 0644);
}

static void test_replace_keeps_owner(void **state) {
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    put(f->path, "one", 0600);
    assert_int_equal(chown(f->path, 12, 34), 0);
    put(f->path, "two", 0644);
    struct stat status;
    assert_int_equal(stat(f->path, &status), 0);
    assert_int_equal(status.st_uid, 12);
    assert_int_equal(status.st_gid, 34);
    assert_int_equal(mode_of(f->path), 0600);
}

/* Who has the old file open goes on reading the old bytes. */
static void test_replace_is_a_new_file(void **state) {
    struct fixture *f = *state;
    char got[8] = "";
    put(f->path, "old", 0600);
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    put(f->path, "new", 0600);
    assert_int_equal(read(fd, got, sizeof got - 1), 3);
    assert_string_equal(got, "old");
    (void)close(fd);
}

/* A file that can't be written whole: the old one stays, and nothing lies beside it. */
static void test_replace_fails_whole(void **state) {
    struct fixture *f = *state;
    char large[8192];
    struct rlimit old;
    struct error error;
    memset(large, 'x', sizeof large);
    put(f->path, "old", 0600);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit limit = {4096, old.rlim_max};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    bool done = file_replace(f->path, large, sizeof large, 0600, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
    assert_false(done);
    assert_string_equal(error.where, f->path);
    assert_string_equal(error.text, "can't write: File too large");
    assert_holds(f->path, "old");
    assert_int_equal(entries(f->dir), 1);
}

static void test_replace_errors(void **state) {
    struct fixture *f = *state;
    struct error error;
    char *missing = mem_printf("%s/none/file", f->dir);
    assert_false(file_replace(missing, "x", 1, 0600, &error));
    assert_string_equal(error.where, missing);
    assert_non_null(strstr(error.text, "No such file"));
    free(missing);
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_false(file_replace(f->path, "x", 1, 0600, &error));
    assert_non_null(strstr(error.text, "can't replace"));
    assert_int_equal(entries(f->dir), 1);
}

static _Noreturn void write_for_ever(const char *path, const char *a, size_t a_len,
                                     const char *b, size_t b_len) {
    for (;;)
        if (!file_replace(path, b, b_len, 0600, NULL) ||
            !file_replace(path, a, a_len, 0600, NULL))
            _exit(1);
}

/* Whenever a reader looks, and wherever the writer is killed, the file is whole. */
static void test_replace_is_atomic(void **state) {
    struct fixture *f = *state;
    char a[20000];
    char b[10000];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    assert_true(file_replace(f->path, a, sizeof a, 0600, NULL));
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (!writer)
        write_for_ever(f->path, a, sizeof a, b, sizeof b);
    int seen_b = 0;
    for (int i = 0; i < 200 || (!seen_b && i < 100000); i++) {
        bool is_b = file_equals(f->path, b, sizeof b);
        seen_b += is_b;
        if (is_b || file_equals(f->path, a, sizeof a))
            continue;
        struct buffer got = BUFFER_INIT;
        assert_true(file_read(f->path, sizeof a, &got, NULL));
        assert_true(got.len == sizeof a || got.len == sizeof b);
        buffer_free(&got);
    }
    assert_true(seen_b > 0);
    assert_int_equal(kill(writer, SIGKILL), 0);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    assert_true(file_equals(f->path, a, sizeof a) || file_equals(f->path, b, sizeof b));
}

static void test_read(void **state) {
    struct fixture *f = *state;
    struct buffer got = BUFFER_INIT;
    struct error error;
    buffer_puts(&got, "before ");
    assert_false(file_read(f->path, 10, &got, &error));
    assert_string_equal(error.where, f->path);
    assert_string_equal(error.text, "can't open: No such file or directory");
    put(f->path, "0123456789", 0600);
    assert_true(file_read(f->path, 10, &got, &error));
    assert_string_equal(buffer_str(&got), "before 0123456789");
    assert_false(file_read(f->path, 9, &got, &error));
    assert_string_equal(error.text, "larger than 9 bytes");
    assert_string_equal(buffer_str(&got), "before 0123456789");
    assert_false(file_read(f->dir, 10, &got, &error));
    assert_string_equal(error.text, "can't read: Is a directory");
    assert_string_equal(buffer_str(&got), "before 0123456789");
    buffer_free(&got);
}

static void test_read_nul_and_endless(void **state) {
    struct fixture *f = *state;
    struct buffer got = BUFFER_INIT;
    struct error error;
    assert_true(file_replace(f->path, "a\0b", 3, 0600, &error));
    assert_true(file_read(f->path, 10, &got, &error));
    assert_int_equal(got.len, 3);
    assert_memory_equal(got.data, "a\0b", 4);
    assert_false(file_read("/dev/zero", 1 << 20, &got, &error));
    assert_int_equal(got.len, 3);
    buffer_free(&got);
}

static void test_equals(void **state) {
    struct fixture *f = *state;
    assert_false(file_equals(f->path, "", 0));
    put(f->path, "", 0600);
    assert_true(file_equals(f->path, "", 0));
    assert_false(file_equals(f->path, "a", 1));
    put(f->path, "abc", 0600);
    assert_true(file_equals(f->path, "abc", 3));
    assert_false(file_equals(f->path, "abd", 3));
    assert_false(file_equals(f->path, "ab", 2));
    assert_false(file_equals(f->path, "abcd", 4));
}

/* Tries to take the lock in a process of its own; returns its error, "" if it got it. */
static void try_lock(const char *path, char *said, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        struct error error = {{0}, {0}};
        (void)file_lock(path, &error);
        _exit(write(ends[1], error.text, strlen(error.text)) < 0);
    }
    (void)close(ends[1]);
    ssize_t got = read(ends[0], said, size - 1);
    said[got > 0 ? got : 0] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_lock(void **state) {
    struct fixture *f = *state;
    char said[256];
    struct error error;
    int fd = file_lock(f->path, &error);
    assert_true(fd >= 0);
    char *expected = mem_printf("held by another hatlas, process %ld", (long)getpid());
    try_lock(f->path, said, sizeof said);
    assert_string_equal(said, expected);
    char *pid = mem_printf("%ld\n", (long)getpid());
    assert_holds(f->path, pid);
    (void)close(fd);
    try_lock(f->path, said, sizeof said);
    assert_string_equal(said, "");
    /* The one before was killed with the lock: its number is replaced. */
    fd = file_lock(f->path, &error);
    assert_true(fd >= 0);
    assert_holds(f->path, pid);
    (void)close(fd);
    free(pid);
    free(expected);
}

static void test_lock_errors(void **state) {
    struct fixture *f = *state;
    struct error error;
    char *missing = mem_printf("%s/none/lock", f->dir);
    assert_int_equal(file_lock(missing, &error), -1);
    assert_string_equal(error.where, missing);
    assert_non_null(strstr(error.text, "can't open the lock file: No such file"));
    free(missing);
}

static void test_make_dirs(void **state) {
    struct fixture *f = *state;
    struct error error;
    struct stat status;
    static const char *const below[] = {"a/b/c", "a/b/c", "a/x/", "a//y"};
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++) {
        char *path = mem_printf("%s/%s", f->dir, below[i]);
        assert_true(file_make_dirs(path, 0750, &error));
        assert_int_equal(stat(path, &status), 0);
        assert_true(S_ISDIR(status.st_mode));
        free(path);
    }
    put(f->path, "a file", 0600);
    char *path = mem_printf("%s/below", f->path);
    assert_false(file_make_dirs(path, 0750, &error));
    assert_string_equal(error.where, path);
    assert_non_null(strstr(error.text, "Not a directory"));
    assert_false(file_make_dirs(f->path, 0750, &error));
    assert_non_null(strstr(error.text, "not a folder"));
    free(path);
}

static const struct {
    const char *path, *dir, *name;
} paths[] = {
    {"file", ".", "file"},   {"/file", "/", "file"}, {"/a/b/file", "/a/b", "file"},
    {"a/file", "a", "file"}, {"/a/", "/a", ""},      {"./file", ".", "file"},
};

static void test_parts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char *dir = file_dir(paths[i].path);
        assert_string_equal(dir, paths[i].dir);
        assert_string_equal(file_name(paths[i].path), paths[i].name);
        free(dir);
    }
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIR(test_replace),
        IN_DIR(test_replace_ignores_umask),
        IN_DIR(test_replace_keeps_owner),
        IN_DIR(test_replace_is_a_new_file),
        IN_DIR(test_replace_fails_whole),
        IN_DIR(test_replace_errors),
        IN_DIR(test_replace_is_atomic),
        IN_DIR(test_read),
        IN_DIR(test_read_nul_and_endless),
        IN_DIR(test_equals),
        IN_DIR(test_lock),
        IN_DIR(test_lock_errors),
        IN_DIR(test_make_dirs),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
