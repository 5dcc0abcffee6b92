/* Lua's own libraries as templates get them: nothing that reaches outside, nothing whose
 * result varies, and a price for what takes long inside of one instruction. */
#include "render/sandbox.h"
#include "render/view.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

/* Multiplies without overflow; beyond the limit it does not matter by how much. */
static uint64_t times(uint64_t a, uint64_t b) {
    return b && a > STEPS_MAX / b ? STEPS_MAX + (uint64_t)1 : a * b;
}

/* Skips one single-character class of a pattern. */
static const char *skip_class(const char *p, const char *end) {
    if (*p == '%')
        return p + 2 < end ? p + 2 : end;
    if (*p != '[')
        return p + 1;
    p += p + 1 < end && p[1] == '^' ? 2 : 1;
    do {
        if (p < end && *p == '%')
            p++;
        p++;
    } while (p < end && *p != ']');
    return p < end ? p + 1 : end;
}

/* What matching costs at worst: every unbounded repetition may be tried with every
 * length, from every start; every '?' in two ways. */
static uint64_t pattern_cost(const char *p, size_t len, size_t subject) {
    const char *end = p + len;
    uint64_t cost = *p == '^' ? 1 : subject + 1;
    while (p < end) {
        bool scan =
            *p == '%' && p + 1 < end && (p[1] == 'b' || strchr("123456789", p[1]));
        p = skip_class(p, end);
        if (scan || (p < end && strchr("*+-", *p)))
            cost = times(cost, subject + 1);
        else if (p < end && *p == '?')
            cost = times(cost, 2);
    }
    return cost;
}

/* Calls the function that is the first upvalue with all arguments. */
static int call_original(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int with_pattern(lua_State *L) {
    size_t subject;
    size_t len;
    (void)luaL_checklstring(L, 1, &subject);
    const char *pattern = luaL_checklstring(L, 2, &len);
    bool plain = lua_toboolean(L, 4) && lua_toboolean(L, lua_upvalueindex(2));
    state_charge(L, plain ? times(subject, len) : pattern_cost(pattern, len, subject));
    return call_original(L);
}

static int repeat(lua_State *L) {
    size_t len;
    size_t between;
    (void)luaL_checklstring(L, 1, &len);
    lua_Integer count = luaL_checkinteger(L, 2);
    (void)luaL_optlstring(L, 3, "", &between);
    if (count > 0)
        state_charge(L, times((uint64_t)count, len + between + 1));
    return call_original(L);
}

/* Addresses differ from run to run: text must not have them. */
static void check_printable(lua_State *L, int index) {
    int type = lua_type(L, index);
    if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA)
        luaL_error(L, "a %s is no text", luaL_typename(L, index));
}

static int format(lua_State *L) {
    const char *text = luaL_checkstring(L, 1);
    for (const char *p = text; (p = strchr(p, '%')); p += *p != '\0') {
        p += 1 + strspn(p + 1, "-+#0 .123456789");
        if (*p == 'p')
            return luaL_error(L, "format: '%%p' has no use in templates");
    }
    for (int i = 2; i <= lua_gettop(L); i++)
        check_printable(L, i);
    return call_original(L);
}

static int text_of(lua_State *L) {
    luaL_checkany(L, 1);
    check_printable(L, 1);
    (void)luaL_tolstring(L, 1, NULL);
    return 1;
}

/* The work grows with the table: insert and remove may move all of it. */
static int with_table(lua_State *L) {
    if (lua_istable(L, 1))
        state_charge(L, lua_rawlen(L, 1) + 1);
    return call_original(L);
}

static int insert(lua_State *L) {
    if (lua_istable(L, 1) && lua_gettop(L) > 2)
        state_charge(L, lua_rawlen(L, 1) + 1);
    return call_original(L);
}

static int remove_item(lua_State *L) {
    if (lua_istable(L, 1) && lua_gettop(L) > 1)
        state_charge(L, lua_rawlen(L, 1) + 1);
    return call_original(L);
}

static int sort(lua_State *L) {
    uint64_t count = lua_istable(L, 1) ? lua_rawlen(L, 1) : 0;
    uint64_t levels = 1;
    while (count >> levels)
        levels++;
    state_charge(L, times(count, 4 * levels));
    return call_original(L);
}

static int type_of(lua_State *L) {
    luaL_checkany(L, 1);
    const struct view *view = view_at(L, 1);
    lua_pushstring(L, view && view->kind != VIEW_RAW ? "table" : luaL_typename(L, 1));
    return 1;
}

/* Without Lua's "template:line:", which the error has as its place. */
static int raise(lua_State *L) {
    (void)luaL_checkstring(L, 1);
    lua_settop(L, 1);
    return lua_error(L);
}

struct entry {
    const char *name;
    lua_CFunction wrapper; /* NULL: the original itself */
};

static const struct entry string_entries[] = {
    {"format", format},      {"sub", NULL},
    {"lower", NULL},         {"upper", NULL},
    {"len", NULL},           {"byte", NULL},
    {"char", NULL},          {"rep", repeat},
    {"reverse", NULL},       {"find", with_pattern},
    {"match", with_pattern}, {"gmatch", with_pattern},
    {"gsub", with_pattern},  {NULL, NULL},
};

static const struct entry table_entries[] = {
    {"concat", with_table}, {"insert", insert},     {"remove", remove_item},
    {"sort", sort},         {"unpack", with_table}, {NULL, NULL},
};

static const struct entry math_entries[] = {
    {"abs", NULL}, {"ceil", NULL},      {"floor", NULL},      {"fmod", NULL},
    {"max", NULL}, {"min", NULL},       {"modf", NULL},       {"sqrt", NULL},
    {"exp", NULL}, {"log", NULL},       {"sin", NULL},        {"cos", NULL},
    {"tan", NULL}, {"asin", NULL},      {"acos", NULL},       {"atan", NULL},
    {"pi", NULL},  {"huge", NULL},      {"maxinteger", NULL}, {"mininteger", NULL},
    {"ult", NULL}, {"tointeger", NULL}, {"type", NULL},       {"deg", NULL},
    {"rad", NULL}, {NULL, NULL},
};

static const struct entry base_entries[] = {
    {"assert", NULL},      {"error", raise},  {"select", NULL}, {"tonumber", NULL},
    {"tostring", text_of}, {"type", type_of}, {NULL, NULL},
};

/* Copies entries from the library on top of the stack to the table below it. */
static void copy(lua_State *L, const struct entry *entries) {
    for (; entries->name; entries++) {
        lua_getfield(L, -1, entries->name);
        if (entries->wrapper) {
            lua_pushboolean(L, !strcmp(entries->name, "find"));
            lua_pushcclosure(L, entries->wrapper, 2);
        }
        lua_setfield(L, -3, entries->name);
    }
}

static void add_library(lua_State *L, const char *name, lua_CFunction open,
                        const struct entry *entries) {
    lua_newtable(L);
    luaL_requiref(L, name, open, 0);
    copy(L, entries);
    lua_pop(L, 1);
    if (open == luaopen_string) {
        lua_pushstring(L, "");
        lua_getmetatable(L, -1);
        lua_pushvalue(L, -3);
        lua_setfield(L, -2, "__index");
        lua_pop(L, 2);
    }
    sandbox_protect(L, name);
    lua_setfield(L, -2, name);
}

void library_open(lua_State *L) {
    luaL_requiref(L, "_G", luaopen_base, 0);
    copy(L, base_entries);
    lua_pop(L, 1);
    add_library(L, "string", luaopen_string, string_entries);
    add_library(L, "table", luaopen_table, table_entries);
    add_library(L, "math", luaopen_math, math_entries);
}
