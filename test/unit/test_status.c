/* lib/status: what is written, what is told, and whether all is well, from views made by
 * hand. */
#include "base/json.h"
#include "base/mem.h"
#include "catalog/text.h"
#include "status/board.h"
#include "status/document.h"
#include "status/listen.h"
#include "status/metrics.h"
#include "status/page.h"
#include "status/screen.h"
#include "status/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STATS                                                                            \
    "# pxname,svname,qcur,scur,stot,econ,eresp,status,lastchg,type,rate,check_status,"   \
    "hrsp_5xx,ctime,rtime,weight,\n"

/* A view of two services, and what HAProxy says of one of them. */
struct fixture {
    struct settings *settings;
    struct problems problems;
    struct status_totals totals;
    struct status_source source;
    struct status_view view;
    struct facts_stats stats;
};

static const struct catalog *catalog_of(const char *text) {
    struct problems problems = {0};
    const struct catalog *catalog =
        catalog_read(text, strlen(text), "cluster.yaml", NULL, &problems);
    assert_non_null(catalog);
    assert_int_equal(problems.count, 0);
    return catalog;
}

static void set_catalog(struct fixture *fixture, const char *text) {
    catalog_unref(fixture->view.catalog);
    fixture->view.catalog = catalog_of(text);
}

static void set_stats(struct fixture *fixture, const char *rows) {
    char *text = mem_printf(STATS "%s", rows);
    stats_table_free(&fixture->stats.table);
    assert_true(stats_parse(text, &fixture->stats.table, NULL));
    fixture->stats.known = true;
    fixture->stats.at = facts_now();
    free(text);
}

#define HOST_A "{id: a, host: 10.0.0.1, port: 80}"

static int set_up(void **state) {
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    struct problems problems = {0};
    static const char text[] = "node: {name: node-1}\n";
    fixture->settings = settings_parse(text, sizeof text - 1, "t.yaml", NULL, &problems);
    assert_non_null(fixture->settings);
    fixture->source.name = "file:cluster.yaml";
    fixture->source.status.state = SOURCE_READY;
    fixture->source.status.text = "read";
    fixture->view = (struct status_view){
        .settings = fixture->settings,
        .problems = &fixture->problems,
        .sources = &fixture->source,
        .source_count = 1,
        .totals = &fixture->totals,
        .in_place = true,
        .has_haproxy = true,
        .haproxy_running = true,
    };
    set_catalog(fixture, "services: {web: {hosts: [" HOST_A "]}, idle: {}}");
    set_stats(fixture, "web,10.0.0.1:80,0,2,9,1,0,UP,1,2,3,L7OK,0,0,5,1,\n");
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    catalog_unref(fixture->view.catalog);
    stats_table_free(&fixture->stats.table);
    problems_free(&fixture->problems);
    settings_free(fixture->settings);
    free(fixture);
    return 0;
}

static void test_writer_escapes(void **state) {
    (void)state;
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"plain", "\"plain\""},
        {"\"\\", "\"\\\"\\\\\""},
        {"</script>", "\"\\u003c/script>\""},
        {"a\nb\x7f\x01", "\"a\\u000ab\\u007f\\u0001\""},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82",
         "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82\""},
        {"\xff\xc3", "\"\\ufffd\\ufffd\""},
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {NULL, "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer out = BUFFER_INIT;
        struct writer writer = {.out = &out};
        writer_text(&writer, NULL, cases[i].text);
        assert_string_equal(buffer_str(&out), cases[i].json);
        buffer_free(&out);
    }
}

static json_t *document_of(const struct fixture *fixture) {
    struct buffer out = BUFFER_INIT;
    document_write(&out, &fixture->view, &fixture->stats);
    json_t *document = json_parse(out.data, out.len, "status", NULL);
    assert_non_null(document);
    buffer_free(&out);
    return document;
}

static const char *text_of(const json_t *document, const char *key) {
    return json_string_value(json_object_get(document, key));
}

static void test_document(void **state) {
    const struct fixture *fixture = *state;
    json_t *document = document_of(fixture);
    assert_string_equal(text_of(document, "health"), "ok");
    assert_string_equal(text_of(document, "summary"),
                        "All in step: 2 services with 1 hosts, 1 up");
    json_t *services = json_object_get(document, "services");
    assert_int_equal(json_array_size(services), 2);
    json_t *web = json_array_get(services, 1);
    json_t *host = json_array_get(json_object_get(web, "hosts"), 0);
    assert_string_equal(text_of(web, "name"), "web");
    assert_string_equal(text_of(host, "haproxy"), "up");
    assert_string_equal(text_of(host, "registry"), "enabled");
    assert_int_equal(json_integer_value(json_object_get(host, "latency")), 5);
    assert_int_equal(json_integer_value(json_object_get(web, "errors")), 1);
    json_decref(document);
}

/* One way to be unwell, and what is said of it. */
struct unwell {
    void (*make)(struct fixture *fixture);
    const char *level, *summary;
    bool ready;
};

static void without_catalog(struct fixture *fixture) {
    catalog_unref(fixture->view.catalog);
    fixture->view.catalog = NULL;
    fixture->view.in_place = false;
}

static void without_haproxy(struct fixture *fixture) {
    fixture->view.haproxy_running = false;
    fixture->stats.known = false;
}

static void failing(struct fixture *fixture) {
    fixture->view.failure = "haproxy.cfg:3: no";
}

static void stale(struct fixture *fixture) {
    fixture->view.stale = true;
}

static void lost(struct fixture *fixture) {
    fixture->source.status.state = SOURCE_LOST;
}

static void faulty(struct fixture *fixture) {
    problems_add(&fixture->problems, "/a", "bad");
}

static void down(struct fixture *fixture) {
    set_stats(fixture, "web,10.0.0.1:80,0,0,0,0,0,DOWN,1,2,0,L4CON,0,0,0,1,\n");
}

static void differing(struct fixture *fixture) {
    set_stats(fixture, "web,10.0.0.1:80,0,0,0,0,0,UP,1,2,0,L4OK,0,0,0,1,\n"
                       "web,10.0.0.2:80,0,0,0,0,0,UP,1,2,0,L4OK,0,0,0,1,\n");
}

static void test_health(void **state) {
    (void)state;
    static const struct unwell cases[] = {
        {without_catalog, "error", "No catalog yet: no registry has answered", false},
        {without_haproxy, "error", "HAProxy is not known to run", false},
        {failing, "error", "The last change is not in place: haproxy.cfg:3: no", true},
        {stale, "warning",
         "Serving, but no registry answers: the last catalog known is served", true},
        {lost, "warning", "Serving, but file:cluster.yaml: read", true},
        {faulty, "warning", "Serving, but 1 problem with the registry's records", true},
        {down, "warning", "Serving, but 1 service has no host that is up", true},
        {differing, "warning",
         "Serving, but 1 host differs between the registry and HAProxy", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *made = NULL;
        (void)set_up(&made);
        cases[i].make(made);
        json_t *document = document_of(made);
        assert_string_equal(text_of(document, "health"), cases[i].level);
        assert_string_equal(text_of(document, "summary"), cases[i].summary);
        assert_int_equal(json_is_true(json_object_get(document, "ready")),
                         cases[i].ready);
        json_decref(document);
        (void)tear_down(&made);
    }
}

/* What the board tells a watcher now, NULL for nothing. */
static json_t *told(struct board *board, const struct fixture *fixture,
                    struct board_mark *mark) {
    struct buffer out = BUFFER_INIT;
    board_update(board, &fixture->view, &fixture->stats);
    board_tell(board, &fixture->view, &fixture->stats, mark, &out);
    json_t *update = out.len ? json_parse(out.data, out.len, "update", NULL) : NULL;
    assert_int_equal(update != NULL, out.len > 0);
    buffer_free(&out);
    return update;
}

static void expect(json_t *update, bool reset, const char *services,
                   const char *removed) {
    struct buffer names = BUFFER_INIT;
    const json_t *item;
    size_t i;
    assert_non_null(update);
    assert_int_equal(json_is_true(json_object_get(update, "reset")), reset);
    json_array_foreach(json_object_get(update, "services"), i, item) {
        buffer_printf(&names, "%s ", text_of(item, "name"));
    }
    assert_string_equal(buffer_str(&names), services);
    buffer_clear(&names);
    json_array_foreach(json_object_get(update, "removed"), i, item) {
        buffer_printf(&names, "%s ", json_string_value(item));
    }
    assert_string_equal(buffer_str(&names), removed);
    buffer_free(&names);
    json_decref(update);
}

static void test_board_tells_only_what_changed(void **state) {
    struct fixture *fixture = *state;
    struct board *board = board_new();
    struct board_mark first = {0};
    struct board_mark late = {0};
    expect(told(board, fixture, &first), true, "idle web ", "");
    assert_null(told(board, fixture, &first));
    set_stats(fixture, "web,10.0.0.1:80,0,3,9,1,0,UP,1,2,3,L7OK,0,0,5,1,\n");
    expect(told(board, fixture, &first), false, "web ", "");
    set_catalog(fixture, "services: {web: {hosts: [" HOST_A "]}, new: {}}");
    expect(told(board, fixture, &first), false, "new ", "idle ");
    assert_null(told(board, fixture, &first));
    set_catalog(fixture, "services: {idle: {}, web: {hosts: [" HOST_A "]}, new: {}}");
    expect(told(board, fixture, &first), false, "idle ", "");
    expect(told(board, fixture, &late), true, "idle new web ", "");
    board_free(board);
}

static void test_board_forgets_what_went_and_starts_anew(void **state) {
    struct fixture *fixture = *state;
    struct board *board = board_new();
    struct board_mark slow = {0};
    struct board_mark quick = {0};
    expect(told(board, fixture, &slow), true, "idle web ", "");
    for (int round = 0; round < 2; round++) {
        struct buffer text = BUFFER_INIT;
        buffer_puts(&text, "services: {x: {}");
        for (int i = 0; i < 700; i++)
            buffer_printf(&text, ", service-%d-%d: {}", round, i);
        buffer_puts(&text, "}");
        set_catalog(fixture, buffer_str(&text));
        json_decref(told(board, fixture, &quick));
        buffer_free(&text);
    }
    set_catalog(fixture, "services: {x: {}}");
    json_decref(told(board, fixture, &quick));
    expect(told(board, fixture, &slow), true, "x ", "");
    assert_null(told(board, fixture, &quick));
    board_free(board);
}

static void test_metrics_escape_labels(void **state) {
    struct fixture *fixture = *state;
    struct buffer out = BUFFER_INIT;
    fixture->source.name = "a\"b\\c\nd";
    metrics_write(&out, &fixture->view, &fixture->stats);
    assert_non_null(
        strstr(buffer_str(&out), "hatlas_source_ready{source=\"a\\\"b\\\\c\\nd\"} 1\n"));
    buffer_free(&out);
}

static void test_histograms_add_up(void **state) {
    struct fixture *fixture = *state;
    struct status_histogram *render = &fixture->totals.render;
    struct buffer out = BUFFER_INIT;
    status_histogram_add(render, 1000);
    status_histogram_add(render, 1001);
    status_histogram_add(render, 3600000000);
    metrics_write(&out, &fixture->view, &fixture->stats);
    const char *text = strstr(buffer_str(&out), "# TYPE hatlas_render_duration_seconds");
    assert_non_null(strstr(text, "_bucket{le=\"0.001\"} 1\n"));
    assert_non_null(strstr(text, "_bucket{le=\"0.0025\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{le=\"10\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "duration_seconds_sum 3600.002001\n"));
    assert_non_null(strstr(text, "duration_seconds_count 3\n"));
    buffer_free(&out);
}

static void test_private_outputs_stay_private(void **state) {
    struct fixture *fixture = *state;
    char open_path[] = "/run/open";
    char secret_path[] = "/run/secret";
    struct output_settings settings[2] = {{.path = open_path, .mode = 0644},
                                          {.path = secret_path, .mode = 0640}};
    struct status_output outputs[2] = {{&settings[0], "one\n", 4},
                                       {&settings[1], "two\n", 4}};
    struct buffer out = BUFFER_INIT;
    fixture->view.outputs = outputs;
    fixture->view.output_count = 2;
    document_config(&out, &fixture->view);
    assert_string_equal(buffer_str(&out),
                        "# ==> /run/open <==\none\n\n# ==> /run/secret <==\n"
                        "# not shown: its mode keeps it from others\n");
    buffer_free(&out);
}

static void test_meant_by_its_name(void **state) {
    (void)state;
    static const struct {
        const char *address, *host;
        bool meant;
    } cases[] = {
        {"127.0.0.1:1", NULL, true},
        {"127.0.0.1:1", "127.0.0.1:1", true},
        {"127.0.0.1:1", "localhost", true},
        {"127.0.0.1:1", "evil.example.org", false},
        {"127.0.0.1:1", "127.evil.example.org", false},
        {"127.0.0.1:1", "localhost.example.org", false},
        {"127.0.0.1:1", "", false},
        {"[::1]:1", "[::1]:1", true},
        {"[::1]:1", "[::2]", false},
        {"10.0.0.1:1", "host.example.org", true},
        {":1", "host.example.org", true},
        {"/run/x.sock", "anything", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(listen_is_meant(cases[i].address, cases[i].host),
                         cases[i].meant);
}

static void test_page_has_its_nonce(void **state) {
    (void)state;
    struct buffer out = BUFFER_INIT;
    char nonce[40] = "";
    page_nonce(nonce, sizeof nonce);
    assert_int_equal(strlen(nonce), 32);
    page_write(&out, nonce);
    assert_null(strstr(out.data, "@NONCE@"));
    assert_non_null(strstr(out.data, nonce));
    assert_non_null(strstr(out.data, "</html>"));
    assert_null(strstr(out.data, "innerHTML"));
    buffer_free(&out);
}

static void test_screen_fits(void **state) {
    struct fixture *fixture = *state;
    struct buffer text = BUFFER_INIT;
    struct buffer out = BUFFER_INIT;
    buffer_puts(&text, "services: {x: {}");
    for (int i = 0; i < 100; i++)
        buffer_printf(&text, ", a-service-with-quite-a-long-name-for-a-screen-%d: {}", i);
    buffer_puts(&text, "}");
    set_catalog(fixture, buffer_str(&text));
    json_t *document = document_of(fixture);
    screen_write(document, &(struct screen){.rows = 24, .columns = 50}, &out);
    size_t lines = 0;
    for (const char *line = out.data; *line; line = strchr(line, '\n') + 1, lines++)
        assert_true(strcspn(line, "\n") <= 50);
    assert_true(lines < 24);
    assert_non_null(strstr(out.data, "more services"));
    assert_null(strchr(out.data, '\033'));
    json_decref(document);
    buffer_free(&text);
    buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_escapes),
        cmocka_unit_test_setup_teardown(test_document, set_up, tear_down),
        cmocka_unit_test(test_health),
        cmocka_unit_test_setup_teardown(test_board_tells_only_what_changed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_board_forgets_what_went_and_starts_anew,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metrics_escape_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_histograms_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_private_outputs_stay_private, set_up,
                                        tear_down),
        cmocka_unit_test(test_meant_by_its_name),
        cmocka_unit_test(test_page_has_its_nonce),
        cmocka_unit_test_setup_teardown(test_screen_fits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
