/* Picks services by what they say. */
#include "render/where.h"
#include "base/mem.h"
#include "render/catalog_view.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static struct wanted check_wanted(lua_State *L, int index) {
    struct wanted wanted = {.type = lua_type(L, index)};
    if (wanted.type == LUA_TSTRING)
        wanted.text = lua_tolstring(L, index, &wanted.len);
    else if (lua_isinteger(L, index))
        wanted.number = lua_tointeger(L, index);
    else if (wanted.type == LUA_TBOOLEAN)
        wanted.truth = lua_toboolean(L, index);
    else if (wanted.type != LUA_TNIL)
        luaL_error(L, "where: a value is a string, a whole number or a boolean");
    return wanted;
}

/* Whether what was found is the value, or without one whether it is set. */
static bool is_wanted(const struct wanted *wanted, const json_t *found) {
    switch (wanted->type) {
    case LUA_TNIL:
        return found && !json_is_false(found);
    case LUA_TSTRING:
        return json_is_string(found) && json_string_length(found) == wanted->len &&
               !memcmp(json_string_value(found), wanted->text, wanted->len);
    case LUA_TBOOLEAN:
        return json_is_boolean(found) && json_is_true(found) == wanted->truth;
    default:
        return json_is_integer(found) && json_integer_value(found) == wanted->number;
    }
}

static size_t count_services(lua_State *L, int list) {
    const struct view *view = view_at(L, list);
    size_t count = 0;
    if (view ? !view_list(L, view, &count) : !lua_istable(L, list))
        luaL_error(L, "expected a list of services");
    return view ? count : lua_rawlen(L, list);
}

static bool same_wanted(const struct wanted *a, const struct wanted *b) {
    return a->type == b->type && a->number == b->number && a->truth == b->truth &&
           a->len == b->len && (!a->len || !memcmp(a->text, b->text, a->len));
}

/* The bit of the question in a service's answers; 0 if there is none left. */
static uint64_t find_question(struct renderer *renderer, const char *field,
                              const struct wanted *wanted) {
    size_t i = 0;
    while (i < renderer->question_count &&
           (strcmp(renderer->questions[i].field, field) != 0 ||
            !same_wanted(&renderer->questions[i].wanted, wanted)))
        i++;
    if (i == QUESTIONS_MAX)
        return 0;
    if (i == renderer->question_count) {
        struct question *question = &renderer->questions[renderer->question_count++];
        *question = (struct question){mem_strdup(field), *wanted};
        if (wanted->text)
            question->wanted.text = mem_strndup(wanted->text, wanted->len);
    }
    return UINT64_C(1) << i;
}

void where_free(struct renderer *renderer) {
    for (size_t i = 0; i < renderer->question_count; i++) {
        free(renderer->questions[i].field);
        free((char *)renderer->questions[i].wanted.text);
    }
}

/* Most services are those of the last rendering, which was asked the same. */
static bool answer(lua_State *L, struct service_view *view, uint64_t question,
                   const struct field_path *path, const struct wanted *wanted) {
    if (view->asked & question)
        return view->answers & question;
    bool yes = is_wanted(wanted, field_path_read(L, path, view));
    view->asked |= question;
    if (yes)
        view->answers |= question;
    return yes;
}

int where_helper(lua_State *L) {
    struct field_path path;
    struct service_view *service;
    lua_settop(L, 3);
    struct wanted wanted = check_wanted(L, 3);
    const char *field = luaL_checkstring(L, 2);
    field_path_find(L, field, &path);
    uint64_t question = find_question(state_renderer(L), field, &wanted);
    size_t count = count_services(L, 1);
    const struct view *list = view_at(L, 1);
    struct picked_view *picked = arena_alloc(L, sizeof *picked);
    picked->view = (struct view){VIEW_PICKED, NULL, "services"};
    picked->items = arena_alloc(L, count * sizeof(struct service_view *));
    state_charge(L, count);
    for (size_t i = 0;
         i < count && (service = service_at(L, list, 1, (lua_Integer)i + 1)); i++)
        if (answer(L, service, question, &path, &wanted))
            picked->items[picked->count++] = service;
    lua_pushlightuserdata(L, picked);
    return 1;
}
