/* Emission: lines of text go straight from C into the output, values quoted on the way.
 */
#include "render/emit.h"
#include "render/catalog_view.h"
#include "render/state.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

static void emit_integer(lua_Integer number, struct buffer *out) {
    char digits[24];
    size_t at = sizeof digits;
    lua_Unsigned left = number < 0 ? 0 - (lua_Unsigned)number : (lua_Unsigned)number;
    do
        digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        digits[--at] = '-';
    buffer_append(out, digits + at, sizeof digits - at);
}

static const char *emit_number(lua_State *L, int index, struct buffer *out) {
    if (lua_isinteger(L, index)) {
        emit_integer(lua_tointeger(L, index), out);
        return NULL;
    }
    if (!isfinite(lua_tonumber(L, index)))
        return "is not a finite number";
    buffer_printf(out, "%.14g", lua_tonumber(L, index));
    return NULL;
}

static const char *emit_view(const struct view *view, struct buffer *out) {
    const struct raw_view *raw = (const struct raw_view *)view;
    if (view->kind != VIEW_RAW)
        return "is a table; print one of its values, or json(...) of it";
    return quote_append_raw(raw->text, raw->len, out);
}

/* Returns NULL, or what is wrong with the value. */
static const char *emit_value(lua_State *L, int index, enum quote quote,
                              struct buffer *out) {
    size_t len;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        return quote_append(quote, text, len, out);
    case LUA_TNUMBER:
        return emit_number(L, index, out);
    case LUA_TBOOLEAN:
        buffer_puts(out, lua_toboolean(L, index) ? "true" : "false");
        return NULL;
    case LUA_TLIGHTUSERDATA:
        return emit_view(lua_touserdata(L, index), out);
    case LUA_TNIL:
        return "is nil";
    case LUA_TTABLE:
        return "is a table; print one of its values, or json(...) of it";
    default:
        return "is a function";
    }
}

static const char *emit_host_value(const struct host_value *value, enum quote quote,
                                   struct buffer *out) {
    switch (value->kind) {
    case HOST_VALUE_TEXT:
        return quote_append(quote, value->text, strlen(value->text), out);
    case HOST_VALUE_INTEGER:
        emit_integer(value->number, out);
        return NULL;
    case HOST_VALUE_BOOLEAN:
        buffer_puts(out, value->number ? "true" : "false");
        return NULL;
    default:
        return "is nil";
    }
}

/* The value's member is read here: of a host without a detour through Lua. */
static const char *emit_member(lua_State *L, int index, const struct program_value *value,
                               struct buffer *out) {
    const struct view *view = view_at(L, index);
    struct host_value read;
    if (view && view->kind == VIEW_HOST && value->host_key &&
        host_value_read(((const struct host_view *)view)->host, value->host_key, &read))
        return emit_host_value(&read, value->quote, out);
    if (!view && !lua_istable(L, index) && lua_type(L, index) != LUA_TSTRING)
        luaL_error(L, "attempt to index a %s value ('%s')", luaL_typename(L, index),
                   lua_pushlstring(L, value->expression,
                                   (size_t)(value->member - value->expression - 1)));
    lua_getfield(L, index, value->member);
    lua_replace(L, index);
    return emit_value(L, index, value->quote, out);
}

/* HAProxy would refuse the line. */
static void check_line(lua_State *L, const char *line, size_t len) {
    struct quote_scan scan = {0};
    if (len > PROGRAM_LINE_MAX)
        luaL_error(L, "the line has %d bytes; HAProxy's lines end at %d", (int)len,
                   PROGRAM_LINE_MAX);
    quote_scan_text(&scan, line, len);
    if (scan.words > PROGRAM_WORDS_MAX)
        luaL_error(L, "the line has %d words; HAProxy reads %d of a line",
                   (int)scan.words, PROGRAM_WORDS_MAX);
}

/* The words of a line are counted when it is compiled, and only trusted text adds some.
 */
static void check_limits(lua_State *L, const struct program_line *line,
                         const struct buffer *out, size_t start, bool trusted) {
    size_t len = out->len - start;
    if (line->haproxy && (trusted || len > PROGRAM_LINE_MAX))
        check_line(L, out->data + start, len - (out->data[out->len - 1] == '\n'));
    if (out->len - state_run(L)->start > OUTPUT_MAX)
        luaL_error(L, "the template prints more than %d MiB", OUTPUT_MAX >> 20);
}

/* Whether the value is text that is not quoted. */
static bool is_trusted(lua_State *L, int index) {
    const struct view *view = view_at(L, index);
    return view && view->kind == VIEW_RAW && ((const struct raw_view *)view)->len;
}

/* Arguments: the line's number and its values. Upvalue: the program. */
static int emit_line(lua_State *L) {
    const struct program *program = lua_touserdata(L, lua_upvalueindex(1));
    struct buffer *out = state_run(L)->out;
    lua_Integer number = lua_tointeger(L, 1);
    size_t start = out->len;
    bool trusted = false;
    if (number < 1 || (lua_Unsigned)number > program->line_count)
        return luaL_error(L, "no such line");
    const struct program_line *line = &program->lines[number - 1];
    if (!line->printed || (size_t)lua_gettop(L) != line->value_count + 1)
        return luaL_error(L, "no such line");
    buffer_append(out, line->text, line->len);
    for (size_t i = 0; i < line->value_count; i++) {
        const struct program_value *value = &program->values[line->first_value + i];
        int index = (int)i + 2;
        const char *fault = value->member ? emit_member(L, index, value, out)
                                          : emit_value(L, index, value->quote, out);
        if (fault)
            return luaL_error(L, "value of '%s' %s", value->expression, fault);
        trusted = trusted || is_trusted(L, index);
        buffer_append(out, value->text, value->len);
    }
    check_limits(L, line, out, start, trusted);
    return 0;
}

void emit_push(lua_State *L, struct program *program) {
    for (size_t i = 0; i < program->value_count; i++)
        if (program->values[i].member)
            program->values[i].host_key = host_key(program->values[i].member);
    lua_pushlightuserdata(L, program);
    lua_pushcclosure(L, emit_line, 1);
}
