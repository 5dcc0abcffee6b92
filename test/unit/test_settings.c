/* hatlas.yaml: cases in settings/valid and settings/invalid, what wins over what, and
 * that README.md says the same as the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "settings/settings.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CASES SOURCE_DIR "/test/unit/settings"

extern char **environ;

/* No variable of whoever runs the tests, nor of the test before, may count. */
static int clear_environment(void **state) {
    (void)state;
    for (size_t i = 0; environ[i];) {
        char *name = mem_strndup(environ[i], strcspn(environ[i], "="));
        bool ours = !strncmp(name, "HATLAS_", 7);
        if (ours)
            (void)unsetenv(name);
        else
            i++;
        free(name);
    }
    return 0;
}

static void read_text(const char *path, struct buffer *text) {
    struct error error;
    if (!file_read(path, 1 << 20, text, &error))
        fail_msg("%s: %s", error.where, error.text);
}

static void say_problems(const struct problems *problems, struct buffer *out) {
    for (size_t i = 0; i < problems->count; i++)
        buffer_printf(out, "%s: %s\n", problems->items[i].where, problems->items[i].text);
}

static struct settings *parse(const char *text, const struct settings_flags *flags) {
    struct problems problems = {0};
    struct settings *settings = settings_parse(text, strlen(text), "x", flags, &problems);
    if (!settings)
        fail_msg("%s: %s", problems.items[0].where, problems.items[0].text);
    assert_int_equal(problems.count, 0);
    return settings;
}

static void assert_faults(const char *text, const struct settings_flags *flags,
                          const char *expected) {
    struct problems problems = {0};
    struct buffer said = BUFFER_INIT;
    assert_null(settings_parse(text, strlen(text), "x", flags, &problems));
    say_problems(&problems, &said);
    assert_string_equal(buffer_str(&said), expected);
    buffer_free(&said);
    problems_free(&problems);
}

/* --- cases in folders --- */

static size_t each_case(const char *folder, void (*run)(const char *path)) {
    struct dirent **names = NULL;
    size_t cases = 0;
    int count = scandir(folder, &names, NULL, alphasort);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        const char *dot = strrchr(names[i]->d_name, '.');
        if (dot && !strcmp(dot, ".yaml")) {
            char *path = mem_printf("%s/%s", folder, names[i]->d_name);
            run(path);
            free(path);
            cases++;
        }
        free(names[i]);
    }
    free(names);
    return cases;
}

static void read_expected(const char *path, struct buffer *text) {
    char *expected = mem_printf("%.*s.expected", (int)(strlen(path) - 5), path);
    read_text(expected, text);
    free(expected);
}

static void run_valid(const char *path) {
    struct buffer text = BUFFER_INIT;
    struct buffer expected = BUFFER_INIT;
    struct problems problems = {0};
    read_text(path, &text);
    read_expected(path, &expected);
    struct settings *settings =
        settings_parse(buffer_str(&text), text.len, path, NULL, &problems);
    if (!settings) {
        fail_msg("%s: %s", problems.items[0].where, problems.items[0].text);
        return;
    }
    json_t *tree = yaml_parse(buffer_str(&expected), expected.len, path, NULL, &problems);
    assert_non_null(tree);
    if (!json_equal(tree, settings->tree)) {
        struct buffer got = BUFFER_INIT;
        yaml_write(settings->tree, &got);
        fail_msg("%s became\n%s", path, buffer_str(&got));
    }
    json_decref(tree);
    settings_free(settings);
    buffer_free(&text);
    buffer_free(&expected);
}

static void run_invalid(const char *path) {
    struct buffer text = BUFFER_INIT;
    struct buffer expected = BUFFER_INIT;
    struct buffer said = BUFFER_INIT;
    struct problems problems = {0};
    read_text(path, &text);
    read_expected(path, &expected);
    assert_true(expected.len > 0);
    assert_null(
        settings_parse(buffer_str(&text), text.len, file_name(path), NULL, &problems));
    say_problems(&problems, &said);
    assert_string_equal(buffer_str(&said), buffer_str(&expected));
    problems_free(&problems);
    buffer_free(&text);
    buffer_free(&expected);
    buffer_free(&said);
}

static void valid_cases(void **state) {
    (void)state;
    assert_true(each_case(CASES "/valid", run_valid) >= 4);
}

static void invalid_cases(void **state) {
    (void)state;
    assert_true(each_case(CASES "/invalid", run_invalid) >= 15);
}

static void no_cut_makes_it_crash(void **state) {
    (void)state;
    struct buffer text = BUFFER_INIT;
    read_text(CASES "/valid/everything.yaml", &text);
    for (size_t len = 0; len < text.len; len++) {
        struct problems problems = {0};
        char *copy = mem_strndup(text.data, len);
        struct settings *settings = settings_parse(copy, len, "cut", NULL, &problems);
        assert_true((settings != NULL) == (problems.count == 0));
        settings_free(settings);
        problems_free(&problems);
        free(copy);
    }
    buffer_free(&text);
}

/* --- the struct --- */

static void struct_of_defaults(void **state) {
    (void)state;
    char name[256] = "";
    struct settings *s = parse("", NULL);
    assert_int_equal(gethostname(name, sizeof name - 1), 0);
    assert_string_equal(s->file, "x");
    assert_string_equal(s->realm, "local");
    assert_string_equal(s->node_name, name);
    assert_null(s->node_zone);
    assert_int_equal(s->source_count, 1);
    assert_int_equal(s->sources[0].kind, SOURCE_ZOOKEEPER);
    assert_string_equal(s->sources[0].hosts, "127.0.0.1:2181");
    assert_string_equal(s->sources[0].root, "/atlas");
    assert_string_equal(s->sources[0].chroot, "");
    assert_string_equal(s->sources[0].realm, "local");
    assert_string_equal(s->sources[0].format, "atlas");
    assert_int_equal(s->sources[0].session_timeout, 10000);
    assert_null(s->sources[0].auth_file);
    assert_string_equal(s->include[0], "*");
    assert_null(s->include[1]);
    assert_null(s->exclude[0]);
    assert_int_equal(s->output_count, 2);
    assert_true(s->outputs[0].check_haproxy);
    assert_false(s->outputs[1].check_haproxy);
    assert_int_equal(s->outputs[0].mode, 0644);
    assert_null(s->outputs[0].on_change);
    assert_ptr_equal(settings_haproxy_output(s), &s->outputs[0]);
    assert_int_equal(s->haproxy.control, CONTROL_SUPERVISE);
    assert_string_equal(s->haproxy.socket, "/run/hatlas/haproxy.sock");
    assert_null(s->haproxy.command);
    assert_int_equal(s->haproxy.reload_timeout, 10000);
    assert_int_equal(s->haproxy.stop_timeout, 30000);
    assert_int_equal(s->apply.coalesce, 20);
    assert_int_equal(s->apply.max_wait, 1000);
    assert_int_equal(s->apply.min_reload_interval, 2000);
    assert_int_equal(s->apply.reload_jitter, 0);
    assert_true(s->apply.runtime);
    assert_true(s->guard.keep_empty);
    assert_int_equal(s->guard.max_loss, 50);
    assert_int_equal(s->guard.grace, 30000);
    assert_string_equal(s->status_listen, "127.0.0.1:8126");
    assert_true(s->status_enabled);
    assert_int_equal(s->log.level, LOG_INFO);
    assert_int_equal(s->log.format, LOG_LOGFMT);
    settings_free(s);
}

static void struct_of_everything(void **state) {
    (void)state;
    struct buffer text = BUFFER_INIT;
    read_text(CASES "/valid/everything.yaml", &text);
    struct settings *s = parse(buffer_str(&text), NULL);
    assert_string_equal(s->node_name, "host-1");
    assert_string_equal(s->node_zone, "zone-a");
    assert_string_equal(s->sources[0].hosts, "zk1:2181,zk2:2181");
    assert_string_equal(s->sources[0].format, "nerve");
    assert_string_equal(s->sources[0].path, "/nerve/services/{service}/services");
    assert_string_equal(s->sources[0].auth_scheme, "digest");
    assert_string_equal(s->sources[0].auth_file, "/etc/zk.secret");
    assert_true(s->sources[0].trust_options);
    assert_int_equal(s->sources[0].acl_count, 3);
    assert_string_equal(s->sources[0].acl[0].scheme, "auth");
    assert_string_equal(s->sources[0].acl[0].id, "");
    assert_int_equal(s->sources[0].acl[0].permissions, 31);
    assert_int_equal(s->sources[0].acl[1].permissions, 1);
    assert_string_equal(s->sources[0].acl[2].id, "user:aGFzaA==");
    assert_int_equal(s->sources[0].acl[2].permissions, 3);
    assert_string_equal(s->sources[1].endpoint, "admin");
    assert_string_equal(s->sources[1].path, "/{service}");
    assert_true(s->sources[2].ssl);
    assert_null(s->sources[2].path);
    assert_string_equal(s->sources[2].auth_env, "HATLAS_SECRET_1");
    assert_ptr_equal(s->sources[2].whole, s);
    assert_string_equal(s->exclude[0], "team-x");
    assert_string_equal(s->host_zones[1], "");
    assert_string_equal(json_string_value(json_object_get(s->host_labels, "build")), "7");
    assert_string_equal(s->outputs[0].on_change[1], "/x");
    assert_null(s->outputs[0].on_change[2]);
    assert_int_equal(s->outputs[0].mode, 0600);
    assert_string_equal(s->template_dirs[0], "/etc/hatlas/templates");
    assert_non_null(s->template_dirs[1]);
    assert_null(s->template_dirs[2]);
    assert_int_equal(s->haproxy.control, CONTROL_COMMAND);
    assert_string_equal(s->haproxy.command[2], "reload");
    assert_int_equal(s->haproxy.stop_timeout, 0);
    assert_int_equal(s->apply.reload_jitter, 10);
    assert_false(s->apply.runtime);
    assert_false(s->guard.keep_empty);
    assert_string_equal(s->status_listen, ":8126");
    assert_int_equal(s->log.level, LOG_DEBUG);
    assert_int_equal(s->log.format, LOG_JSON);
    settings_free(s);
    buffer_free(&text);
}

static void connect_strings(void **state) {
    (void)state;
    static const struct {
        const char *given, *hosts, *chroot;
    } cases[] = {
        {"zk1", "zk1:2181", ""},
        {"zk1:2182", "zk1:2182", ""},
        {"zk1,zk2:1,10.0.0.3", "zk1:2181,zk2:1,10.0.0.3:2181", ""},
        {"zk1, zk2 ", "zk1:2181,zk2:2181", ""},
        {"zk1/", "zk1:2181", ""},
        {"zk1:2181/a", "zk1:2181", "/a"},
        {"zk1,zk2/a/b/", "zk1:2181,zk2:2181", "/a/b"},
        {"[::1]", "[::1]:2181", ""},
        {"[::1]:1,zk2", "[::1]:1,zk2:2181", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = mem_printf("sources: [{zookeeper: \"%s\"}]", cases[i].given);
        struct settings *settings = parse(text, NULL);
        assert_string_equal(settings->sources[0].hosts, cases[i].hosts);
        assert_string_equal(settings->sources[0].chroot, cases[i].chroot);
        settings_free(settings);
        free(text);
    }
}

static void bad_connect_strings(void **state) {
    (void)state;
    static const char *const cases[] = {
        ",",   "zk1,",   ",zk1",       "zk1:",    "zk1:0", "zk1:x",
        "::1", "zk 1",   "zk1;zk2",    "[::1",    "::1]",  "[zk1]:1",
        "/a",  "zk1//a", "zk1/a/../b", "zk1/./a", "-zk1",  "zk1:1:2",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct problems problems = {0};
        char *text = mem_printf("sources: [{zookeeper: \"%s\"}]", cases[i]);
        if (settings_parse(text, strlen(text), "x", NULL, &problems))
            fail_msg("\"%s\" was taken for a connect string", cases[i]);
        assert_int_equal(problems.count, 1);
        assert_string_equal(problems.items[0].where, "x:1:12");
        problems_free(&problems);
        free(text);
    }
}

static void roots(void **state) {
    (void)state;
    static const struct {
        const char *given, *root;
    } cases[] = {{"/", ""}, {"/a", "/a"}, {"/a/b/", "/a/b"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = mem_printf("sources: [{zookeeper: z, root: %s}]", cases[i].given);
        struct settings *settings = parse(text, NULL);
        assert_string_equal(settings->sources[0].root, cases[i].root);
        settings_free(settings);
        free(text);
    }
}

static void checked_outputs(void **state) {
    (void)state;
    struct settings *s = parse("outputs:\n"
                               "- {template: haproxy.cfg, path: /a, check: none}\n"
                               "- {template: mine.cfg, path: /b, check: haproxy}\n",
                               NULL);
    assert_ptr_equal(settings_haproxy_output(s), &s->outputs[1]);
    settings_free(s);
    s = parse("outputs: [{template: hosts, path: /a}]", NULL);
    assert_null(settings_haproxy_output(s));
    settings_free(s);
}

/* Who checks the free parts later can say where their values stand. */
static void places_of_free_parts(void **state) {
    (void)state;
    struct settings *s = parse("services:\n  overrides:\n    teams: {mode: x}\n", NULL);
    json_t *overrides =
        json_object_get(json_object_get(s->tree, "services"), "overrides");
    char where[64];
    assert_string_equal(places_find(s->places, json_object_get(overrides, "teams"),
                                    "mode", 0, where, sizeof where),
                        "x:3:13");
    settings_free(s);
}

/* --- variables and flags --- */

static void set(const char *name, const char *value) {
    assert_int_equal(setenv(name, value, 1), 0);
}

static void variables_win_over_the_file(void **state) {
    (void)state;
    set("HATLAS_REALM", "testing");
    set("HATLAS_APPLY_COALESCE", "50ms");
    set("HATLAS_APPLY_RUNTIME", "false");
    set("HATLAS_ROUTING_BIND", ":9000");
    set("HATLAS_LOG_LEVEL", "error");
    set("HATLAS_LOG_FORMAT", "json");
    set("HATLAS_NODE_NAME", "5");
    set("HATLAS_NODE_ZONE", "");
    struct settings *s = parse("realm: production\n"
                               "apply: {coalesce: 1s, max_wait: 3s}\n"
                               "node: {zone: a}\n",
                               NULL);
    assert_string_equal(s->realm, "testing");
    assert_string_equal(s->sources[0].realm, "testing");
    assert_int_equal(s->apply.coalesce, 50);
    assert_int_equal(s->apply.max_wait, 3000);
    assert_false(s->apply.runtime);
    assert_int_equal(s->log.level, LOG_ERROR);
    assert_int_equal(s->log.format, LOG_JSON);
    assert_string_equal(s->node_name, "5"); /* a variable is text without quotes */
    assert_string_equal(s->node_zone, "a"); /* an empty variable is none */
    const json_t *routing = json_object_get(s->tree, "routing");
    assert_string_equal(json_string_value(json_object_get(routing, "bind")), ":9000");
    settings_free(s);
}

static void flags_win_over_variables(void **state) {
    (void)state;
    static const char *const sources[] = {"file:/a b", "zookeeper:zk1,zk2:1/x/y", NULL};
    const struct settings_flags flags = {.sources = sources,
                                         .realm = "flagged",
                                         .log_level = "debug",
                                         .log_format = "json"};
    set("HATLAS_REALM", "testing");
    set("HATLAS_LOG_LEVEL", "error");
    set("HATLAS_LOG_FORMAT", "logfmt");
    set("HATLAS_SOURCE", "zookeeper:other");
    struct settings *s = parse("realm: production\nsources: [{zookeeper: zk9}]", &flags);
    assert_string_equal(s->realm, "flagged");
    assert_int_equal(s->log.level, LOG_DEBUG);
    assert_int_equal(s->log.format, LOG_JSON);
    assert_int_equal(s->source_count, 2);
    assert_int_equal(s->sources[0].kind, SOURCE_FILE);
    assert_string_equal(s->sources[0].file, "/a b");
    assert_int_equal(s->sources[1].kind, SOURCE_ZOOKEEPER);
    assert_string_equal(s->sources[1].hosts, "zk1:2181,zk2:1");
    assert_string_equal(s->sources[1].chroot, "");
    assert_string_equal(s->sources[1].root, "/x/y");
    assert_string_equal(s->sources[1].realm, "flagged");
    settings_free(s);
}

static void sources_from_a_variable(void **state) {
    (void)state;
    set("HATLAS_SOURCE", " zookeeper:zk1  file:cluster.yaml ");
    struct settings *s = parse("sources: [{zookeeper: zk9}]", NULL);
    assert_int_equal(s->source_count, 2);
    assert_string_equal(s->sources[0].hosts, "zk1:2181");
    assert_string_equal(s->sources[0].root, "/atlas");
    assert_string_equal(s->sources[1].file, "cluster.yaml");
    settings_free(s);
}

static void faults_of_variables(void **state) {
    (void)state;
    set("HATLAS_APPLY_COALESCE", "soon");
    set("HATLAS_APPLY_RUNTIME", "no");
    set("HATLAS_REALM", "a\nb");
    set("HATLAS_ROUTING_HEADER", "X Y");
    set("HATLAS_SOURCE", "etcd:x");
    assert_faults(
        "log: {level: loud}", NULL,
        "x:1:7: log.level: expected one of error, warning, notice, info, debug, found "
        "the string \"loud\"\n"
        "HATLAS_SOURCE: expected zookeeper:HOSTS/ROOT or file:PATH, found \"etcd:x\"\n"
        "HATLAS_REALM: realm: control characters and bytes that are not UTF-8 are not "
        "allowed, found the string \"a\\x0ab\"\n"
        "HATLAS_APPLY_COALESCE: apply.coalesce: expected a duration such as 250ms, 5s "
        "or 2m, from 0ms to 1m, found the string \"soon\"\n"
        "HATLAS_APPLY_RUNTIME: apply.runtime: expected true or false, found the string "
        "\"no\"\n"
        "HATLAS_ROUTING_HEADER: routing.header: expected the name of a header, found "
        "the string \"X Y\"\n");
}

static void faults_of_flags(void **state) {
    (void)state;
    static const char *const sources[] = {"zookeeper:zk1:0", "file:", "zk1:2181", NULL};
    static const char *const empty[] = {"zookeeper:", NULL};
    static const char *const bad_host[] = {"zookeeper:zk 1/a", "zookeeper:zk1/a//b",
                                           NULL};
    struct settings_flags flags = {.sources = sources, .log_level = "loud"};
    assert_faults("", &flags,
                  "--log-level: log.level: expected one of error, warning, notice, info, "
                  "debug, found the string \"loud\"\n"
                  "--source: expected zookeeper:HOSTS/ROOT or file:PATH, found "
                  "\"zk1:2181\"\n");
    flags = (struct settings_flags){.sources = empty};
    assert_faults("", &flags,
                  "--source: sources[0].zookeeper: expected a string of 1 to 4096 bytes, "
                  "found the string \"\"\n"
                  "--source: sources[0]: expected one of zookeeper and file, found "
                  "neither\n");
    flags = (struct settings_flags){.sources = bad_host};
    assert_faults("", &flags,
                  "--source: sources[0].zookeeper: expected hosts such as "
                  "zk1:2181,zk2:2181, found \"zk 1\" in \"zk 1\"\n"
                  "--source: sources[1].root: \"/a//b\" is no path of a znode\n");
}

static void variables_that_are_not_utf8(void **state) {
    (void)state;
    static const char *const sources[] = {"file:\xff", "zookeeper:\xc0\xaf/\xfe", NULL};
    const struct settings_flags flags = {.sources = sources};
    struct problems problems = {0};
    set("HATLAS_NODE_NAME", "\xff\xfe");
    assert_null(settings_parse("", 0, "x", &flags, &problems));
    assert_true(problems.count >= 4);
    problems_free(&problems);
}

static void unknown_variables(void **state) {
    (void)state;
    set("HATLAS_ROUTING_BIN", "x");
    assert_faults("", NULL,
                  "HATLAS_ROUTING_BIN: unknown variable; did you mean "
                  "HATLAS_ROUTING_BIND?\n");
    assert_int_equal(unsetenv("HATLAS_ROUTING_BIN"), 0);
    set("HATLAS_XYZ_SOMETHING_ELSE_ENTIRELY", "");
    assert_faults("", NULL, "HATLAS_XYZ_SOMETHING_ELSE_ENTIRELY: unknown variable\n");
}

static void foreign_variables(void **state) {
    (void)state;
    set("HATLAS_EXTERNAL_DIFF", "colordiff");
    set("HATLAS_TEST_ANYTHING", "x");
    set("HATLAS_SECRET", "user:password");
    set("HATLAS_SECRET_ZK2", "user:password");
    set("HATLAS_SERVICE_HOST", "10.0.0.1");
    set("HATLAS_SERVICE_PORT_HTTP", "80");
    set("HATLAS_PORT", "tcp://10.0.0.1:80");
    set("HATLAS_PORT_80_TCP_ADDR", "10.0.0.1");
    settings_free(parse("", NULL));
}

/* --- files --- */

static void load_files(void **state) {
    (void)state;
    char dir[] = "/tmp/hatlas-settings-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *one = mem_printf("%s/one.yaml", dir);
    char *two = mem_printf("%s/two.yaml", dir);
    char *none = mem_printf("%s/none.yaml", dir);
    assert_true(file_replace(one, "realm: one\n", 11, 0644, NULL));
    assert_true(file_replace(two, "realm: two\n", 11, 0644, NULL));
    struct problems problems = {0};
    struct settings_flags flags = {.config = one};

    set("HATLAS_CONFIG", two);
    struct settings *s = settings_load(&flags, &problems);
    assert_non_null(s);
    assert_string_equal(s->realm, "one");
    assert_string_equal(s->file, one);
    settings_free(s);
    s = settings_load(NULL, &problems);
    assert_non_null(s);
    assert_string_equal(s->realm, "two");
    settings_free(s);
    assert_int_equal(problems.count, 0);

    flags.config = none;
    assert_null(settings_load(&flags, &problems));
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].where, none);
    problems_free(&problems);
    (void)unlink(one);
    (void)unlink(two);
    (void)rmdir(dir);
    free(one);
    free(two);
    free(none);
}

static void load_defaults(void **state) {
    (void)state;
    if (access("/etc/hatlas/hatlas.yaml", F_OK) == 0)
        skip();
    struct problems problems = {0};
    struct settings *s = settings_load(NULL, &problems);
    assert_non_null(s);
    assert_null(s->file);
    assert_string_equal(s->realm, "local");
    settings_free(s);
    set("HATLAS_REALM", "a b");
    set("HATLAS_HAPROXY_CONTROL", "command");
    assert_null(settings_load(NULL, &problems));
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.items[0].where, "HATLAS_REALM");
    problems_free(&problems);
}

/* This program stands in a build folder: it takes the templates of its source. */
static void template_dirs(void **state) {
    (void)state;
    struct settings *s = parse("templates: [/one, two]", NULL);
    assert_string_equal(s->template_dirs[0], "/one");
    assert_string_equal(s->template_dirs[1], "two");
    assert_string_equal(s->template_dirs[2], SOURCE_DIR "/templates");
    assert_null(s->template_dirs[3]);
    settings_free(s);
    set("HATLAS_TEMPLATES", "/elsewhere");
    s = parse("", NULL);
    assert_string_equal(s->template_dirs[0], "/elsewhere");
    assert_null(s->template_dirs[1]);
    settings_free(s);
}

static void globals(void **state) {
    (void)state;
    struct settings *s =
        parse("realm: r\nnode: {name: n, zone: z}\nvars: {a: [1]}\nrouting: {mode: map}\n"
              "outputs:\n- {template: haproxy.cfg, path: /a}\n"
              "- {template: t, path: /b}\n- {template: t, path: /c}\n",
              NULL);
    static const char expected_text[] =
        "realm: r\nnode: {name: n, zone: z, near_zones: [], taken_ports: []}\nvars: {a: "
        "[1]}\n"
        "routing: {header: Runscope-Service, caller: Runscope-Caller,\n"
        "  request_id: X-Request-ID, bind: \"127.0.0.1:8000\", socket: null, mode: map,\n"
        "  host: true, suffix: null, path: false, tcp_address: 127.0.0.1,\n"
        "  tcp_port_min: 1024, tcp_port_max: 65535}\n"
        "haproxy: {control: supervise, binary: haproxy, unit: haproxy.service,\n"
        "  command: null, socket: /run/hatlas/haproxy.sock,\n"
        "  master_socket: /run/hatlas/haproxy-master.sock, hard_stop_after: 15m,\n"
        "  reload_timeout: 10s, stop_timeout: 30s, stats: \"127.0.0.1:8404\",\n"
        "  user: null, group: null, threads: null, maxconn: null, resolve: start,\n"
        "  nameserver: null,\n"
        "  ca: \"@system-ca\", ca_files: {}, error_files: {}, cache_size: 64,\n"
        "  log: null, log_format: json}\n"
        "outputs: {haproxy.cfg: /a, t: /b}\n";
    struct problems problems = {0};
    json_t *expected =
        yaml_parse(expected_text, strlen(expected_text), "expected", NULL, &problems);
    json_t *got = settings_globals(s);
    assert_true(json_equal(expected, got));
    json_decref(expected);
    json_decref(got);
    settings_free(s);
}

/* --- the pages --- */

static void example(void **state) {
    (void)state;
    struct settings_flags flags = {.config = SOURCE_DIR "/examples/hatlas.yaml"};
    struct problems problems = {0};
    struct settings *s = settings_load(&flags, &problems);
    if (!s) {
        fail_msg("%s: %s", problems.items[0].where, problems.items[0].text);
        return;
    }
    assert_string_equal(s->node_name, "host-014");
    settings_free(s);
}

/* The example shows every key: commented out ones count too. */
static void example_is_complete(const struct schema *table, const char *text) {
    for (; table->name; table++) {
        char *key = mem_printf("%s:", table->name);
        if (!strstr(text, key))
            fail_msg("examples/hatlas.yaml does not show %s", table->name);
        free(key);
        if (table->rows)
            example_is_complete(table->rows, text);
    }
}

static void example_shows_all(void **state) {
    (void)state;
    struct buffer text = BUFFER_INIT;
    read_text(SOURCE_DIR "/examples/hatlas.yaml", &text);
    example_is_complete(settings_schema, buffer_str(&text));
    buffer_free(&text);
}

static const char *const type_names[] = {
    [SCHEMA_BOOL] = "true or false",
    [SCHEMA_INT] = "whole number",
    [SCHEMA_TEXT] = "text",
    [SCHEMA_NAME] = "name",
    [SCHEMA_HOST] = "host",
    [SCHEMA_ADDRESS] = "address",
    [SCHEMA_PATH] = "path",
    [SCHEMA_URI_PATH] = "URI path",
    [SCHEMA_DURATION] = "duration",
    [SCHEMA_PERCENT] = "percent",
    [SCHEMA_LIST_OF_TEXT] = "list of texts",
    [SCHEMA_LIST_OF_NAMES] = "list of names",
    [SCHEMA_LIST_OF_OBJECTS] = "list of objects",
    [SCHEMA_OBJECT] = "object",
    [SCHEMA_MAP_OF_TEXT] = "map of texts",
    [SCHEMA_MAP_OF_OBJECTS] = "map of objects",
    [SCHEMA_ANY] = "any",
};

/* The type and the default as README.md has to write them. */
static void describe_row(const struct schema *row, struct buffer *out) {
    if (row->type == SCHEMA_CHOICE)
        for (const char *const *choice = row->choices; *choice; choice++)
            buffer_printf(out, "%s`%s`", choice == row->choices ? "" : ", ", *choice);
    else
        buffer_puts(out, type_names[row->type]);
    const char *fallback = row->fallback;
    size_t len = fallback ? strlen(fallback) : 0;
    bool number =
        fallback && fallback[0] == '"' && strspn(fallback + 1, "0123456789") == len - 2;
    if (!fallback)
        buffer_puts(out, row->required ? " | required | " : " | – | ");
    else if (fallback[0] == '"' && !number)
        buffer_printf(out, " | `%.*s` | ", (int)len - 2, fallback + 1);
    else
        buffer_printf(out, " | `%s` | ", fallback);
}

static size_t check_reference(const struct schema *table, const char *prefix,
                              const char *page) {
    size_t rows = 0;
    for (; table->name; table++, rows++) {
        struct buffer line = BUFFER_INIT;
        char *key = mem_printf("%s%s%s", prefix, *prefix ? "." : "", table->name);
        buffer_printf(&line, "\n| `%s` | ", key);
        describe_row(table, &line);
        const char *found = strstr(page, buffer_str(&line));
        if (!found) {
            fail_msg("lib/settings/README.md lacks %s", buffer_str(&line) + 1);
            return 0;
        }
        char *rest = mem_strndup(found + line.len, strcspn(found + line.len, "\n"));
        if (!strstr(rest, "no effect yet") != !strstr(table->text, "no effect yet"))
            fail_msg("%s: README.md and the table differ on \"no effect yet\"", key);
        if (table->rows)
            rows += check_reference(table->rows, key, page);
        free(rest);
        free(key);
        buffer_free(&line);
    }
    return rows;
}

/* Every key of the table stands in README.md with its type and default, and no other
 * does: the rows of the chapter on keys are as many as the table's. */
static void reference(void **state) {
    (void)state;
    struct buffer page = BUFFER_INIT;
    read_text(SOURCE_DIR "/lib/settings/README.md", &page);
    const char *begin = strstr(buffer_str(&page), "\n## Keys\n");
    const char *end = strstr(buffer_str(&page), "\n### Types\n");
    assert_true(begin && end > begin);
    char *keys = mem_strndup(begin, (size_t)(end - begin));
    size_t said = 0;
    for (const char *row = keys; (row = strstr(row, "\n| `")); row++) {
        char *key = mem_strndup(row + 4, strcspn(row + 4, "`"));
        if (!schema_find(settings_schema, key))
            fail_msg("lib/settings/README.md names %s, which is no key", key);
        free(key);
        said++;
    }
    assert_int_equal(said, check_reference(settings_schema, "", keys));
    free(keys);
    buffer_free(&page);
}

/* Every default is one that its own row takes: loading it adds no fault and loses no key.
 */
static void check_fallbacks(const struct schema *table) {
    for (; table->name; table++) {
        if (table->fallback) {
            struct problems problems = {0};
            struct error error;
            struct schema_input from = {.problems = &problems};
            json_t *raw =
                json_parse(table->fallback, strlen(table->fallback), "x", &error);
            assert_non_null(raw);
            json_t *value = schema_value(table, raw, table->name, "x", true, &from);
            if (!value || problems.count)
                fail_msg("the default of %s is not good", table->name);
            json_decref(value);
            json_decref(raw);
        }
        if (table->rows)
            check_fallbacks(table->rows);
    }
}

static void fallbacks(void **state) {
    (void)state;
    check_fallbacks(settings_schema);
}

/* The messages that README.md shows are those that are really said. */
static void reference_messages(void **state) {
    (void)state;
    struct buffer page = BUFFER_INIT;
    struct buffer said = BUFFER_INIT;
    struct problems problems = {0};
    static const char text[] = "realm: local\n"
                               "apply:\n"
                               "        coalesce: soon\n\n\n\nouputs: []\n";
    read_text(SOURCE_DIR "/lib/settings/README.md", &page);
    set("HATLAS_ROUTING_BIN", ":80");
    assert_null(settings_parse(text, strlen(text), "hatlas.yaml", NULL, &problems));
    say_problems(&problems, &said);
    if (!strstr(buffer_str(&page), buffer_str(&said)))
        fail_msg("lib/settings/README.md does not show\n%s", said.data);
    problems_free(&problems);
    buffer_free(&page);
    buffer_free(&said);
}

#define TEST(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, clear_environment, clear_environment)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(valid_cases),
        TEST(invalid_cases),
        TEST(no_cut_makes_it_crash),
        TEST(struct_of_defaults),
        TEST(struct_of_everything),
        TEST(connect_strings),
        TEST(bad_connect_strings),
        TEST(roots),
        TEST(checked_outputs),
        TEST(places_of_free_parts),
        TEST(variables_win_over_the_file),
        TEST(flags_win_over_variables),
        TEST(sources_from_a_variable),
        TEST(faults_of_variables),
        TEST(faults_of_flags),
        TEST(variables_that_are_not_utf8),
        TEST(unknown_variables),
        TEST(foreign_variables),
        TEST(load_files),
        TEST(load_defaults),
        TEST(template_dirs),
        TEST(globals),
        TEST(example),
        TEST(example_shows_all),
        TEST(reference),
        TEST(fallbacks),
        TEST(reference_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
