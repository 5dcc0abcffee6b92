/* The renderer: one Lua state, made when needed, thrown away after a failure. */
#include "base/mem.h"
#include "catalog/fields.h"
#include "render/field.h"
#include "render/sandbox.h"
#include "render/template.h"
#include "render/view.h"
#include "render/where.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* Garbage of a large rendering is worth its collection, that of a small one is not. */
enum { COLLECT_ABOVE = 8 << 20 };

struct renderer *renderer_new(const struct render_options *options) {
    struct renderer *renderer = mem_zalloc(sizeof *renderer);
    renderer->options = *options;
    renderer->fields =
        fields_new(service_schema, options->defaults, &renderer->field_count);
    return renderer;
}

static void close_lua(struct renderer *renderer) {
    lua_State *L = renderer->lua;
    renderer->lua = NULL;
    memset(renderer->keys, 0, sizeof renderer->keys);
    templates_free(renderer);
    if (L)
        lua_close(L);
}

void renderer_free(struct renderer *renderer) {
    if (!renderer)
        return;
    close_lua(renderer);
    fields_free(renderer->fields, renderer->field_count);
    buffer_free(&renderer->scratch);
    views_free(renderer);
    where_free(renderer);
    for (size_t i = 0; i < KEEP_MAX; i++)
        buffer_free(&renderer->text_keys[i].bytes);
    free(renderer);
}

static int render(lua_State *L) {
    sandbox_start(L);
    sandbox_push_globals(L, 0);
    template_run(L, lua_touserdata(L, 1), 2);
    return 0;
}

static void start_run(struct renderer *renderer, const struct catalog *catalog,
                      struct buffer *out, struct error *error) {
    struct run *run = &renderer->run;
    size_t memory = run->memory;
    *run = (struct run){.catalog = catalog,
                        .out = out,
                        .start = out->len,
                        .error = error,
                        .memory = memory};
    renderer->number++;
}

/* Errors of memory, and errors in the handling of errors, come without a call of it. */
static void set_error(const struct run *run, int status) {
    const char *where = run->last_place[0] ? run->last_place : template_running(run);
    if (status == LUA_ERRMEM)
        (void)error_set(
            run->error, where,
            "the template needs more than %d MiB of memory, or a string longer "
            "than %d MiB",
            MEMORY_MAX >> 20, BLOCK_MAX >> 20);
    else
        (void)error_set(run->error, where, "Lua failed with status %d", status);
}

bool renderer_render(struct renderer *renderer, const char *template,
                     const struct catalog *catalog, struct buffer *out,
                     struct error *error) {
    struct error ignored;
    start_run(renderer, catalog, out, error ? error : &ignored);
    if (!renderer->lua)
        renderer->lua = sandbox_open(renderer, renderer->run.error);
    lua_State *L = renderer->lua;
    if (!L)
        return false;
    templates_refresh(renderer);
    template_begin(renderer, template);
    lua_pushcfunction(L, template_on_error);
    lua_pushcfunction(L, render);
    lua_pushlightuserdata(L, (void *)template);
    int status = lua_pcall(L, 1, 0, 1);
    arena_free(&renderer->run);
    if (status != LUA_OK) {
        if (!renderer->run.failed)
            set_error(&renderer->run, status);
        buffer_reserve(out, 1)[0] = '\0';
        out->len = renderer->run.start;
        out->data[out->len] = '\0';
        close_lua(renderer);
        return false;
    }
    lua_settop(L, 0);
    template_end(renderer, template);
    if (renderer->run.memory > COLLECT_ABOVE)
        (void)lua_gc(L, LUA_GCCOLLECT);
    return true;
}
