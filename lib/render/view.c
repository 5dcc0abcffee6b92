/* How Lua sees the catalog and the settings: one metatable for all views. */
#include "render/view.h"
#include "base/schema.h"
#include "base/text.h"
#include "render/catalog_view.h"
#include "render/field.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct view *view_at(lua_State *L, int index) {
    return lua_islightuserdata(L, index) ? lua_touserdata(L, index) : NULL;
}

/* Writes "service.check"; returns how long that is. */
static size_t path_of(const struct view *view, char *out, size_t size) {
    size_t used = view->parent ? path_of(view->parent, out, size) : 0;
    int more =
        snprintf(out + used, size - used, "%s%s", view->parent ? "." : "", view->key);
    used += more > 0 ? (size_t)more : 0;
    return used < size ? used : size - 1;
}

int view_unknown(lua_State *L, const char *path, const char *key,
                 const char *const *names) {
    const char *nearest = text_nearest(key, names);
    if (nearest)
        return luaL_error(L, "%s%s%s: no such name; did you mean '%s'?", path,
                          *path ? "." : "", key, nearest);
    return luaL_error(L, "%s%s%s: no such name", path, *path ? "." : "", key);
}

static int unknown_key(lua_State *L, const struct view *view) {
    char path[256];
    size_t count;
    const char **names = view_keys(L, view, &count);
    (void)path_of(view, path, sizeof path);
    if (lua_type(L, 2) == LUA_TSTRING || lua_type(L, 2) == LUA_TNUMBER)
        return view_unknown(L, path, lua_tostring(L, 2), names);
    return luaL_error(L, "%s: a key can't be a %s", path, luaL_typename(L, 2));
}

void view_push_json(lua_State *L, const json_t *value, const struct view *parent,
                    const char *key, bool strict) {
    struct json_view *view;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        view = arena_alloc(L, sizeof *view);
        *view = (struct json_view){{VIEW_JSON, parent, key}, strict, value};
        lua_pushlightuserdata(L, view);
        break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(value));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(value));
        break;
    case JSON_NULL:
        lua_pushnil(L);
    }
}

void view_note_read(lua_State *L, const struct view *view) {
    state_run(L)->services_reads += view->kind == VIEW_SERVICES;
}

void view_push_services(lua_State *L) {
    struct view *view = arena_alloc(L, sizeof *view);
    *view = (struct view){VIEW_SERVICES, NULL, "services"};
    lua_pushlightuserdata(L, view);
}

void view_push_raw(lua_State *L, const char *text, size_t len) {
    struct raw_view *view = arena_alloc(L, sizeof *view);
    char *copy = arena_alloc(L, len + 1);
    memcpy(copy, text, len);
    *view = (struct raw_view){{VIEW_RAW, NULL, "raw"}, copy, len};
    lua_pushlightuserdata(L, view);
}

/* Finds a member with its key, which lives as long as the object. */
static const json_t *member(const json_t *object, const char *name, const char **key) {
    void *at = json_object_iter_at((json_t *)object, name);
    if (!at)
        return NULL;
    *key = json_object_iter_key(at);
    return json_object_iter_value(at);
}

static int index_json(lua_State *L, const struct json_view *view) {
    if (!json_is_object(view->value)) {
        if (!lua_isinteger(L, 2))
            return unknown_key(L, &view->view);
        lua_Integer i = lua_tointeger(L, 2);
        const json_t *item = i >= 1 ? json_array_get(view->value, (size_t)i - 1) : NULL;
        if (!item)
            return 0;
        view_push_json(L, item, view->view.parent, view->view.key, view->strict);
        return 1;
    }
    const char *key = NULL;
    const json_t *value = lua_type(L, 2) == LUA_TSTRING
                              ? member(view->value, lua_tostring(L, 2), &key)
                              : NULL;
    if (!value)
        return view->strict ? unknown_key(L, &view->view) : 0;
    view_push_json(L, value, &view->view, key, view->strict);
    return 1;
}

static int index_known(lua_State *L, const struct layers_view *view) {
    const struct field *field = NULL;
    if (lua_type(L, 2) == LUA_TSTRING)
        field = fields_find(view->field->members, view->field->member_count,
                            lua_tostring(L, 2));
    if (!field)
        return unknown_key(L, &view->view);
    const json_t *value = fields_value(view->layers, LAYERS, field->row->name);
    if (!value)
        value = field->base;
    if (!value)
        return 0;
    view_push_json(L, value, &view->view, field->row->name, false);
    return 1;
}

static int index_layers(lua_State *L, const struct layers_view *view) {
    if (view->field)
        return index_known(L, view);
    for (size_t i = 0; i < LAYERS && lua_type(L, 2) == LUA_TSTRING; i++) {
        const char *key = NULL;
        const json_t *value = member(view->layers[i], lua_tostring(L, 2), &key);
        if (value && !json_is_null(value)) {
            view_push_json(L, value, &view->view, key, false);
            return 1;
        }
    }
    return 0;
}

static bool is_known(lua_State *L, const char *name) {
    const struct renderer *renderer = state_renderer(L);
    return fields_find(renderer->fields, renderer->field_count, name) != NULL;
}

static int index_extra(lua_State *L, const struct extra_view *view) {
    if (lua_type(L, 2) != LUA_TSTRING || is_known(L, lua_tostring(L, 2)))
        return 0;
    const char *key = NULL;
    const json_t *value = member(view->service->fields, lua_tostring(L, 2), &key);
    if (!value)
        return 0;
    view_push_json(L, value, &view->view, key, false);
    return 1;
}

static int by_name(lua_State *L) {
    service_find_push(L, luaL_checkstring(L, 1));
    return 1;
}

static int index_services(lua_State *L, const struct view *view) {
    view_note_read(L, view);
    if (lua_isinteger(L, 2))
        return view_push_item(L, view, lua_tointeger(L, 2));
    if (lua_type(L, 2) != LUA_TSTRING)
        return unknown_key(L, view);
    if (!strcmp(lua_tostring(L, 2), "by_name"))
        lua_pushcfunction(L, by_name);
    else
        service_find_push(L, lua_tostring(L, 2));
    return 1;
}

/* Lua keeps one copy of each short string, and the tables of keys keep these alive: so a
 * string that stands where a known key was found is that key. */
static lua_Integer key_number(lua_State *L, int keys) {
    struct key_slot *slots = state_renderer(L)->keys[keys - 1];
    const char *text = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
    struct key_slot *slot = &slots[((uintptr_t)text >> 4) % KEY_SLOTS];
    if (text && slot->text == text)
        return slot->number;
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(keys));
    lua_Integer number = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (number)
        *slot = (struct key_slot){text, number};
    return number;
}

static int index_view(lua_State *L) {
    void *view = lua_touserdata(L, 1);
    lua_Integer key;
    switch (((struct view *)view)->kind) {
    case VIEW_HOST:
        if (!(key = key_number(L, 2)))
            return unknown_key(L, view);
        host_value_push(L, view, key);
        return 1;
    case VIEW_SERVICE:
        if (!(key = key_number(L, 1)))
            return unknown_key(L, view);
        service_value_push(L, view, key);
        return 1;
    case VIEW_FIELDS:
        if (!service_key_is_field(key = key_number(L, 1)))
            return unknown_key(L, view);
        service_value_push(L, (struct service_view *)((struct view *)view)->parent, key);
        return 1;
    case VIEW_SERVICES:
        return index_services(L, view);
    case VIEW_HOSTS:
    case VIEW_PICKED:
        if (!lua_isinteger(L, 2))
            return unknown_key(L, view);
        return view_push_item(L, view, lua_tointeger(L, 2));
    case VIEW_LABELS:
        if (lua_type(L, 2) != LUA_TSTRING)
            return 0;
        label_push(L, ((struct labels_view *)view)->host, lua_tostring(L, 2));
        return 1;
    case VIEW_JSON:
        return index_json(L, view);
    case VIEW_LAYERS:
        return index_layers(L, view);
    case VIEW_EXTRA:
        return index_extra(L, view);
    case VIEW_RAW:
        break;
    }
    return luaL_error(L, "raw text has no fields");
}

bool view_list(lua_State *L, const struct view *view, size_t *count) {
    view_note_read(L, view);
    if (view->kind == VIEW_SERVICES) {
        *count = state_run(L)->catalog->service_count;
        return true;
    }
    if (view->kind == VIEW_PICKED) {
        *count = ((const struct picked_view *)view)->count;
        return true;
    }
    if (view->kind == VIEW_HOSTS) {
        *count = ((const struct service_view *)view->parent)->service->host_count;
        return true;
    }
    if (view->kind != VIEW_JSON)
        return false;
    const struct json_view *json = (const struct json_view *)view;
    *count = json_array_size(json->value);
    return !json_is_object(json->value);
}

static int len_view(lua_State *L) {
    size_t count;
    if (!view_list(L, lua_touserdata(L, 1), &count))
        return luaL_error(L, "only lists have a length");
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

static int set_view(lua_State *L) {
    char path[256];
    (void)path_of(lua_touserdata(L, 1), path, sizeof path);
    return luaL_error(L, "%s: values can't be changed", path);
}

static int text_of_view(lua_State *L) {
    const struct raw_view *view = lua_touserdata(L, 1);
    if (view->view.kind != VIEW_RAW)
        return luaL_error(L, "a table is no text; print one of its values, or json(...)");
    lua_pushlstring(L, view->text, view->len);
    return 1;
}

static size_t add_keys(const json_t *object, const char **keys, size_t count) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) keys[count++] = key;
    return count;
}

static size_t layer_keys(const struct layers_view *view, const char **keys) {
    size_t count = 0;
    for (size_t i = 0; i < LAYERS; i++)
        count = add_keys(view->layers[i], keys, count);
    if (!view->field)
        return count;
    count = 0;
    for (size_t i = 0; i < view->field->member_count; i++)
        keys[count++] = view->field->members[i].row->name;
    return count;
}

static size_t extra_keys(lua_State *L, const struct extra_view *view, const char **keys) {
    size_t all = add_keys(view->service->fields, keys, 0);
    size_t count = 0;
    for (size_t i = 0; i < all; i++)
        if (!is_known(L, keys[i]))
            keys[count++] = keys[i];
    return count;
}

static size_t services_keys(const struct run *run, const char **keys) {
    for (size_t i = 0; i < run->catalog->service_count; i++)
        keys[i] = run->catalog->services[i]->name;
    return run->catalog->service_count;
}

/* How many keys there are at most. */
static size_t keys_bound(lua_State *L, const struct view *view) {
    const struct layers_view *layers = (const struct layers_view *)view;
    size_t bound = 0;
    switch (view->kind) {
    case VIEW_SERVICES:
        return state_run(L)->catalog->service_count;
    case VIEW_JSON:
        return json_object_size(((const struct json_view *)view)->value);
    case VIEW_LABELS:
        return ((const struct labels_view *)view)->host->label_count;
    case VIEW_EXTRA:
        return json_object_size(((const struct extra_view *)view)->service->fields);
    case VIEW_LAYERS:
        for (size_t i = 0; i < LAYERS; i++)
            bound += json_object_size(layers->layers[i]);
        return bound + (layers->field ? layers->field->member_count : 0);
    default:
        return 0;
    }
}

static size_t collect_keys(lua_State *L, const struct view *view, const char **keys) {
    const struct labels_view *labels = (const struct labels_view *)view;
    switch (view->kind) {
    case VIEW_SERVICES:
        return services_keys(state_run(L), keys);
    case VIEW_JSON:
        return add_keys(((const struct json_view *)view)->value, keys, 0);
    case VIEW_LABELS:
        for (size_t i = 0; i < labels->host->label_count; i++)
            keys[i] = labels->host->labels[i].name;
        return labels->host->label_count;
    case VIEW_EXTRA:
        return extra_keys(L, (const struct extra_view *)view, keys);
    case VIEW_LAYERS:
        return layer_keys((const struct layers_view *)view, keys);
    default:
        return 0;
    }
}

static int compare_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t sort_unique(const char **keys, size_t count) {
    size_t kept = 0;
    if (count)
        qsort(keys, count, sizeof *keys, compare_text);
    for (size_t i = 0; i < count; i++)
        if (!kept || strcmp(keys[kept - 1], keys[i]) != 0)
            keys[kept++] = keys[i];
    keys[kept] = NULL;
    return kept;
}

const char **view_keys(lua_State *L, const struct view *view, size_t *count) {
    const char **keys;
    view_note_read(L, view);
    if (view->kind == VIEW_SERVICE || view->kind == VIEW_FIELDS) {
        keys = service_names(L, view->kind == VIEW_FIELDS);
        for (*count = 0; keys[*count];)
            ++*count;
    } else if (view->kind == VIEW_HOST) {
        const char *const *names = host_names(count);
        keys = arena_alloc(L, (*count + 1) * sizeof *keys);
        memcpy(keys, names, *count * sizeof *keys);
    } else {
        keys = arena_alloc(L, (keys_bound(L, view) + 1) * sizeof *keys);
        *count = collect_keys(L, view, keys);
    }
    *count = sort_unique(keys, *count);
    return keys;
}

static const luaL_Reg view_methods[] = {
    {"__len", len_view},
    {"__newindex", set_view},
    {"__tostring", text_of_view},
    {NULL, NULL},
};

void view_open(lua_State *L) {
    lua_pushlightuserdata(L, L);
    lua_newtable(L);
    luaL_setfuncs(L, view_methods, 0);
    service_keys_push(L);
    host_keys_push(L);
    lua_pushcclosure(L, index_view, 2);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, "table");
    lua_setfield(L, -2, "__name");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
