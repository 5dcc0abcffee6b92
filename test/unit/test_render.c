/* Templates: cases in folders, the examples of templates/README.md, limits, hostile
 * values, and what HAProxy says of the shipped templates. */
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "catalog/fields.h"
#include "catalog/text.h"
#include "render/render.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char default_options[] =
    "globals:\n"
    "  realm: local\n"
    "  node: {name: node-1, zone: null, near_zones: [], taken_ports: []}\n"
    "  routing: {header: Runscope-Service, caller: Runscope-Caller,\n"
    "            request_id: X-Request-ID, bind: '127.0.0.1:8000', socket: null,\n"
    "            mode: auto, host: true, suffix: null, path: false,\n"
    "            tcp_address: 127.0.0.1, tcp_port_min: 1024, tcp_port_max: 65535}\n"
    "  haproxy: {socket: /tmp/hatlas-test.sock, hard_stop_after: 15m,\n"
    "            stats: '127.0.0.1:8404', user: null, group: null, threads: null,\n"
    "            maxconn: null, resolve: start, nameserver: null, ca: '@system-ca',\n"
    "            ca_files: {}, error_files: {}, cache_size: 64, log: null, log_format: "
    "json}\n"
    "  outputs: {haproxy.cfg: /run/hatlas/haproxy.cfg,\n"
    "            services.map: /run/hatlas/services.map, hosts: /etc/hosts.d/atlas}\n"
    "  vars: {}\n";

/* A folder for one test's files. */
static char *make_dir(void) {
    char path[] = "/tmp/test_render.XXXXXX";
    assert_non_null(mkdtemp(path));
    return mem_strdup(path);
}

static int remove_entry(const char *path, const struct stat *info, int kind,
                        struct FTW *ftw) {
    (void)info, (void)kind, (void)ftw;
    return remove(path);
}

static void remove_dir(char *path) {
    assert_int_equal(nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(path);
}

static void put(const char *dir, const char *name, const char *text, size_t len) {
    char *path = mem_printf("%s/%s", dir, name);
    struct error error;
    if (!file_replace(path, text, len, 0644, &error))
        fail_msg("%s", error.text);
    free(path);
}

/* Appends the file's text; returns whether it is there. */
static bool take(const char *dir, const char *name, struct buffer *out) {
    char *path = mem_printf("%s/%s", dir, name);
    bool found = file_read(path, 1 << 24, out, NULL);
    free(path);
    return found;
}

static json_t *parse_options(const char *text) {
    struct problems problems = {0};
    json_t *options = yaml_parse(text, strlen(text), "options", NULL, &problems);
    if (!options)
        fail_msg("%s: %s", problems.items[0].where, problems.items[0].text);
    return options;
}

static struct catalog *parse_catalog(const char *text, const char *name) {
    struct problems problems = {0};
    if (!*text)
        text = "services: {}";
    struct catalog *catalog = catalog_read(text, strlen(text), name, NULL, &problems);
    if (!catalog || problems.count)
        fail_msg("%s: %s", problems.items[0].where, problems.items[0].text);
    problems_free(&problems);
    return catalog;
}

/* One renderer with what it borrows. */
struct fixture {
    json_t *options;
    struct catalog *catalog;
    struct renderer *renderer;
    struct buffer out;
    struct error error;
};

static const char *option_text(const json_t *options, const char *name) {
    return json_string_value(json_object_get(options, name));
}

static void open_fixture(struct fixture *fixture, const char *dir, const char *catalog,
                         const char *options) {
    *fixture = (struct fixture){0};
    json_t *defaults = parse_options(default_options);
    fixture->options = parse_options(options);
    assert_int_equal(json_object_update_missing(fixture->options, defaults), 0);
    json_decref(defaults);
    fixture->catalog = parse_catalog(catalog, "catalog.yaml");
    const char *dirs[] = {dir, NULL};
    const char *const *kept = memcpy(mem_zalloc(sizeof dirs), dirs, sizeof dirs);
    struct render_options render = {
        .dirs = kept,
        .globals = json_object_get(fixture->options, "globals"),
        .defaults = json_object_get(fixture->options, "defaults"),
        .overrides = json_object_get(fixture->options, "overrides"),
        .order_seed = option_text(fixture->options, "order_seed"),
    };
    fixture->renderer = renderer_new(&render);
    assert_int_equal(
        json_object_set_new(fixture->options, "dirs", json_integer((intptr_t)kept)), 0);
}

static void close_fixture(struct fixture *fixture) {
    renderer_free(fixture->renderer);
    free((void *)(intptr_t)json_integer_value(json_object_get(fixture->options, "dirs")));
    json_decref(fixture->options);
    catalog_unref(fixture->catalog);
    buffer_free(&fixture->out);
}

static bool render(struct fixture *fixture, const char *template) {
    buffer_clear(&fixture->out);
    buffer_puts(&fixture->out, "before|");
    bool good = renderer_render(fixture->renderer, template, fixture->catalog,
                                &fixture->out, &fixture->error);
    assert_memory_equal(buffer_str(&fixture->out), "before|", 7);
    if (!good)
        assert_string_equal(buffer_str(&fixture->out), "before|");
    return good;
}

static const char *result(const struct fixture *fixture) {
    return buffer_str(&fixture->out) + 7;
}

static char *error_line(const struct error *error) {
    struct buffer text = BUFFER_INIT;
    error_format(error, &text);
    buffer_putc(&text, '\n');
    return buffer_steal(&text);
}

static void expect_text(struct fixture *fixture, const char *template,
                        const char *expected, const char *name) {
    if (!render(fixture, template))
        fail_msg("%s: %s: %s", name, fixture->error.where, fixture->error.text);
    if (strcmp(result(fixture), expected) != 0) {
        (void)fprintf(stderr, "expected:\n%sgot:\n%s", expected, result(fixture));
        fail_msg("%s: another text than expected", name);
    }
}

static void expect_error(struct fixture *fixture, const char *template,
                         const char *expected, const char *name) {
    if (render(fixture, template))
        fail_msg("%s: expected an error, got:\n%s", name, result(fixture));
    char *line = error_line(&fixture->error);
    if (strcmp(line, expected) != 0)
        fail_msg("%s: expected:\n%sgot:\n%s", name, expected, line);
    free(line);
}

static const char *template_of(const char *dir) {
    static const char *const names[] = {"template.cfg", "template.map", "template.txt"};
    for (size_t i = 0; i < 3; i++) {
        char *path = mem_printf("%s/%s", dir, names[i]);
        bool found = access(path, R_OK) == 0;
        free(path);
        if (found)
            return names[i];
    }
    fail_msg("%s: no template", dir);
    return NULL;
}

static void run_case(const char *dir, bool valid) {
    struct buffer catalog = BUFFER_INIT;
    struct buffer options = BUFFER_INIT;
    struct buffer expected = BUFFER_INIT;
    struct fixture fixture;
    (void)take(dir, "catalog.yaml", &catalog);
    (void)take(dir, "options.yaml", &options);
    open_fixture(&fixture, dir, buffer_str(&catalog), buffer_str(&options));
    if (!take(dir, valid ? "expected" : "expected_error", &expected))
        fail_msg("%s: nothing is expected", dir);
    const char *template = template_of(dir);
    for (int i = 0; i < 2; i++) /* the second time with what the first left behind */
        (valid ? expect_text : expect_error)(&fixture, template, buffer_str(&expected),
                                             dir);
    close_fixture(&fixture);
    buffer_free(&catalog);
    buffer_free(&options);
    buffer_free(&expected);
}

static void run_cases(const char *dir, bool valid) {
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);
    int run = 0;
    if (count < 0)
        fail_msg("%s: %s", dir, strerror(errno));
    for (int i = 0; i < count; i++) {
        char *path = mem_printf("%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            run_case(path, valid);
            run++;
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    assert_true(run > 10);
}

static void test_valid(void **state) {
    (void)state;
    run_cases(SOURCE_DIR "/test/unit/render/valid", true);
}

static void test_invalid(void **state) {
    (void)state;
    run_cases(SOURCE_DIR "/test/unit/render/invalid", false);
}

/* Finds the next fenced block; `info` receives what stands behind the fence's ```. */
static const char *next_block(const char *p, char *info, size_t size,
                              struct buffer *text) {
    const char *open = strncmp(p, "```", 3) ? strstr(p, "\n```") : p - 1;
    buffer_clear(text);
    if (!open)
        return NULL;
    const char *line_end = strchr(open + 1, '\n');
    const char *close = strstr(line_end, "\n```");
    assert_non_null(close);
    (void)snprintf(info, size, "%.*s", (int)(line_end - open - 4), open + 4);
    if (close > line_end)
        buffer_append(text, line_end + 1, (size_t)(close - line_end));
    return close + 4;
}

/* One example: templates, the first of which is rendered, and what comes of it. */
struct example {
    char *dir;
    char main[64];
    char *catalog;
    char *service; /* in place of the catalog, for one example */
    size_t count;
};

static void example_template(struct example *example, const char *info,
                             const char *text) {
    const char *name = info[8] ? info + 9 : "example.cfg";
    if (!example->main[0])
        (void)snprintf(example->main, sizeof example->main, "%s", name);
    put(example->dir, name, text, strlen(text));
}

static void example_end(struct example *example, const char *text, bool valid) {
    struct fixture fixture;
    open_fixture(&fixture, example->dir,
                 example->service ? example->service : example->catalog, "");
    assert_true(example->main[0]);
    (valid ? expect_text : expect_error)(&fixture, example->main, text, text);
    close_fixture(&fixture);
    example->main[0] = '\0';
    free(example->service);
    example->service = NULL;
    example->count++;
}

static void copy_shipped(const struct example *example, const char *name) {
    struct buffer text = BUFFER_INIT;
    assert_true(take(SOURCE_DIR "/templates", name, &text));
    put(example->dir, name, buffer_str(&text), text.len);
    buffer_free(&text);
}

/* The fields of a service in YAML, and what service.cfg makes of it. */
static void example_service(struct example *example, const char *fields) {
    static const char main_text[] =
        "% include('service.cfg', {service = services.teams})\n";
    struct buffer catalog = BUFFER_INIT;
    copy_shipped(example, "service.cfg");
    copy_shipped(example, "fields.cfg");
    copy_shipped(example, "servers.cfg");
    put(example->dir, "service-example.cfg", main_text, sizeof main_text - 1);
    buffer_puts(&catalog, "services:\n  teams:\n");
    for (const char *line = fields; *line; line += strcspn(line, "\n") + 1)
        buffer_printf(&catalog, "    %.*s\n", (int)strcspn(line, "\n"), line);
    (void)snprintf(example->main, sizeof example->main, "service-example.cfg");
    example->service = buffer_steal(&catalog);
}

/* Every field stands in the reference, and no other does. */
static size_t check_reference(const struct schema *table, const char *prefix,
                              const char *page) {
    size_t count = 0;
    for (; table->name; table++, count++) {
        char *row = mem_printf("\n| `%s%s` | ", prefix, table->name);
        char *inner = mem_printf("%s%s.", prefix, table->name);
        if (!strstr(page, row))
            fail_msg("templates/README.md lacks %s%s", prefix, table->name);
        if (table->rows)
            count += check_reference(table->rows, inner, page);
        free(row);
        free(inner);
    }
    return count;
}

static void check_chapter(const struct schema *table, const char *title,
                          const char *page) {
    size_t rows = 0;
    const char *start = strstr(page, title);
    assert_non_null(start);
    char *chapter = mem_strndup(start, (size_t)(strstr(start + 1, "\n### ") - start));
    for (const char *row = chapter; (row = strstr(row, "\n| `")); row++)
        rows++;
    assert_int_equal(check_reference(table, "", chapter), rows);
    free(chapter);
}

static void test_reference(void **state) {
    (void)state;
    struct buffer page = BUFFER_INIT;
    assert_true(take(SOURCE_DIR "/templates", "README.md", &page));
    check_chapter(service_schema, "### Fields of a service\n", buffer_str(&page));
    check_chapter(host_schema, "### Fields of a host\n", buffer_str(&page));
    buffer_free(&page);
}

static void test_readme(void **state) {
    (void)state;
    struct buffer readme = BUFFER_INIT;
    struct buffer text = BUFFER_INIT;
    struct example example = {.dir = make_dir()};
    char info[64];
    assert_true(take(SOURCE_DIR "/templates", "README.md", &readme));
    const char *p = readme.data;
    while ((p = next_block(p, info, sizeof info, &text))) {
        if (!strcmp(info, "yaml"))
            example.catalog = mem_strdup(buffer_str(&text));
        else if (!strcmp(info, "service"))
            example_service(&example, buffer_str(&text));
        else if (!strncmp(info, "template", 8))
            example_template(&example, info, buffer_str(&text));
        else if (!strcmp(info, "output") || !strcmp(info, "error"))
            example_end(&example, buffer_str(&text), !strcmp(info, "output"));
        else
            fail_msg("a block of kind '%s'", info);
    }
    assert_true(example.count > 20);
    free(example.catalog);
    remove_dir(example.dir);
    buffer_free(&readme);
    buffer_free(&text);
}

/* Renders one template given as text. */
static void expect_of_text(const char *name, const char *template, const char *text,
                           const char *error) {
    struct fixture fixture;
    char *dir = make_dir();
    put(dir, name, template, strlen(template));
    open_fixture(&fixture, dir, "services: {a: {hosts: []}}", "");
    if (text)
        expect_text(&fixture, name, text, template);
    else
        expect_error(&fixture, name, error, template);
    close_fixture(&fixture);
    remove_dir(dir);
}

static const struct {
    const char *template, *error;
} limits[] = {
    {"% while true do end\n",
     "x.cfg:1: the template runs too long: over 200 million steps\n"},
    {"\n% while true do\ntext\n% end\n",
     "x.cfg:3: the template prints more than 128 MiB\n"},
    {"% local t, x = {}, ('x'):rep(1e6)\n% for i = 1, 1e9 do t[i] = x .. i end\n",
     "x.cfg:2: the template needs more than 256 MiB of memory, or a string longer than "
     "32 MiB\n"},
    {"% local s = 'x'\n% for i = 1, 100 do s = s .. s end\n",
     "x.cfg:2: the template needs more than 256 MiB of memory, or a string longer than "
     "32 MiB\n"},
    {"% local s = ('x'):rep(1e12)\n",
     "x.cfg:1: the template runs too long: over 200 million steps\n"},
    {"% local s = (''):rep(1e12)\n",
     "x.cfg:1: the template runs too long: over 200 million steps\n"},
    {"% local s = ('a'):rep(40)\n% s = s:find(('a?'):rep(40) .. ('a'):rep(40))\n",
     "x.cfg:2: the template runs too long: over 200 million steps\n"},
    {"% local s = ('a'):rep(9999)\n% s = s:find('.-.-.-b')\n",
     "x.cfg:2: the template runs too long: over 200 million steps\n"},
    {"% local s = ('a'):rep(9999)\n% s = string.gsub(s, '(.-).-b', '')\n",
     "x.cfg:2: the template runs too long: over 200 million steps\n"},
    {"% local s = ('a'):rep(9999)\n% for m in s:gmatch('[%]*].-%1-b') do end\n",
     "x.cfg:2: the template runs too long: over 200 million steps\n"},
    {"% local t = {}\n% for i = 1, 1e6 do t[i] = -i end\n"
     "% while true do table.sort(t) end\n",
     "x.cfg:3: the template runs too long: over 200 million steps\n"},
    {"% local t = {}\n% for i = 1, 1e6 do table.insert(t, 1, i) end\n",
     "x.cfg:2: the template runs too long: over 200 million steps\n"},
    {"% local function f() return f() + 1 end\n% f()\n", "x.cfg:1: stack overflow\n"},
    {"% local function f() include('x.cfg') end\n% f()\n",
     "x.cfg:1: include: 'x.cfg' includes itself\n"},
    {"% local t = {}\n% t.t = t\n{{ json(t) }}\n",
     "x.cfg:3: json: nested too deeply, or too long\n"},
    {"% while true do local x = services.a.check end\n",
     "x.cfg:1: the template needs more than 256 MiB of memory\n"},
};

static void test_limits(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct fixture fixture;
        char *dir = make_dir();
        put(dir, "x.cfg", limits[i].template, strlen(limits[i].template));
        put(dir, "good.cfg", "fine\n", 5);
        open_fixture(&fixture, dir, "services: {a: {hosts: []}}", "");
        expect_error(&fixture, "x.cfg", limits[i].error, limits[i].template);
        expect_text(&fixture, "good.cfg", "fine\n", "after a limit");
        close_fixture(&fixture);
        remove_dir(dir);
    }
}

/* What templates do not get, each with what it would give them: the world outside, code
 * from text, the catching of limits, other tables' metatables, results that vary. */
static const char *const absent[] = {
    "io",
    "os",
    "require",
    "package",
    "dofile",
    "loadfile",
    "debug",
    "print",
    "load",
    "string.dump",
    "(''):dump",
    "pcall",
    "xpcall",
    "coroutine",
    "warn",
    "setmetatable",
    "getmetatable",
    "rawget",
    "rawset",
    "rawequal",
    "rawlen",
    "next",
    "_G",
    "collectgarbage",
    "math.random",
    "table.move",
    "string.pack",
    "string.rep.x",
    "math.randomseed",
    "_ENV.os",
};

static void test_sandbox(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        struct fixture fixture;
        char *dir = make_dir();
        char *template = mem_printf("text\n%% local x = %s%s\n", absent[i],
                                    strchr(absent[i], '(') ? "()" : "");
        put(dir, "x.cfg", template, strlen(template));
        open_fixture(&fixture, dir, "", "");
        if (render(&fixture, "x.cfg"))
            fail_msg("templates have %s", absent[i]);
        assert_string_equal(fixture.error.where, "x.cfg:2");
        if (!strstr(fixture.error.text, ": no such name") &&
            strcmp(absent[i], "string.rep.x") != 0)
            fail_msg("%s: %s", absent[i], fixture.error.text);
        close_fixture(&fixture);
        free(template);
        remove_dir(dir);
    }
}

static const struct {
    const char *quoted; /* as Lua reads it */
    const char *fault;
} refused[] = {
    {"a\\nb", "has a newline in it"},
    {"a\\n", "has a newline in it"},
    {"a\\0b", "has a NUL byte in it"},
    {"\\r", "has a control character or invalid UTF-8 in it"},
    {"a\\tb", "has a control character or invalid UTF-8 in it"},
    {"\\127", "has a control character or invalid UTF-8 in it"},
    {"\\u{85}", "has a control character or invalid UTF-8 in it"},
    {"\\255", "has a control character or invalid UTF-8 in it"},
    {"\\xed\\xa0\\x80", "has a control character or invalid UTF-8 in it"},
};

static const char *const contexts[][3] = {
    {"x.cfg", "description ", ""},
    {"x.cfg", "description \"a ", " b\""},
    {"x.cfg", "description 'a ", " b'"},
    {"x.cfg", "# ", ""},
    {"x.txt", "", ""},
    {"x.map", "key ", ""},
};

static void test_refused_values(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        for (size_t j = 0; j < sizeof contexts / sizeof *contexts; j++) {
            const char *name = contexts[j][0];
            char *template = mem_printf("%s{{ \"%s\" }}%s\n", contexts[j][1],
                                        refused[i].quoted, contexts[j][2]);
            char *error = mem_printf("%s:1: value of '\"%s\"' %s\n", name,
                                     refused[i].quoted, refused[i].fault);
            expect_of_text(name, template, NULL, error);
            free(template);
            free(error);
        }
}

/* Printed, and read by HAProxy as they are: .notice tells what it read. */
static const char *const hostile[] = {
    "'",       "''",        "\"",     "\\",   "a\\",         "\\\"",    "$HOME",
    "${HOME}", "$(id)",     "#",      " # x", "a b",         " ",       "}}",
    "{{ 1 }}", "% end",     "%[src]", "`id`", "é'\"\\",      "a; b",    "a,b",
    "!x",      "{",         "*",      "'; #", "\" \"x\" \"", "' 'x' '", "\\' \\\" \\$",
    "'$HOME'", "\"$HOME\"",
};

static const char notices[] = "% for _, value in ipairs(vars.list) do\n"
                              ".notice {{ value }}\n"
                              ".notice x{{ value }}y\n"
                              ".notice \"x {{ value }} y\"\n"
                              ".notice 'x {{ value }} y'\n"
                              "% end\n"
                              "global\n"
                              "    maxconn 10\n";

static const char *const notice_around[][2] = {
    {"", ""}, {"x", "y"}, {"x ", " y"}, {"x ", " y"}};

/* Options whose vars.list are the hostile values, and a long one. */
static char *hostile_options(char *longest, size_t len) {
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        assert_int_equal(json_array_append_new(list, json_string(hostile[i])), 0);
    memset(longest, '\'', len);
    longest[len] = '\0';
    assert_int_equal(json_array_append_new(list, json_string(longest)), 0);
    json_t *options = json_pack("{s: {s: {s: o}}}", "globals", "vars", "list", list);
    char *text = json_dumps(options, 0);
    json_decref(options);
    return text;
}

static void check_notices(const char *output, size_t line, const char *value) {
    for (size_t i = 0; i < 4; i++) {
        char *notice = mem_printf(":%zu]: '%s%s%s'.\n", line + i, notice_around[i][0],
                                  value, notice_around[i][1]);
        if (!strstr(output, notice))
            fail_msg("HAProxy did not read %s", notice);
        free(notice);
    }
}

static void test_hostile_values(void **state) {
    (void)state;
    enum { LONGEST = 1000, COUNT = sizeof hostile / sizeof *hostile };
    char longest[LONGEST + 1];
    char *options = hostile_options(longest, LONGEST);
    struct buffer output = BUFFER_INIT;
    struct fixture fixture;
    struct error error = {0};
    int code = -1;
    char *dir = make_dir();
    char *path = mem_printf("%s/out.cfg", dir);
    put(dir, "x.cfg", notices, sizeof notices - 1);
    open_fixture(&fixture, dir, "", options);
    if (!render(&fixture, "x.cfg"))
        fail_msg("%s: %s", fixture.error.where, fixture.error.text);
    put(dir, "out.cfg", result(&fixture), strlen(result(&fixture)));
    const char *argv[] = {"haproxy", "-c", "-f", path, NULL};
    (void)child_run(argv, 60000, &output, &code, &error);
    if (code != 0 && code != 2) /* 2: valid, but without a listener */
        fail_msg("haproxy: %d: %s%s", code, error.text, buffer_str(&output));
    for (size_t i = 0; i < COUNT; i++)
        check_notices(buffer_str(&output), 4 * i + 1, hostile[i]);
    check_notices(buffer_str(&output), 4 * (size_t)COUNT + 1, longest);
    close_fixture(&fixture);
    buffer_free(&output);
    free(options);
    free(path);
    remove_dir(dir);
}

static void test_long_values(void **state) {
    (void)state;
    struct buffer expected = BUFFER_INIT;
    buffer_puts(&expected, "description ");
    for (int i = 0; i < 5000; i++)
        buffer_putc(&expected, 'x');
    buffer_putc(&expected, '\n');
    expect_of_text("x.cfg", "description {{ (\"x\"):rep(5000) }}\n", expected.data, NULL);
    expect_of_text("x.cfg", "description {{ (\"x\"):rep(20000) }}\n", NULL,
                   "x.cfg:1: the line has 20012 bytes; HAProxy's lines end at 16384\n");
    expect_of_text("x.cfg", "a {{ raw((\"x \"):rep(64)) }}\n", NULL,
                   "x.cfg:1: the line has 65 words; HAProxy reads 64 of a line\n");
    buffer_free(&expected);
}

static void test_changed_file(void **state) {
    (void)state;
    struct fixture fixture;
    char *dir = make_dir();
    put(dir, "x.cfg", "% include('y.cfg')\n", 19);
    put(dir, "y.cfg", "one\n", 4);
    open_fixture(&fixture, dir, "", "");
    expect_text(&fixture, "x.cfg", "one\n", "first");
    expect_text(&fixture, "x.cfg", "one\n", "again");
    put(dir, "y.cfg", "two\n", 4);
    expect_text(&fixture, "x.cfg", "two\n", "changed");
    put(dir, "y.cfg", "% end\n", 6);
    expect_error(&fixture, "x.cfg",
                 "y.cfg:1: <eof> expected near 'end' (included from x.cfg:1)\n",
                 "broken");
    put(dir, "y.cfg", "three\n", 6);
    expect_text(&fixture, "x.cfg", "three\n", "mended");
    close_fixture(&fixture);
    remove_dir(dir);
}

static void test_names(void **state) {
    (void)state;
    static const char *const names[] = {"../x.cfg",   "/etc/passwd", "",    ".x",
                                        "a/../x.cfg", "x.cfg/",      "a//b"};
    struct fixture fixture;
    open_fixture(&fixture, "/nowhere", "", "");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_false(render(&fixture, names[i]));
        assert_string_equal(
            fixture.error.text,
            "a template is named by its path below a folder of templates");
    }
    expect_error(&fixture, "x.cfg", "x.cfg: no such template in /nowhere\n", "missing");
    close_fixture(&fixture);
}

static const char many_hosts[] = "services: {a: {hosts: [{host: h1, port: 1},"
                                 "{host: h2, port: 1}, {host: h3, port: 1},"
                                 "{host: h4, port: 1}, {host: h5, port: 1},"
                                 "{host: h6, port: 1}, {host: h7, port: 1}]}}";
static const char order_template[] =
    "% for _, host in ipairs(services.a.hosts) do\n{{ host.host }}\n% end\n";

static void test_order(void **state) {
    (void)state;
    char *orders[3];
    const char *const options[] = {"", "order_seed: node-1", "order_seed: node-2"};
    char *dir = make_dir();
    put(dir, "x.txt", order_template, sizeof order_template - 1);
    for (size_t i = 0; i < 3; i++) {
        struct fixture fixture;
        open_fixture(&fixture, dir, many_hosts, options[i]);
        assert_true(render(&fixture, "x.txt"));
        orders[i] = mem_strdup(result(&fixture));
        expect_text(&fixture, "x.txt", orders[i], "the same again");
        close_fixture(&fixture);
    }
    assert_string_equal(orders[0], "h1\nh2\nh3\nh4\nh5\nh6\nh7\n");
    assert_string_not_equal(orders[0], orders[1]);
    assert_string_not_equal(orders[1], orders[2]);
    for (size_t i = 0; i < 3; i++)
        free(orders[i]);
    remove_dir(dir);
}

/* Services of every kind that the shipped templates tell apart, those of http first. */
static const char *const kinds[] = {
    "hosts: [{host: 127.0.0.1, port: 81}, {host: '::1', port: 82, backup: true}]",
    "check: {path: /health, interval: 500ms}, aliases: [Alias-%zu, alias.%zu],"
    "hosts: [{host: 127.0.0.1, port: 81, weight: 3, maxconn: 10, enabled: false}]",
    "hosts: [], retries: 1, maxconn: 7,"
    "timeouts: {connect: 1s, server: 5s, queue: 1s, tunnel: 1m}",
    "check: {type: none}, balance: leastconn, maxconn: 9, slow_start: 5s, agent: {port: "
    "9},"
    "hosts: [{host: localhost, port: 81, drain: true}, {host: '::1', port: 81}]",
    "balance: source, check: {type: http}, hosts: [{host: 127.0.0.1, port: 81}]",
    "balance: random, check: {type: tcp, path: /x}, labels: {a: \"it's\"}, retries: 0,"
    "hosts: [{host: 127.0.0.1, port: 81, zone: a, id: \"it's # $HOME\"}]",
    "check: {path: \"/a#b$HOME\", host: a.example, status: '200-299,404', method: HEAD,"
    "rise: 1, fall: 2, port: 99}, slow_start: 10s, eject_after: 5,"
    "agent: {port: 7000, interval: 1s}, zones: weigh,"
    "hosts: [{host: 127.0.0.1, port: 81, zone: a}, {host: 127.0.0.1, port: 82, zone: b}]",
    "sticky: {cookie: SRV}, idempotent: true, retry_on: [conn-failure, 500],"
    "hosts: [{host: 127.0.0.1, port: 81}, {host: 127.0.0.1, port: 82, zone: c}]",
    "sticky: {header: X-User}, on_all_down: panic, check: {path: /, status: 200},"
    "hosts: [{host: 127.0.0.1, port: 81}, {host: 127.0.0.1, port: 82, drain: true}]",
    "tls: {verify: none}, protocol: h2, proxy_protocol: v2, on_all_down: panic,"
    "idempotent: true, hosts: [{host: 127.0.0.1, port: 81}]",
    "tls: {name: x.example, ca: other}, check: {path: /}, proxy_protocol: v1,"
    "hosts: [{host: localhost, port: 81}]",
    "tls: {enabled: true, ca: unknown}, zones: strict, balance: uri, slow_start: 1s,"
    "hosts: [{host: 127.0.0.1, port: 81, zone: b}, {host: 127.0.0.1, port: 82, zone: a}]",
    "protocol: h2, balance: first, eject_after: 1, agent: {port: 5}, slow_start: 5s,"
    "hosts: [{host: 127.0.0.1, port: 81, zone: b, backup: true}]",
    "cache: {max_age: 1500ms}, maxconn: 3, balance: static-rr, slow_start: 5s,"
    "limit: {rate: 10, period: 10s, requests: 4, queue: 3}, hosts: []",
    "mode: tcp, port: 3%03zu, timeouts: {client: 5s},"
    "hosts: [{host: 127.0.0.1, port: 81, backup: true, maxconn: 3, drain: true}]",
    "mode: tcp, hosts: [{host: 127.0.0.1, port: 81}]",
    "mode: tcp, port: 4%03zu, hosts: [], on_all_down: panic",
    "mode: tcp, port: 4242, check: {type: redis}, hosts: []",
    "mode: tcp, port: 443, check: {type: redis}, hosts: []",
    "mode: tcp, port: 5%03zu, check: {type: redis}, balance: source,"
    "hosts: [{host: 127.0.0.1, port: 81}]",
    "mode: tcp, port: 6%03zu, check: {type: pgsql, user: me}, eject_after: 3,"
    "hosts: [{host: 127.0.0.1, port: 81}]",
    "mode: tcp, port: 7%03zu, check: {type: mysql}, on_all_down: panic,"
    "hosts: [{host: 127.0.0.1, port: 81}]",
    "mode: tcp, port: 8%03zu, check: {type: smtp}, tls: {enabled: true},"
    "sticky: {cookie: a, header: b}, cache: {max_age: 5s}, limit: {rate: 4},"
    "idempotent: true, protocol: h2, proxy_protocol: v2, retry_on: [500],"
    "hosts: [{host: 127.0.0.1, port: 81}]",
    "mode: tcp, port: 9%03zu, check: {type: http, path: /x, host: x}, hosts: []",
};

enum { KINDS = sizeof kinds / sizeof *kinds, HTTP_KINDS = 14 };

/* What hatlas.yaml may say besides. */
static const char *const setups[] = {
    "",
    "node: {name: n, zone: a, near_zones: [b, c]}, "
    "more_routing: {socket: %s/services.sock, suffix: Service.local, path: true}, "
    "more_haproxy: {threads: 2, maxconn: 1000, resolve: dns, log: '127.0.0.1:514',"
    " ca_files: {other: /etc/ssl/certs/ca-certificates.crt}}",
    "more_routing: {host: false, suffix: x, request_id: ''}, "
    "more_haproxy: {log: stdout, log_format: haproxy, error_files: {'404': %s/error,"
    " '503': %s/error}, ca: /etc/ssl/certs/ca-certificates.crt}",
};

enum { SETUPS = sizeof setups / sizeof *setups };

/* One shape of registry and settings. */
struct shape {
    size_t count, first_kind, kinds;
    const char *mode, *stats;
    size_t setup;
};

static void write_services(const struct shape *shape, struct buffer *out) {
    buffer_puts(out, "services:\n");
    for (size_t i = 0; i < shape->count; i++) {
        buffer_printf(out, "  Service_%zu: {", i);
        const char *p = kinds[(shape->first_kind + i) % shape->kinds];
        for (const char *place; (place = strchr(p, '%')); p = strchr(place, 'u') + 1) {
            buffer_append(out, p, (size_t)(place - p));
            buffer_printf(out, place[1] == '0' ? "%03zu" : "%zu", i);
        }
        buffer_printf(out, "%s}\n", p);
    }
    if (!shape->count)
        buffer_puts(out, "  {}\n");
}

static void check_by_haproxy(const char *dir, const char *what) {
    struct buffer output = BUFFER_INIT;
    struct error error = {0};
    int code = -1;
    char *path = mem_printf("%s/haproxy.cfg", dir);
    const char *argv[] = {"haproxy", "-c", "-f", path, NULL};
    if (!child_run(argv, 120000, &output, &code, &error))
        fail_msg("%s: %d: %s%s", what, code, error.text, buffer_str(&output));
    /* From 2.9 on HAProxy says nothing of a good file. */
    if (output.len && strcmp(buffer_str(&output), "Configuration file is valid\n") != 0)
        fail_msg("%s: %s", what, buffer_str(&output));
    free(path);
    buffer_free(&output);
}

static void lay_over(json_t *globals, const char *name, json_t *setup) {
    json_t *more = json_object_get(setup, name);
    const char *target = strchr(name, '_') ? strchr(name, '_') + 1 : name;
    if (more)
        assert_int_equal(json_object_update(json_object_get(globals, target), more), 0);
}

/* Everything that a shape says in hatlas.yaml, with `dir` for each %s. */
static char *shipped_options(const struct shape *shape, const char *dir) {
    json_t *options = parse_options(default_options);
    json_t *globals = json_object_get(options, "globals");
    char *text = mem_printf(
        "more_routing: {header: X-Service, mode: %s}\n"
        "more_haproxy: {socket: %s/haproxy.sock, stats: %s}\n"
        "more_outputs: {haproxy.cfg: %s/haproxy.cfg, services.map: %s/services.map}\n"
        "overrides: {Service_0: {haproxy: [option nolinger, \"#it's\"]}}\n",
        shape->mode, dir, shape->stats, dir, dir);
    char *more = mem_printf("{%s}", setups[shape->setup]);
    for (char *mark; (mark = strstr(more, "%s"));) {
        char *next = mem_printf("%.*s%s%s", (int)(mark - more), more, dir, mark + 2);
        free(more);
        more = next;
    }
    json_t *layers[] = {parse_options(text), parse_options(more)};
    static const char *const names[] = {"node", "more_routing", "more_haproxy",
                                        "more_outputs"};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 4; j++)
            lay_over(globals, names[j], layers[i]);
    assert_int_equal(
        json_object_set(options, "overrides", json_object_get(layers[0], "overrides")),
        0);
    json_decref(layers[0]);
    json_decref(layers[1]);
    free(text);
    free(more);
    text = json_dumps(options, 0);
    json_decref(options);
    return text;
}

static bool is_by_map(const struct shape *shape) {
    size_t http = 0;
    for (size_t i = 0; i < shape->count; i++)
        http += (shape->first_kind + i) % shape->kinds < HTTP_KINDS;
    return !strcmp(shape->mode, "map") || strstr(setups[shape->setup], "path: true") ||
           (!strcmp(shape->mode, "auto") && http > 32);
}

static void run_shipped(const struct shape *shape) {
    static const char *const names[] = {"services.map", "haproxy.cfg"};
    static const char error[] = "HTTP/1.0 404 Not found\r\n\r\nnothing";
    struct buffer catalog = BUFFER_INIT;
    struct fixture fixture;
    char *dir = make_dir();
    char *options = shipped_options(shape, dir);
    put(dir, "error", error, sizeof error - 1);
    write_services(shape, &catalog);
    open_fixture(&fixture, SOURCE_DIR "/templates", buffer_str(&catalog), options);
    for (size_t i = 0; i < 2; i++) {
        if (!render(&fixture, names[i]))
            fail_msg("%s: %s", fixture.error.where, fixture.error.text);
        put(dir, names[i], result(&fixture), strlen(result(&fixture)));
    }
    assert_int_equal(strstr(result(&fixture), "use_backend %[") != NULL,
                     is_by_map(shape));
    assert_int_equal(strstr(result(&fixture), "prometheus-exporter") != NULL,
                     strcmp(shape->stats, "null") != 0);
    assert_int_equal(result(&fixture)[strlen(result(&fixture)) - 1], '\n');
    check_by_haproxy(dir, options);
    close_fixture(&fixture);
    free(options);
    buffer_free(&catalog);
    remove_dir(dir);
}

/* HAProxy accepts, without a warning, what the shipped templates make of many services
 * and of each kind of service alone. test/e2e/test_smart_matrix.py has all pairs of what
 * they can say. */
static void test_shipped(void **state) {
    (void)state;
    static const size_t counts[] = {0, KINDS, 32, 33, 40, 1000};
    static const char *const modes[] = {"acl", "map", "auto"};
    for (size_t j = 0; j < 3; j++) {
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            bool near_switch = counts[i] >= 32 && counts[i] <= 40;
            run_shipped(&(struct shape){counts[i], 0, near_switch ? HTTP_KINDS : KINDS,
                                        modes[j], "'127.0.0.1:8404'", i % SETUPS});
        }
        for (size_t kind = j; kind < KINDS; kind += 3)
            run_shipped(
                &(struct shape){1, kind, KINDS, modes[j], "null", kind / 3 % SETUPS});
    }
}

/* What no field but a free one takes, and what only some take. */
static const char *const wrong[] = {
    "null",      "true",        "-1",       "0",       "1.5",       "65536",
    "999999999", "\"\"",        "\"yes\"",  "\"a b\"", "\"a\\nb\"", "\"'; #\"",
    "\"$HOME\"", "\"\\u00e9\"", "\"a,b)\"", "\"25h\"", "\"1ns\"",   "\"/\"",
    "\"/a b\"",  "\"200,\"",    "[]",       "[1]",     "[\"a b\"]", "[\"500\"]",
    "{}",        "{\"a\": []}",
};

/* Decodes one service with this value at the dotted name. Returns how many faults were
 * named; `fields` receives what is left. */
static size_t decode_field(const char *name, json_t *value, json_t **fields) {
    struct problems problems = {0};
    struct schema_input from = {.where = "/services/a", .problems = &problems};
    const char *dot = strchr(name, '.');
    json_t *input = json_object();
    if (dot) {
        char *outer = mem_strndup(name, (size_t)(dot - name));
        assert_int_equal(
            json_object_set_new(input, outer, json_pack("{s:o}", dot + 1, value)), 0);
        free(outer);
    } else {
        assert_int_equal(json_object_set_new(input, name, value), 0);
    }
    *fields = service_fields_decode(input, &from);
    size_t count = problems.count;
    for (size_t i = 0; i < count; i++)
        if (!strstr(problems.items[i].text, name) ||
            !strstr(problems.items[i].text, "; its default is used"))
            fail_msg("%s: %s", name, problems.items[i].text);
    problems_free(&problems);
    json_decref(input);
    return count;
}

/* Each value at each field either is named and left out, or HAProxy takes what the
 * template makes of it: all of the latter go into one catalog. */
static size_t try_field(const char *name, bool tcp, struct buffer *catalog) {
    size_t faults = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *wrapped = mem_printf("[%s]", wrong[i]);
        json_t *list = json_loads(wrapped, 0, NULL);
        json_t *fields;
        size_t found = decode_field(name, json_incref(json_array_get(list, 0)), &fields);
        char *text = json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);
        if (!found && json_object_size(fields)) {
            buffer_printf(catalog, "  x%zu: {", catalog->len);
            if (tcp) /* a port of its own: no line is shorter than 20 bytes */
                buffer_printf(catalog, "\"mode\": \"tcp\", \"port\": %zu, ",
                              1024 + catalog->len / 20);
            buffer_printf(catalog, "\"hosts\": [{\"host\": \"::1\", \"port\": 81}],%s\n",
                          text + 1);
        }
        faults += found;
        free(text);
        free(wrapped);
        json_decref(fields);
        json_decref(list);
    }
    return faults;
}

static void try_fields(const struct schema *table, const char *prefix,
                       struct buffer *catalog) {
    for (; table->name; table++) {
        char *name = mem_printf("%s%s", prefix, table->name);
        char *inner = mem_printf("%s.", name);
        bool once =
            !strcmp(name, "mode") || !strcmp(name, "aliases") || !strcmp(name, "port");
        if (!try_field(name, false, catalog))
            fail_msg("%s takes anything", name);
        if (!once)
            (void)try_field(name, true, catalog);
        if (table->rows)
            try_fields(table->rows, inner, catalog);
        free(name);
        free(inner);
    }
}

static void test_hostile_fields(void **state) {
    (void)state;
    struct buffer catalog = BUFFER_INIT;
    struct fixture fixture;
    struct shape shape = {.mode = "map", .stats = "'127.0.0.1:8404'"};
    char *dir = make_dir();
    char *options = shipped_options(&shape, dir);
    static const char *const names[] = {"services.map", "haproxy.cfg"};
    buffer_puts(&catalog, "services:\n");
    try_fields(service_schema, "", &catalog);
    open_fixture(&fixture, SOURCE_DIR "/templates", buffer_str(&catalog), options);
    for (size_t i = 0; i < 2; i++) {
        if (!render(&fixture, names[i]))
            fail_msg("%s: %s", fixture.error.where, fixture.error.text);
        put(dir, names[i], result(&fixture), strlen(result(&fixture)));
    }
    check_by_haproxy(dir, "hostile fields");
    close_fixture(&fixture);
    buffer_free(&catalog);
    free(options);
    remove_dir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),      cmocka_unit_test(test_hostile_fields),
        cmocka_unit_test(test_valid),          cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_readme),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sandbox),        cmocka_unit_test(test_refused_values),
        cmocka_unit_test(test_hostile_values), cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_changed_file),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_order),          cmocka_unit_test(test_shipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
