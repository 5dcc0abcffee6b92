/* Tests of lib/source/source.h on real files: replaced, rewritten, gone, back, bad. Every
 * wait is for an event, with a deadline far beyond what it takes. */
#include "base/file.h"
#include "base/mem.h"
#include "source/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEADLINE_S = 40 };

static const struct log quiet = {.fd = -1, .level = LOG_ERROR};

/* A source on <folder>/<name> in a loop of its own. */
struct world {
    char *folder;
    char *path;
    struct event_base *base;
    struct source_settings settings;
    struct settings whole;
    struct source *source;
    unsigned changes;
};

static char *in_folder(const struct world *world, const char *name) {
    return mem_printf("%s/%s", world->folder, name);
}

static void write_at(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void write_file(const struct world *world, const char *text) {
    write_at(world->path, text);
}

static void replace_file(const struct world *world, const char *text) {
    struct error error;
    assert_true(file_replace(world->path, text, strlen(text), 0600, &error));
}

static void count_change(void *arg, struct source *source) {
    struct world *world = arg;
    assert_ptr_equal(source, world->source);
    world->changes++;
}

static void open_source(struct world *world) {
    struct error error;
    world->settings = (struct source_settings){
        .kind = SOURCE_FILE, .file = world->path, .whole = &world->whole};
    world->source =
        source_open(world->base, &quiet, &world->settings, count_change, world, &error);
    assert_non_null(world->source);
}

static int setup(void **state) {
    struct world *world = mem_zalloc(sizeof *world);
    char folder[] = "/tmp/hatlas-source.XXXXXX";
    world->folder = mem_strdup(mkdtemp(folder));
    world->path = in_folder(world, "cluster.yaml");
    world->base = event_base_new();
    *state = world;
    return world->folder ? 0 : -1;
}

static int teardown(void **state) {
    struct world *world = *state;
    source_close(world->source);
    event_base_free(world->base);
    char *command = mem_printf("rm -rf '%s'", world->folder);
    int rc = system(command); /* NOLINT(cert-env33-c) */
    free(command);
    free(world->path);
    free(world->folder);
    free(world);
    return rc;
}

/* Waiting. */

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

typedef bool condition(struct world *world, const char *text);

/* Runs the loop until the condition holds. */
static void wait_until(struct world *world, condition *holds, const char *text) {
    bool late = false;
    struct event *deadline = evtimer_new(world->base, on_deadline, &late);
    struct timeval limit = {.tv_sec = DEADLINE_S};
    (void)evtimer_add(deadline, &limit);
    while (!late && !holds(world, text))
        (void)event_base_loop(world->base, EVLOOP_ONCE);
    event_free(deadline);
    if (late)
        fail_msg("waited in vain for: %s", text);
}

/* Whether the catalog holds exactly these services, "a b c". */
static bool has_services(struct world *world, const char *names) {
    const struct catalog *catalog = source_catalog(world->source);
    struct buffer found = BUFFER_INIT;
    if (!catalog)
        return false;
    for (size_t i = 0; i < catalog->service_count; i++)
        buffer_printf(&found, "%s%s", i ? " " : "", catalog->services[i]->name);
    bool same = strcmp(buffer_str(&found), names) == 0;
    buffer_free(&found);
    catalog_unref(catalog);
    return same;
}

/* Whether some problem contains the text; "" for whether there is none. */
static bool has_problem(struct world *world, const char *text) {
    struct problems problems = {0};
    source_problems(world->source, &problems);
    bool found = !*text && !problems.count;
    for (size_t i = 0; i < problems.count && *text; i++)
        found |=
            strstr(problems.items[i].where, text) || strstr(problems.items[i].text, text);
    problems_free(&problems);
    return found;
}

static struct source_status status_of(const struct world *world) {
    struct source_status status;
    source_status(world->source, &status);
    return status;
}

static bool says(struct world *world, const char *text) {
    return strstr(status_of(world).text, text) != NULL;
}

static bool was_read_twice(struct world *world, const char *text) {
    (void)text;
    return status_of(world).full_reads == 2;
}

#define ONE "services: {one: {hosts: [{host: a, port: 1}]}}\n"
#define TWO "services: {one: {hosts: [{host: a, port: 1}]}, two: {}}\n"

/* The tests. */

static void test_reads_the_file(void **state) {
    struct world *world = *state;
    write_file(world, TWO);
    open_source(world);
    assert_null(source_catalog(world->source));
    assert_int_equal(status_of(world).state, SOURCE_CONNECTING);
    assert_int_equal(world->changes, 0);
    wait_until(world, has_services, "one two");
    assert_true(world->changes > 0);
    assert_int_equal(status_of(world).state, SOURCE_READY);
    assert_int_equal(status_of(world).records, 3);
    assert_int_equal(status_of(world).full_reads, 1);
    assert_string_equal(source_name(world->source) + 5, world->path);
}

static void test_replaced_again_and_again(void **state) {
    struct world *world = *state;
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    for (int i = 0; i < 20; i++) {
        replace_file(world, i % 2 ? ONE : TWO);
        wait_until(world, has_services, i % 2 ? "one" : "one two");
    }
}

static void test_written_in_place(void **state) {
    struct world *world = *state;
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    write_file(world, TWO);
    wait_until(world, has_services, "one two");
    write_file(world, ONE);
    wait_until(world, has_services, "one");
}

/* A writer that is half done: what it has written so far would be a good catalog. */
static void test_waits_for_the_writers_close(void **state) {
    struct world *world = *state;
    static const char text[] = "services:\n  one: {}\n  two: {}\n";
    write_file(world, "services: {one: {}, two: {}}\n");
    open_source(world);
    wait_until(world, has_services, "one two");
    uint64_t reads = status_of(world).full_reads;
    int fd = open(world->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, text, 20), 20);
    (void)event_base_loop(world->base, EVLOOP_NONBLOCK);
    assert_true(has_services(world, "one two"));
    assert_int_equal(status_of(world).full_reads, reads);
    assert_int_equal(write(fd, text + 20, sizeof text - 21), (int)sizeof text - 21);
    assert_int_equal(close(fd), 0);
    wait_until(world, was_read_twice, "the read after the close");
    assert_true(has_services(world, "one two"));
}

static void test_gone_and_back(void **state) {
    struct world *world = *state;
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    assert_int_equal(unlink(world->path), 0);
    wait_until(world, has_problem, "the last good catalog is kept");
    assert_true(has_problem(world, world->path));
    assert_int_equal(status_of(world).state, SOURCE_LOST);
    assert_true(says(world, "No such file"));
    assert_true(has_services(world, "one"));
    write_file(world, TWO);
    wait_until(world, has_services, "one two");
    assert_true(has_problem(world, ""));
    assert_int_equal(status_of(world).state, SOURCE_READY);
}

static const struct {
    const char *name, *text;
} bad_files[] = {
    {"no YAML", "services: {one: [\n"},
    {"no object", "- one\n"},
    {"services is no object", "services: 5\n"},
    {"binary", "\x01\x02\xff\xfe"},
    {"an alias bomb", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                      "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c]\n"
                      "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e]\n"
                      "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nservices: {one: *g}\n"},
};

static void test_bad_file_keeps_the_last_good(void **state) {
    struct world *world = *state;
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    const struct catalog *before = source_catalog(world->source);
    uint64_t reads = status_of(world).full_reads;
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        print_message("bad file: %s\n", bad_files[i].name);
        replace_file(world, bad_files[i].text);
        wait_until(world, has_problem, "the last good catalog is kept");
        assert_int_equal(status_of(world).state, SOURCE_LOST);
        assert_int_equal(status_of(world).full_reads, reads);
        const struct catalog *now = source_catalog(world->source);
        assert_ptr_equal(now, before);
        catalog_unref(now);
        replace_file(world, ONE);
        wait_until(world, has_problem, "");
        assert_int_equal(status_of(world).full_reads, ++reads);
    }
    catalog_unref(before);
}

static void test_bad_at_start(void **state) {
    struct world *world = *state;
    write_file(world, "{{{");
    open_source(world);
    wait_until(world, has_problem, "there is no catalog yet");
    assert_null(source_catalog(world->source));
    assert_int_equal(status_of(world).state, SOURCE_CONNECTING);
    assert_int_equal(status_of(world).full_reads, 0);
    replace_file(world, ONE);
    wait_until(world, has_services, "one");
}

static void test_bad_record_keeps_its_last_good_value(void **state) {
    struct world *world = *state;
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    replace_file(world, "services:\n  one: {hosts: [{id: 'a:1', host: a, port: 0}]}\n"
                        "  two: {}\n");
    wait_until(world, has_services, "one two");
    assert_true(has_problem(world, "cluster.yaml:2:"));
    const struct catalog *catalog = source_catalog(world->source);
    assert_int_equal(catalog_host_count(catalog), 1);
    catalog_unref(catalog);
}

static void test_missing_at_start(void **state) {
    struct world *world = *state;
    open_source(world);
    wait_until(world, has_problem, "waiting for it");
    assert_null(source_catalog(world->source));
    write_file(world, ONE);
    wait_until(world, has_services, "one");
    assert_true(has_problem(world, ""));
}

static void test_folder_missing_at_start(void **state) {
    struct world *world = *state;
    char *folder = in_folder(world, "later");
    free(world->path);
    world->path = in_folder(world, "later/cluster.yaml");
    open_source(world);
    wait_until(world, has_problem, "waiting for it");
    assert_int_equal(mkdir(folder, 0700), 0);
    write_file(world, ONE);
    wait_until(world, has_services, "one");
    replace_file(world, TWO);
    wait_until(world, has_services, "one two");
    free(folder);
}

/* The folder is renamed away and another takes its place. */
static void test_folder_replaced(void **state) {
    struct world *world = *state;
    char *folder = in_folder(world, "conf");
    char *old = in_folder(world, "old");
    free(world->path);
    world->path = in_folder(world, "conf/cluster.yaml");
    assert_int_equal(mkdir(folder, 0700), 0);
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    assert_int_equal(rename(folder, old), 0);
    wait_until(world, has_problem, "the last good catalog is kept");
    assert_int_equal(mkdir(folder, 0700), 0);
    write_file(world, TWO);
    wait_until(world, has_services, "one two");
    write_file(world, ONE);
    wait_until(world, has_services, "one");
    free(folder);
    free(old);
}

/* As Kubernetes mounts a ConfigMap: the file is a link through a link that is replaced. */
static void test_link_through_a_link(void **state) {
    struct world *world = *state;
    const char *names[] = {"v1", "v2"};
    for (size_t i = 0; i < 2; i++) {
        char *folder = in_folder(world, names[i]);
        char *file = mem_printf("%s/cluster.yaml", folder);
        assert_int_equal(mkdir(folder, 0700), 0);
        write_at(file, i ? TWO : ONE);
        free(file);
        free(folder);
    }
    char *data = in_folder(world, "..data");
    char *next = in_folder(world, "..next");
    assert_int_equal(symlink("v1", data), 0);
    assert_int_equal(symlink("..data/cluster.yaml", world->path), 0);
    open_source(world);
    wait_until(world, has_services, "one");
    assert_int_equal(symlink("v2", next), 0);
    assert_int_equal(rename(next, data), 0);
    wait_until(world, has_services, "one two");
    free(data);
    free(next);
}

/* The link stays, what it leads to is written in place in another folder. */
static void test_target_of_a_link_written(void **state) {
    struct world *world = *state;
    char *folder = in_folder(world, "else");
    char *target = in_folder(world, "else/target.yaml");
    assert_int_equal(mkdir(folder, 0700), 0);
    write_at(target, ONE);
    assert_int_equal(symlink("else/target.yaml", world->path), 0);
    open_source(world);
    wait_until(world, has_services, "one");
    write_at(target, TWO);
    wait_until(world, has_services, "one two");
    free(folder);
    free(target);
}

static void test_unchanged_services_are_shared(void **state) {
    struct world *world = *state;
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    const struct catalog *before = source_catalog(world->source);
    replace_file(world, TWO);
    wait_until(world, has_services, "one two");
    const struct catalog *after = source_catalog(world->source);
    assert_ptr_equal(before->services[0], after->services[0]);
    catalog_unref(before);
    catalog_unref(after);
}

static void test_what_is_not_wanted(void **state) {
    struct world *world = *state;
    static char x[] = "x*", east[] = "east";
    static char *exclude[] = {x, NULL}, *zones[] = {east, NULL};
    world->whole.exclude = exclude;
    world->whole.host_zones = zones;
    write_file(world,
               "services:\n"
               "  a: {hosts: [{host: a, port: 1, zone: east}, {host: b, port: 1}]}\n"
               "  b: {hosts: [{host: a, port: 1, zone: west}]}\n"
               "  x: {hosts: [{host: a, port: 1, zone: east}]}\n");
    open_source(world);
    wait_until(world, has_services, "a b");
    const struct catalog *catalog = source_catalog(world->source);
    assert_int_equal(catalog->services[0]->host_count, 1);
    assert_string_equal(catalog->services[0]->hosts[0]->host, "a");
    assert_int_equal(catalog->services[1]->host_count, 0);
    assert_int_equal(status_of(world).services_out, 1);
    assert_int_equal(status_of(world).hosts_out, 2);
    catalog_unref(catalog);
}

static void test_refresh_reads_again(void **state) {
    struct world *world = *state;
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    const struct catalog *before = source_catalog(world->source);
    (void)event_base_loop(world->base, EVLOOP_NONBLOCK);
    world->changes = 0;
    source_refresh(world->source);
    source_refresh(world->source);
    assert_int_equal(status_of(world).full_reads, 1);
    wait_until(world, was_read_twice, "the second read");
    (void)event_base_loop(world->base, EVLOOP_NONBLOCK);
    assert_int_equal(world->changes, 1);
    const struct catalog *after = source_catalog(world->source);
    assert_ptr_equal(before, after);
    catalog_unref(before);
    catalog_unref(after);
}

static void test_refresh_waits_for_a_good_file(void **state) {
    struct world *world = *state;
    write_file(world, ONE);
    open_source(world);
    wait_until(world, has_services, "one");
    replace_file(world, "{{{");
    wait_until(world, has_problem, "the last good catalog is kept");
    source_refresh(world->source);
    (void)event_base_loop(world->base, EVLOOP_ONCE);
    assert_int_equal(status_of(world).full_reads, 1);
    replace_file(world, ONE);
    wait_until(world, was_read_twice, "the second read");
}

/* The system has no inotify left (or no descriptor, which is simpler to arrange). */
static void test_without_inotify(void **state) {
    struct world *world = *state;
    struct rlimit old;
    int next = dup(STDERR_FILENO);
    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit full = {.rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max};
    write_file(world, ONE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
    open_source(world);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    wait_until(world, has_services, "one");
    assert_int_equal(status_of(world).watches, 0);
    write_file(world, TWO);
    wait_until(world, has_services, "one two");
}

static void test_needs_a_path(void **state) {
    struct world *world = *state;
    struct error error;
    world->settings = (struct source_settings){.kind = SOURCE_FILE, .file = NULL};
    assert_null(
        source_open(world->base, &quiet, &world->settings, count_change, world, &error));
    assert_string_equal(error.where, "file");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_reads_the_file),
        TEST(test_replaced_again_and_again),
        TEST(test_written_in_place),
        TEST(test_waits_for_the_writers_close),
        TEST(test_gone_and_back),
        TEST(test_bad_file_keeps_the_last_good),
        TEST(test_bad_at_start),
        TEST(test_bad_record_keeps_its_last_good_value),
        TEST(test_missing_at_start),
        TEST(test_folder_missing_at_start),
        TEST(test_folder_replaced),
        TEST(test_link_through_a_link),
        TEST(test_target_of_a_link_written),
        TEST(test_unchanged_services_are_shared),
        TEST(test_what_is_not_wanted),
        TEST(test_refresh_reads_again),
        TEST(test_refresh_waits_for_a_good_file),
        TEST(test_without_inotify),
        TEST(test_needs_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
