/* The helpers that templates get besides Lua's own functions. */
#include "base/file.h"
#include "base/mem.h"
#include "render/catalog_view.h"
#include "render/sandbox.h"
#include "render/template.h"
#include "render/where.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int raw(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    view_push_raw(L, text, len);
    return 1;
}

/* In HAProxy's log-format strings only '%' begins something. */
static int fmt(lua_State *L) {
    const char *text = luaL_checkstring(L, 1);
    luaL_gsub(L, text, "%", "%%");
    return 1;
}

static int lower(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(L, &buffer, len);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    luaL_pushresultsize(&buffer, len);
    return 1;
}

static int address(lua_State *L) {
    const char *host = luaL_checkstring(L, 1);
    lua_Integer port = luaL_checkinteger(L, 2);
    if (port < 0 || port > 65535)
        return luaL_error(L, "address: %I is no port", (LUAI_UACINT)port);
    lua_pushfstring(L, strchr(host, ':') ? "[%s]:%I" : "%s:%I", host, (LUAI_UACINT)port);
    return 1;
}

/* One key of a table, for ordering: numbers, then strings. */
struct key {
    bool is_number;
    lua_Number number;
    const char *text;
};

static int compare_keys(const void *a, const void *b) {
    const struct key *x = a;
    const struct key *y = b;
    if (x->is_number != y->is_number)
        return x->is_number ? -1 : 1;
    if (x->is_number)
        return x->number < y->number ? -1 : x->number > y->number;
    return strcmp(x->text, y->text);
}

static size_t count_keys(lua_State *L, int table) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        count++;
    return count;
}

static struct key key_at(lua_State *L, int index) {
    struct key key = {0};
    key.is_number = lua_type(L, index) == LUA_TNUMBER;
    if (key.is_number)
        key.number = lua_tonumber(L, index);
    else if (lua_type(L, index) == LUA_TSTRING)
        key.text = lua_tostring(L, index);
    else
        luaL_error(L, "a key that is a %s has no order", luaL_typename(L, index));
    return key;
}

/* Pushes the keys of the Lua table, in order, as a list. */
static void push_table_keys(lua_State *L, int table) {
    size_t count = count_keys(L, table);
    struct key *keys = lua_newuserdatauv(L, (count + 1) * sizeof *keys, 0);
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        keys[i++] = key_at(L, -2);
    if (count)
        qsort(keys, count, sizeof *keys, compare_keys);
    state_charge(L, 8 * count);
    lua_createtable(L, (int)count, 0);
    for (i = 0; i < count; i++) {
        lua_Integer whole;
        if (!keys[i].is_number)
            lua_pushstring(L, keys[i].text);
        else if (lua_numbertointeger(keys[i].number, &whole) &&
                 (lua_Number)whole == keys[i].number)
            lua_pushinteger(L, whole);
        else
            lua_pushnumber(L, keys[i].number);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_remove(L, -2);
}

static void push_view_keys(lua_State *L, const struct view *view) {
    size_t count;
    if (view_list(L, view, &count) && view->kind != VIEW_SERVICES) {
        lua_createtable(L, (int)count, 0);
        for (size_t i = 1; i <= count; i++) {
            lua_pushinteger(L, (lua_Integer)i);
            lua_rawseti(L, -2, (lua_Integer)i);
        }
        return;
    }
    const char **keys = view_keys(L, view, &count);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, keys[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_keys(lua_State *L, int index) {
    const struct view *view = view_at(L, index);
    if (view && view->kind != VIEW_RAW)
        push_view_keys(L, view);
    else if (lua_istable(L, index))
        push_table_keys(L, index);
    else
        luaL_typeerror(L, index, "table");
}

static int sorted(lua_State *L) {
    push_keys(L, 1);
    return 1;
}

/* Upvalues: the table, its keys, how many were given. */
static int next_pair(lua_State *L) {
    lua_Integer i = lua_tointeger(L, lua_upvalueindex(3));
    for (;;) {
        lua_pushinteger(L, ++i);
        lua_replace(L, lua_upvalueindex(3));
        if (lua_rawgeti(L, lua_upvalueindex(2), i) == LUA_TNIL)
            return 1;
        lua_pushvalue(L, -1);
        if (lua_gettable(L, lua_upvalueindex(1)) != LUA_TNIL)
            return 2;
        lua_pop(L, 2);
    }
}

static int pairs(lua_State *L) {
    lua_settop(L, 1);
    push_keys(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_pair, 3);
    return 1;
}

static int next_item(lua_State *L) {
    lua_Integer i = luaL_checkinteger(L, 2) + 1;
    const struct view *view = view_at(L, 1);
    lua_pushinteger(L, i);
    if (!view || !view_push_item(L, view, i))
        lua_geti(L, 1, i);
    return lua_isnil(L, -1) ? 1 : 2;
}

static int ipairs(lua_State *L) {
    const struct view *view = view_at(L, 1);
    size_t count;
    if (view ? !view_list(L, view, &count) : !lua_istable(L, 1))
        return luaL_error(L, "ipairs: expected a list, not a %s",
                          view ? "table of names, which pairs(...) goes through"
                               : luaL_typename(L, 1));
    lua_pushcfunction(L, next_item);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

static void write_json(lua_State *L, int index, struct buffer *out, int depth);

static void write_text(const char *text, size_t len, struct buffer *out) {
    buffer_putc(out, '"');
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '"' || c == '\\')
            buffer_printf(out, "\\%c", c);
        else if ((unsigned char)c < 0x20 || c == 0x7f)
            buffer_printf(out, "\\u%04x", (unsigned char)c);
        else
            buffer_putc(out, c);
    }
    buffer_putc(out, '"');
}

static bool is_list(lua_State *L, int index, size_t *count) {
    const struct view *view = view_at(L, index);
    if (view)
        return view_list(L, view, count);
    *count = lua_rawlen(L, index);
    return *count > 0;
}

static void write_list(lua_State *L, int index, size_t count, struct buffer *out,
                       int depth) {
    buffer_putc(out, '[');
    for (size_t i = 1; i <= count; i++) {
        if (i > 1)
            buffer_putc(out, ',');
        lua_geti(L, index, (lua_Integer)i);
        write_json(L, lua_gettop(L), out, depth);
        lua_pop(L, 1);
    }
    buffer_putc(out, ']');
}

static void write_object(lua_State *L, int index, struct buffer *out, int depth) {
    bool first = true;
    push_keys(L, index);
    int keys = lua_gettop(L);
    buffer_putc(out, '{');
    for (lua_Integer i = 1; lua_rawgeti(L, keys, i) != LUA_TNIL; i++) {
        size_t len;
        lua_pushvalue(L, -1);
        if (lua_gettable(L, index) != LUA_TNIL) {
            if (!first)
                buffer_putc(out, ',');
            first = false;
            const char *key = luaL_tolstring(L, -2, &len);
            write_text(key, len, out);
            lua_pop(L, 1);
            buffer_putc(out, ':');
            write_json(L, lua_gettop(L), out, depth);
        }
        lua_pop(L, 2);
    }
    lua_pop(L, 2);
    buffer_putc(out, '}');
}

static void write_number(lua_State *L, int index, struct buffer *out) {
    lua_Number number = lua_tonumber(L, index);
    if (lua_isinteger(L, index))
        buffer_printf(out, "%lld", (long long)lua_tointeger(L, index));
    else if (isfinite(number))
        buffer_printf(out, "%.15g", number);
    else
        luaL_error(L, "json: a number that is not finite");
}

static void write_json(lua_State *L, int index, struct buffer *out, int depth) {
    size_t len;
    const char *text;
    const struct view *view = view_at(L, index);
    if (depth == 32 || out->len > BLOCK_MAX)
        luaL_error(L, "json: nested too deeply, or too long");
    luaL_checkstack(L, 8, "json");
    state_charge(L, 4);
    if (lua_type(L, index) == LUA_TSTRING || (view && view->kind == VIEW_RAW)) {
        text = luaL_tolstring(L, index, &len);
        write_text(text, len, out);
        lua_pop(L, 1);
    } else if (lua_type(L, index) == LUA_TNUMBER) {
        write_number(L, index, out);
    } else if (lua_isboolean(L, index) || lua_isnil(L, index)) {
        buffer_puts(out, lua_isnil(L, index)       ? "null"
                         : lua_toboolean(L, index) ? "true"
                                                   : "false");
    } else if (!view && !lua_istable(L, index)) {
        luaL_error(L, "json: a %s has no JSON text", luaL_typename(L, index));
    } else if (is_list(L, index, &len)) {
        write_list(L, index, len, out, depth + 1);
    } else {
        write_object(L, index, out, depth + 1);
    }
}

static int json(lua_State *L) {
    struct buffer *out = &state_renderer(L)->scratch;
    luaL_checkany(L, 1);
    buffer_clear(out);
    write_json(L, 1, out, 0);
    lua_pushlstring(L, buffer_str(out), out->len);
    return 1;
}

static const char *output_path(const struct renderer *renderer, const char *template) {
    const json_t *outputs = json_object_get(renderer->options.globals, "outputs");
    return json_string_value(json_object_get(outputs, template));
}

static bool same_dir(const char *a, const char *b) {
    size_t len_a = (size_t)(file_name(a) - a);
    size_t len_b = (size_t)(file_name(b) - b);
    return len_a == len_b && !strncmp(a, b, len_a);
}

static int path(lua_State *L) {
    const struct renderer *renderer = state_renderer(L);
    const char *template = luaL_checkstring(L, 1);
    const char *found = output_path(renderer, template);
    const char *config = output_path(renderer, "haproxy.cfg");
    if (!found)
        return luaL_error(L, "path: '%s' is not among the outputs in hatlas.yaml",
                          template);
    lua_pushstring(L, config && same_dir(found, config) ? file_name(found) : found);
    return 1;
}

static int include(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    bool params = !lua_isnoneornil(L, 2);
    if (params)
        luaL_checktype(L, 2, LUA_TTABLE);
    memo_include(L, name, params ? 2 : 0);
    return 0;
}

static int include_each(lua_State *L) {
    luaL_checkany(L, 2);
    memo_include_each(L, luaL_checkstring(L, 1), 2);
    return 0;
}

static const luaL_Reg helpers[] = {
    {"raw", raw},
    {"fmt", fmt},
    {"lower", lower},
    {"address", address},
    {"sorted", sorted},
    {"pairs", pairs},
    {"ipairs", ipairs},
    {"json", json},
    {"path", path},
    {"include", include},
    {"include_each", include_each},
    {"where", where_helper},
    {NULL, NULL},
};

void helper_open(lua_State *L) {
    luaL_setfuncs(L, helpers, 0);
}
