/* The texts of included templates, found again by what they were made of. */
#include "render/memo.h"
#include "base/mem.h"
#include "render/catalog_view.h"
#include "render/sandbox.h"
#include "render/template.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { KEY_MAX = 4096, SPARE = 64 };

struct memo_text {
    UT_hash_handle hh;
    uint64_t rendering; /* the last one that used it */
    const struct service
        *services[PARAMS_MAX]; /* of the key, which has their addresses */
    size_t len;
    char key[]; /* the text is behind it */
};

static void add_service(struct text_key *key, const struct service *service) {
    char bytes[1 + sizeof service] = "S";
    memcpy(bytes + 1, &service, sizeof service);
    buffer_append(&key->bytes, bytes, sizeof bytes);
    key->services[key->service_count++] = service;
}

/* The key of a text that would be printed now. */
static struct text_key *start_key(struct renderer *renderer, const char *name) {
    struct text_key *key = &renderer->text_keys[renderer->run.keeping];
    buffer_clear(&key->bytes);
    buffer_append(&key->bytes, name, strlen(name) + 1);
    key->service_count = 0;
    return key;
}

static bool add_value(lua_State *L, struct text_key *key, int index) {
    struct buffer *bytes = &key->bytes;
    const struct view *view = view_at(L, index);
    size_t len;
    const char *text;
    if (view && view->kind == VIEW_SERVICE) {
        add_service(key, ((const struct service_view *)view)->service);
    } else if (view && view->kind == VIEW_FIELDS) {
        buffer_putc(bytes, 'F');
        fields_key_append(L, view, bytes);
    } else if (lua_type(L, index) == LUA_TSTRING) {
        text = lua_tolstring(L, index, &len);
        buffer_putc(bytes, 'T');
        buffer_append(bytes, (const char *)&len, sizeof len);
        buffer_append(bytes, text, len);
    } else if (lua_isinteger(L, index)) {
        lua_Integer number = lua_tointeger(L, index);
        buffer_putc(bytes, 'I');
        buffer_append(bytes, (const char *)&number, sizeof number);
    } else if (lua_isboolean(L, index)) {
        buffer_putc(bytes, lua_toboolean(L, index) ? '1' : '0');
    } else {
        return false;
    }
    return bytes->len <= KEY_MAX;
}

/* Makes the key of the template with its parameters; returns NULL if there is none. */
static struct text_key *make_key(lua_State *L, const char *name, int params) {
    struct text_key *key = start_key(state_renderer(L), name);
    int top = lua_gettop(L);
    size_t count = 0;
    if (!params)
        return key;
    for (lua_pushnil(L); lua_next(L, params); lua_pop(L, 1)) {
        size_t len;
        const char *text =
            lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &len) : NULL;
        if (text)
            buffer_append(&key->bytes, text, len + 1);
        if (!text || ++count > PARAMS_MAX || !add_value(L, key, lua_gettop(L))) {
            lua_settop(L, top);
            return NULL;
        }
    }
    return key;
}

static void use(struct memo *memo, struct memo_text *text, uint64_t rendering) {
    memo->used += text->rendering != rendering;
    text->rendering = rendering;
}

static void keep(lua_State *L, struct memo *memo, const struct text_key *key,
                 const char *made, size_t len) {
    size_t key_len = key->bytes.len;
    struct memo_text *text = mem_resize(NULL, sizeof *text + key_len + len, 1);
    memset(text, 0, sizeof *text);
    memcpy(text->key, key->bytes.data, key_len);
    memcpy(text->key + key_len, made, len);
    text->len = len;
    for (size_t i = 0; i < key->service_count; i++)
        text->services[i] = service_ref(key->services[i]);
    HASH_ADD_KEYPTR(hh, memo->texts, text->key, key_len, text);
    use(memo, text, state_renderer(L)->number);
}

static void check_size(lua_State *L) {
    const struct run *run = state_run(L);
    if (run->out->len - run->start > OUTPUT_MAX)
        luaL_error(L, "the template prints more than %d MiB", OUTPUT_MAX >> 20);
}

/* Prints the text of the key if it is kept. */
static bool print_kept(lua_State *L, struct memo *memo, const struct text_key *key) {
    struct run *run = state_run(L);
    struct memo_text *text = NULL;
    HASH_FIND(hh, memo->texts, key->bytes.data, key->bytes.len, text);
    if (!text)
        return false;
    use(memo, text, state_renderer(L)->number);
    buffer_append(run->out, text->key + text->hh.keylen, text->len);
    check_size(L);
    return true;
}

/* Runs a template whose text is to be kept; returns whether it may be: not if it was made of
 * `services` too. */
static bool run_to_keep(lua_State *L, const char *name, int globals) {
    struct run *run = state_run(L);
    uint64_t reads = run->services_reads;
    run->keeping++;
    template_run(L, name, globals);
    run->keeping--;
    return run->services_reads == reads;
}

/* Renders what has the key, and keeps it. What has none (NULL) is only rendered. */
static void print(lua_State *L, struct memo *memo, const struct text_key *key,
                  const char *name, int globals) {
    const struct run *run = state_run(L);
    size_t start = run->out->len;
    if (!key)
        template_run(L, name, globals);
    else if (run_to_keep(L, name, globals))
        keep(L, memo, key, buffer_str(run->out) + start, run->out->len - start);
}

/* A text within another one is worth it only where several services may share it. */
static bool is_worth_keeping(const struct run *run, const struct text_key *key) {
    return key && (!run->keeping || !key->service_count);
}

void memo_include(lua_State *L, const char *name, int params) {
    struct run *run = state_run(L);
    struct memo *memo = template_memo(run);
    const struct text_key *key =
        run->keeping < KEEP_MAX ? make_key(L, name, params) : NULL;
    if (!is_worth_keeping(run, key))
        key = NULL;
    if (key && print_kept(L, memo, key))
        return;
    sandbox_push_globals(L, params);
    print(L, memo, key, name, lua_gettop(L));
    lua_pop(L, 1);
}

static const char each_param[] = "service";

/* The globals that all services of a list share, but for the service. */
static void push_each_globals(lua_State *L) {
    lua_createtable(L, 0, 1);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, each_param);
    sandbox_push_globals(L, lua_gettop(L));
    lua_remove(L, -2);
}

static struct listing *next_listing(struct memo *memo, const char *name) {
    struct listing **link = memo->next_listing ? memo->next_listing : &memo->listings;
    if (!*link)
        *link = mem_zalloc(sizeof **link);
    listing_begin(*link, name);
    memo->next_listing = &(*link)->next;
    return *link;
}

/* Renders the template with the service, and notes its text in the listing, if there is
 * one. */
static void print_service(lua_State *L, struct listing *listing, const char *name,
                          struct service_view *view, int globals) {
    const struct run *run = state_run(L);
    lua_pushlightuserdata(L, view);
    sandbox_set_param(L, globals, each_param);
    if (!listing) {
        template_run(L, name, globals);
        return;
    }
    listing_flush(listing, run->out);
    size_t start = run->out->len;
    bool kept = run_to_keep(L, name, globals);
    listing_add(listing, kept ? view->service : NULL, run->out->len - start);
}

void memo_include_each(lua_State *L, const char *name, int list) {
    struct run *run = state_run(L);
    const struct view *items = view_at(L, list);
    struct listing *listing =
        run->keeping ? NULL : next_listing(template_memo(run), name);
    size_t start = run->out->len;
    struct service_view *view;
    push_each_globals(L);
    int globals = lua_gettop(L);
    for (lua_Integer i = 1; (view = service_at(L, items, list, i)); i++)
        if (!listing || !listing_print(listing, view->service, run->out))
            print_service(L, listing, name, view, globals);
    if (listing) {
        listing_flush(listing, run->out);
        check_size(L);
        listing_end(listing, buffer_str(run->out) + start, run->out->len - start);
    }
    lua_pop(L, 1);
}

static void drop(struct memo *memo, struct memo_text *text) {
    HASH_DEL(memo->texts, text);
    for (size_t i = 0; i < PARAMS_MAX && text->services[i]; i++)
        service_unref(text->services[i]);
    free(text);
}

/* Those that this rendering did not come to may have services that are about to go. */
static void end_listings(struct memo *memo, const struct catalog *catalog) {
    struct listing **rest = memo->next_listing ? memo->next_listing : &memo->listings;
    const struct catalog *last = memo->catalog;
    listing_free(*rest);
    *rest = NULL;
    memo->next_listing = NULL;
    memo->catalog = catalog_ref(catalog);
    catalog_unref(last);
}

void memo_end(struct memo *memo, uint64_t rendering, const struct catalog *catalog) {
    size_t used = memo->used;
    end_listings(memo, catalog);
    memo->used = 0;
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
    listing_free(memo->listings);
    catalog_unref(memo->catalog);
    *memo = (struct memo){0};
}
