/* Texts that are kept: whatever changes, a renderer that has rendered before says the same
 * as one that has not. */
#include "base/file.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "render/render.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SERVICES = 12, STEPS = 400 };

struct fixture {
    char dir[64];
    const char *dirs[2];
    json_t *globals;
    struct render_options options;
    struct renderer *renderer; /* that has rendered before */
    const struct service *services[SERVICES];
    const struct catalog *catalog;
};

static const char main_template[] =
    "% for _, service in ipairs(services) do\n"
    "%   include('one.cfg', { service = service, way = 'loop' })\n"
    "%   include('all.cfg', { service = service })\n"
    "% end\n"
    "% include_each('one.cfg', where(services, 'mode', 'tcp'))\n"
    "% include_each('hosts.cfg', services)\n"
    "% include('all.cfg', { service = services[1] })\n"
    "% include('count.cfg')\n"
    "% include('table.cfg', { list = { #services } })\n";

static void put(const struct fixture *fixture, const char *name, const char *text) {
    char *path = mem_printf("%s/%s", fixture->dir, name);
    assert_true(file_replace(path, text, strlen(text), 0644, NULL));
    free(path);
}

static int set_up(void **state) {
    struct fixture *fixture = mem_zalloc(sizeof *fixture);
    strcpy(fixture->dir, "/tmp/test_render_kept.XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    fixture->dirs[0] = fixture->dir;
    fixture->globals = json_pack("{s:s}", "realm", "local");
    fixture->options =
        (struct render_options){.dirs = fixture->dirs, .globals = fixture->globals};
    fixture->renderer = renderer_new(&fixture->options);
    put(fixture, "main.cfg", main_template);
    put(fixture, "one.cfg",
        "backend {{ service.name }}\n"
        "    balance {{ service.balance }}\n"
        "% include('fields.cfg', { fields = service.fields })\n"
        "% include('hosts.cfg', { service = service })\n");
    put(fixture, "hosts.cfg",
        "% for _, host in ipairs(service.hosts) do\n"
        "    server {{ host.name }} {{ host.address }} weight {{ host.weight }}\n"
        "% end\n");
    put(fixture, "fields.cfg", "    mode {{ fields.mode }}\n");
    /* These two depend on more than their parameters. */
    put(fixture, "all.cfg", "# {{ service.name }} is one of {{ #services }}\n");
    put(fixture, "count.cfg", "% for name in pairs(services) do\n# {{ name }}\n% end\n");
    put(fixture, "table.cfg", "# {{ list[1] }}\n");
    *state = fixture;
    return 0;
}

static int remove_entry(const char *path, const struct stat *info, int kind,
                        struct FTW *ftw) {
    (void)info, (void)kind, (void)ftw;
    return remove(path);
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    renderer_free(fixture->renderer);
    json_decref(fixture->globals);
    catalog_unref(fixture->catalog);
    for (size_t i = 0; i < SERVICES; i++)
        service_unref(fixture->services[i]);
    assert_int_equal(nftw(fixture->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(fixture);
    return 0;
}

static const struct service *make_service(size_t number, uint32_t value) {
    char name[16];
    struct problems problems = {0};
    const struct host *hosts[3];
    size_t count = value % 4;
    (void)snprintf(name, sizeof name, "s%02zu", number);
    for (size_t i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "h%zu", i);
        hosts[i] = host_new(&(struct host){.id = id,
                                           .host = "10.0.0.1",
                                           .port = (uint16_t)(1000 + i),
                                           .weight = (int)(value / 4 % 257),
                                           .enabled = true});
    }
    json_t *fields = json_pack("{s:s}", "mode", value / 1028 % 2 ? "tcp" : "http");
    const struct service *service =
        service_new(name, fields, NULL, hosts, count, name, &problems);
    assert_int_equal(problems.count, 0);
    json_decref(fields);
    while (count)
        host_unref(hosts[--count]);
    return service;
}

/* Makes, changes or removes one service; the others stay the same structs. */
static void change_one(struct fixture *fixture, uint32_t random) {
    size_t number = random % SERVICES;
    const struct service *services[SERVICES];
    struct problems problems = {0};
    size_t count = 0;
    service_unref(fixture->services[number]);
    fixture->services[number] =
        random / SERVICES % 5 ? make_service(number, random / 97) : NULL;
    for (size_t i = 0; i < SERVICES; i++)
        if (fixture->services[i])
            services[count++] = fixture->services[i];
    catalog_unref(fixture->catalog);
    fixture->catalog = catalog_new(services, count, &problems);
    assert_int_equal(problems.count, 0);
}

static void assert_same_as_fresh(const struct fixture *fixture) {
    struct buffer kept = BUFFER_INIT, made = BUFFER_INIT;
    struct error error;
    struct renderer *fresh = renderer_new(&fixture->options);
    if (!renderer_render(fixture->renderer, "main.cfg", fixture->catalog, &kept,
                         &error) ||
        !renderer_render(fresh, "main.cfg", fixture->catalog, &made, &error))
        fail_msg("%s: %s", error.where, error.text);
    assert_string_equal(buffer_str(&kept), buffer_str(&made));
    renderer_free(fresh);
    buffer_free(&kept);
    buffer_free(&made);
}

static void changes_of_services(void **state) {
    struct fixture *fixture = *state;
    uint32_t random = 7;
    for (int i = 0; i < STEPS; i++) {
        random = random * 1664525U + 1013904223U;
        change_one(fixture, random >> 4);
        assert_same_as_fresh(fixture);
    }
}

static void changes_of_templates(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < SERVICES; i++)
        change_one(fixture, (uint32_t)(SERVICES + i + i * 97 * 5 * SERVICES));
    assert_same_as_fresh(fixture);
    put(fixture, "hosts.cfg", "    # {{ #service.hosts }} hosts\n");
    assert_same_as_fresh(fixture);
    put(fixture, "main.cfg", "% include_each('one.cfg', services)\n");
    assert_same_as_fresh(fixture);
}

/* Else the other tests would say nothing: all services together need more steps than a
 * rendering has. */
static void a_service_that_stayed_is_not_rendered_again(void **state) {
    struct fixture *fixture = *state;
    struct renderer *fresh = renderer_new(&fixture->options);
    struct buffer out = BUFFER_INIT;
    struct error error;
    put(fixture, "hosts.cfg",
        "% local steps = 0\n"
        "% for i = 1, 10000000 do steps = steps + i end\n"
        "# {{ service.name }} {{ steps }}\n");
    put(fixture, "main.cfg", "% include_each('hosts.cfg', services)\n");
    for (size_t i = 0; i < SERVICES; i++) {
        change_one(fixture, (uint32_t)(SERVICES + i + i * 97 * 5 * SERVICES));
        if (i == SERVICES / 2)
            assert_same_as_fresh(fixture);
    }
    if (!renderer_render(fixture->renderer, "main.cfg", fixture->catalog, &out, &error))
        fail_msg("%s: %s", error.where, error.text);
    assert_false(renderer_render(fresh, "main.cfg", fixture->catalog, &out, &error));
    assert_non_null(strstr(error.text, "steps"));
    renderer_free(fresh);
    buffer_free(&out);
}

/* A list may have any order, and a service may be in it twice. */
static void lists_of_any_order(void **state) {
    struct fixture *fixture = *state;
    uint32_t random = 11;
    put(fixture, "main.cfg",
        "% local list = {}\n"
        "% for i = #services, 1, -1 do list[#list + 1] = services[i] end\n"
        "% list[#list + 1] = services[#services // 2]\n"
        "% include_each('one.cfg', list)\n"
        "% if #services % 3 > 0 then include_each('all.cfg', services) end\n"
        "% include_each('hosts.cfg', list)\n");
    for (int i = 0; i < STEPS; i++) {
        random = random * 1664525U + 1013904223U;
        change_one(fixture, random >> 4);
        assert_same_as_fresh(fixture);
    }
}

/* Many that came and went do not pile up. */
static void texts_that_are_not_used_are_dropped(void **state) {
    struct fixture *fixture = *state;
    enum { MANY = 1000 };
    const struct service *all[MANY];
    size_t held = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        service_unref(fixture->services[0]);
        fixture->services[0] = NULL;
        change_one(fixture, SERVICES + 97 * SERVICES * (5 * i + 1));
        all[i] = fixture->catalog->service_count
                     ? service_ref(fixture->catalog->services[0])
                     : NULL;
        assert_same_as_fresh(fixture);
    }
    for (size_t i = 0; i < MANY; i++) {
        held += all[i] && all[i]->refs > 1;
        service_unref(all[i]);
    }
    assert_true(held < MANY / 4);
}

/* Else twelve services would need more steps than a rendering has. */
static void what_services_say_alike_is_rendered_once(void **state) {
    struct fixture *fixture = *state;
    put(fixture, "fields.cfg",
        "% local steps = 0\n"
        "% for i = 1, 10000000 do steps = steps + i end\n"
        "    mode {{ fields.mode }} {{ steps }}\n");
    put(fixture, "main.cfg", "% include_each('one.cfg', services)\n");
    for (size_t i = 0; i < SERVICES; i++)
        change_one(fixture, (uint32_t)(SERVICES + i + i * 97 * 5 * SERVICES));
    assert_int_equal(fixture->catalog->service_count, SERVICES);
    assert_same_as_fresh(fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes_of_services, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changes_of_templates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_services_say_alike_is_rendered_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_service_that_stayed_is_not_rendered_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_of_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_that_are_not_used_are_dropped, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
