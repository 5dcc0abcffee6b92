/* Templates: found in folders, compiled, kept, and run. */
#ifndef HATLAS_RENDER_TEMPLATE_H
#define HATLAS_RENDER_TEMPLATE_H

#include "render/state.h"

/* Renders the template in place, with the parameters at the index (0: none) as globals of
 * it. Raises errors. */
void template_run(lua_State *L, const char *name, int params);

/* Lua's message handler: keeps the error and its place in the run. */
int template_on_error(lua_State *L);

/* The name of the innermost template that was running. */
const char *template_running(const struct run *run);

/* Frees all compiled templates. */
void templates_free(struct renderer *renderer);

#endif
