/* The sandbox: a Lua state with bounds on time and memory. What it can't bound exactly,
 * such as work inside of one instruction, it bounds by sizes and by processor time. */
#include "render/sandbox.h"
#include "base/mem.h"
#include "render/view.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOOK_STEPS = 1000, REFUSALS_MAX = 4 };
static const uint64_t allocated_max = UINT64_C(4) << 30;
static const uint64_t second = UINT64_C(1000000000);

struct renderer *state_renderer(lua_State *L) {
    return *(struct renderer **)lua_getextraspace(L);
}

struct run *state_run(lua_State *L) {
    return &state_renderer(L)->run;
}

/* Memory refused makes Lua collect garbage and ask again; a template that lives at the
 * limit would spend its life there, so after some refusals nothing more is given. */
static bool may_grow(const struct run *run, size_t more, size_t size) {
    return run->refusals < REFUSALS_MAX && size <= BLOCK_MAX &&
           run->memory + more <= MEMORY_MAX && run->allocated + size <= allocated_max;
}

/* Lua raises errors of memory without a place, so it is noted before. */
static void note_place(lua_State *L, struct run *run) {
    lua_Debug at;
    for (int level = 0; L && lua_getstack(L, level, &at); level++)
        if (lua_getinfo(L, "Sl", &at) && at.currentline > 0) {
            (void)snprintf(run->last_place, sizeof run->last_place, "%s:%d",
                           at.source + 1, at.currentline);
            return;
        }
}

static void *allocate(void *arg, void *old, size_t old_size, size_t size) {
    struct renderer *renderer = arg;
    struct run *run = &renderer->run;
    if (!old)
        old_size = 0; /* lua_Alloc: then it is the kind of the object */
    if (!size) {
        run->memory -= old_size;
        free(old);
        return NULL;
    }
    if (size > old_size && !may_grow(run, size - old_size, size)) {
        run->refusals++;
        note_place(renderer->lua, run);
        return NULL;
    }
    run->allocated += size;
    run->memory = run->memory - old_size + size;
    return mem_resize(old, size, 1);
}

static uint64_t processor_time(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * second + (uint64_t)now.tv_nsec;
}

void state_charge(lua_State *L, uint64_t steps) {
    struct run *run = state_run(L);
    run->steps = steps > STEPS_MAX ? STEPS_MAX + 1 : run->steps + steps;
    if (run->steps > STEPS_MAX)
        luaL_error(L, "the template runs too long: over %d million steps",
                   STEPS_MAX / 1000000);
}

static void on_count(lua_State *L, lua_Debug *at) {
    struct run *run = state_run(L);
    (void)at;
    state_charge(L, HOOK_STEPS);
    if (processor_time() > run->deadline)
        luaL_error(L, "the template runs too long: over %d seconds", SECONDS_MAX);
}

static int refuse_change(lua_State *L) {
    return luaL_error(L, "%s.%s: can't be changed", lua_tostring(L, lua_upvalueindex(1)),
                      luaL_tolstring(L, 2, NULL));
}

/* Arguments: the empty table and the key. Upvalues: the table's name and the table. */
static int refuse_unknown(lua_State *L) {
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    size_t count = 0;
    lua_pushnil(L);
    while (lua_next(L, lua_upvalueindex(2))) {
        count++;
        lua_pop(L, 1);
    }
    const char **names = arena_alloc(L, (count + 1) * sizeof *names);
    lua_pushnil(L);
    for (size_t i = 0; lua_next(L, lua_upvalueindex(2)); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING)
            names[i++] = lua_tostring(L, -2);
    return view_unknown(L, name, luaL_tolstring(L, 2, NULL), names);
}

void sandbox_protect(lua_State *L, const char *name) {
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_pushvalue(L, -3);
    lua_pushcclosure(L, refuse_unknown, 2);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_newtable(L);
    lua_rotate(L, -3, -1);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, refuse_change, 1);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
}

/* Where the real table of globals is kept. */
static const char globals_key = 0;

static void push_base(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &globals_key);
}

static int refuse_global_change(lua_State *L) {
    return luaL_error(L, "%s: templates have no globals of their own; write 'local %s'",
                      luaL_tolstring(L, 2, NULL), luaL_tolstring(L, 2, NULL));
}

/* A member that is null is a name that is known and has no value. */
static int missing_global(lua_State *L) {
    struct renderer *renderer = state_renderer(L);
    const char *key = luaL_tolstring(L, 2, NULL);
    if (json_object_get(renderer->options.globals, key))
        return 0;
    size_t count = 0;
    push_base(L);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        count++;
    const char **names = arena_alloc(L, (count + 1) * sizeof *names);
    count = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        names[count++] = lua_tostring(L, -2);
    return view_unknown(L, "", key, names);
}

/* Leaves the metatable of a table of globals that reads from the table on top. */
static void protect_globals(lua_State *L) {
    lua_newtable(L);
    lua_rotate(L, -2, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_global_change);
    lua_setfield(L, -2, "__newindex");
}

void sandbox_push_globals(lua_State *L, int params) {
    lua_newtable(L);
    if (!params) {
        push_base(L);
        protect_globals(L);
        lua_setmetatable(L, -2);
        return;
    }
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, params);) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "include: the parameters are a table with names as keys");
        lua_pushvalue(L, -2);
        lua_rotate(L, -2, 1);
        lua_rawset(L, -4);
    }
    push_base(L);
    lua_newtable(L);
    lua_rotate(L, -2, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    protect_globals(L);
    lua_setmetatable(L, -2);
}

void sandbox_set_param(lua_State *L, int globals, const char *name) {
    lua_getmetatable(L, globals);
    lua_getfield(L, -1, "__index");
    lua_rotate(L, -3, -1);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}

static int set_up(lua_State *L) {
    view_open(L);
    lua_newtable(L);
    library_open(L);
    helper_open(L);
    lua_newtable(L);
    lua_pushcfunction(L, missing_global);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &globals_key);
    return 0;
}

lua_State *sandbox_open(struct renderer *renderer, struct error *error) {
    lua_State *L = lua_newstate(allocate, renderer);
    if (!L) {
        (void)error_set(error, NULL, "can't make a Lua state");
        return NULL;
    }
    *(struct renderer **)lua_getextraspace(L) = renderer;
    lua_pushcfunction(L, set_up);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        (void)error_set(error, NULL, "can't set Lua up: %s", lua_tostring(L, -1));
        lua_close(L);
        return NULL;
    }
    (void)lua_gc(L, LUA_GCGEN, 0, 0);
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_STEPS);
    return L;
}

void sandbox_start(lua_State *L) {
    struct renderer *renderer = state_renderer(L);
    renderer->run.deadline = processor_time() + SECONDS_MAX * second;
    push_base(L);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)renderer->options.globals, name, value) {
        view_push_json(L, value, NULL, name, strcmp(name, "vars") != 0);
        lua_setfield(L, -2, name);
    }
    view_start(L);
    view_push_services(L);
    lua_setfield(L, -2, "services");
    lua_pop(L, 1);
}
