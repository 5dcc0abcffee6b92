/* The sandbox: a Lua state with bounds on time and memory, and nothing in it that reaches
 * outside of the template. */
#ifndef HATLAS_RENDER_SANDBOX_H
#define HATLAS_RENDER_SANDBOX_H

#include "render/state.h"

/* Makes a state for the renderer, with views, helpers and the parts of Lua's libraries
 * that templates get. Returns NULL, with an error, if that fails. */
lua_State *sandbox_open(struct renderer *renderer, struct error *error);

/* Begins a rendering: resets the bounds and sets the globals. Raises errors. */
void sandbox_start(lua_State *L);

/* Pushes the globals of a template that is rendered with the parameters at the index (0:
 * none). */
void sandbox_push_globals(lua_State *L, int params);

/* Takes a value from the stack: from now on the parameter of that name of the globals at
 * the index, which were made with parameters. */
void sandbox_set_param(lua_State *L, int globals, const char *name);

/* Adds Lua's own libraries, wrapped where they would run long or reach outside, to the
 * table of globals on top of the stack. */
void library_open(lua_State *L);

/* Adds hatlas's helpers to the table of globals on top of the stack. */
void helper_open(lua_State *L);

/* Makes an empty table that reads from the one on top of the stack, replaces it, and
 * can't be changed. `name` is for messages. */
void sandbox_protect(lua_State *L, const char *name);

#endif
