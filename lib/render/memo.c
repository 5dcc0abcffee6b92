/* The texts of included templates, found again by what they were made of. */
#include "render/memo.h"
#include "base/mem.h"
#include "render/catalog_view.h"
#include "render/template.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* What a text may be made of: few values, none of them long. */
enum { TEXT_MAX = 1024, SPARE = 64 };

struct memo_text {
    UT_hash_handle hh;
    uint64_t rendering; /* the last one that used it */
    const struct service
        *services[PARAMS_MAX]; /* of the key, which has their addresses */
    struct memo_text *next;    /* what was used after it */
    size_t len;
    char key[]; /* the text is behind it */
};

static void add_service(struct renderer *renderer, const struct service *service) {
    char bytes[1 + sizeof service] = "S";
    memcpy(bytes + 1, &service, sizeof service);
    buffer_append(&renderer->key, bytes, sizeof bytes);
    renderer->key_services[renderer->key_count++] = service;
}

static void start_key(struct renderer *renderer, const char *name) {
    buffer_clear(&renderer->key);
    buffer_append(&renderer->key, name, strlen(name) + 1);
    renderer->key_count = 0;
}

static bool add_value(lua_State *L, struct renderer *renderer, int index) {
    struct buffer *key = &renderer->key;
    const struct view *view = view_at(L, index);
    size_t len;
    const char *text;
    if (view && view->kind == VIEW_SERVICE) {
        add_service(renderer, ((const struct service_view *)view)->service);
    } else if (lua_type(L, index) == LUA_TSTRING) {
        text = lua_tolstring(L, index, &len);
        if (len > TEXT_MAX)
            return false;
        buffer_putc(key, 'T');
        buffer_append(key, (const char *)&len, sizeof len);
        buffer_append(key, text, len);
    } else if (lua_isinteger(L, index)) {
        lua_Integer number = lua_tointeger(L, index);
        buffer_putc(key, 'I');
        buffer_append(key, (const char *)&number, sizeof number);
    } else if (lua_isboolean(L, index)) {
        buffer_putc(key, lua_toboolean(L, index) ? '1' : '0');
    } else {
        return false;
    }
    return true;
}

/* Makes the key of the template with its parameters; returns false if there is none. */
static bool make_key(lua_State *L, const char *name, int params) {
    struct renderer *renderer = state_renderer(L);
    int top = lua_gettop(L);
    size_t count = 0;
    start_key(renderer, name);
    if (!params)
        return true;
    for (lua_pushnil(L); lua_next(L, params); lua_pop(L, 1)) {
        size_t len;
        const char *text =
            lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &len) : NULL;
        if (text)
            buffer_append(&renderer->key, text, len + 1);
        if (!text || ++count > PARAMS_MAX || !add_value(L, renderer, lua_gettop(L))) {
            lua_settop(L, top);
            return false;
        }
    }
    return true;
}

static bool has_key(const struct memo_text *text, const struct buffer *key) {
    return text && text->hh.keylen == key->len && !memcmp(text->key, key->data, key->len);
}

/* Texts are mostly used in the same order as the last time. */
static struct memo_text *find(const struct memo *memo, const struct buffer *key) {
    struct memo_text *text = memo->last ? memo->last->next : memo->first;
    if (!has_key(text, key))
        HASH_FIND(hh, memo->texts, key->data, key->len, text);
    return text;
}

/* What came after a text is only known of the rendering before: others may be gone. */
static void use(struct memo *memo, struct memo_text *text, uint64_t rendering) {
    if (text->rendering != rendering) {
        memo->used++;
        if (text->rendering != memo->previous)
            text->next = NULL;
    }
    text->rendering = rendering;
    if (memo->last)
        memo->last->next = text;
    else
        memo->first = text;
    memo->last = text;
}

static void keep(lua_State *L, struct memo *memo, const char *made, size_t len) {
    struct renderer *renderer = state_renderer(L);
    const struct buffer *key = &renderer->key;
    struct memo_text *text = mem_resize(NULL, sizeof *text + key->len + len, 1);
    memset(text, 0, sizeof *text);
    memcpy(text->key, key->data, key->len);
    memcpy(text->key + key->len, made, len);
    text->len = len;
    for (size_t i = 0; i < renderer->key_count; i++)
        text->services[i] = service_ref(renderer->key_services[i]);
    HASH_ADD_KEYPTR(hh, memo->texts, text->key, key->len, text);
    use(memo, text, renderer->number);
}

/* Prints the text of the key if it is kept. */
static bool print_kept(lua_State *L, struct memo *memo) {
    struct renderer *renderer = state_renderer(L);
    struct run *run = &renderer->run;
    struct memo_text *text = find(memo, &renderer->key);
    if (!text)
        return false;
    use(memo, text, renderer->number);
    buffer_append(run->out, text->key + text->hh.keylen, text->len);
    if (run->out->len - run->start > OUTPUT_MAX)
        luaL_error(L, "the template prints more than %d MiB", OUTPUT_MAX >> 20);
    return true;
}

/* Renders what has the key, and keeps it unless it was made of `services` too. What is
 * included on the way is a part of it. */
static void print_and_keep(lua_State *L, struct memo *memo, const char *name,
                           int params) {
    struct run *run = state_run(L);
    size_t start = run->out->len;
    uint64_t reads = run->services_reads;
    run->keeping = true;
    template_run(L, name, params);
    run->keeping = false;
    if (run->services_reads == reads)
        keep(L, memo, buffer_str(run->out) + start, run->out->len - start);
}

void memo_include(lua_State *L, const char *name, int params) {
    struct run *run = state_run(L);
    struct memo *memo = template_memo(run);
    if (run->keeping || !make_key(L, name, params))
        template_run(L, name, params);
    else if (!print_kept(L, memo))
        print_and_keep(L, memo, name, params);
}

static const char each_param[] = "service";

static void include_service(lua_State *L, const char *name, struct service_view *view) {
    lua_createtable(L, 0, 1);
    lua_pushlightuserdata(L, view);
    lua_setfield(L, -2, each_param);
    memo_include(L, name, lua_gettop(L));
    lua_pop(L, 1);
}

/* Most texts are kept: of the key only the service differs from the one before. */
void memo_include_each(lua_State *L, const char *name, int list) {
    struct renderer *renderer = state_renderer(L);
    struct memo *memo = template_memo(&renderer->run);
    const struct view *items = view_at(L, list);
    struct service_view *view;
    size_t begin = 0;
    for (lua_Integer i = 1; (view = service_at(L, items, list, i)); i++) {
        if (!renderer->run.keeping && !begin) {
            start_key(renderer, name);
            buffer_append(&renderer->key, each_param, sizeof each_param);
            begin = renderer->key.len;
        }
        renderer->key.len = begin;
        renderer->key_count = 0;
        if (begin)
            add_service(renderer, view->service);
        if (!begin || !print_kept(L, memo))
            include_service(L, name, view);
    }
}

static void drop(struct memo *memo, struct memo_text *text) {
    HASH_DEL(memo->texts, text);
    for (size_t i = 0; i < PARAMS_MAX && text->services[i]; i++)
        service_unref(text->services[i]);
    free(text);
}

void memo_end(struct memo *memo, uint64_t rendering) {
    size_t used = memo->used;
    memo->used = 0;
    memo->previous = rendering;
    if (memo->last)
        memo->last->next = NULL;
    else
        memo->first = NULL;
    memo->last = NULL;
    if (HASH_COUNT(memo->texts) <= used + used / 4 + SPARE)
        return;
    struct memo_text *text, *next;
    HASH_ITER(hh, memo->texts, text, next)
    if (text->rendering != rendering)
        drop(memo, text);
}

void memo_clear(struct memo *memo) {
    struct memo_text *text, *next;
    HASH_ITER(hh, memo->texts, text, next) drop(memo, text);
    *memo = (struct memo){0};
}
