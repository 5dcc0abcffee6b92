/* Templates: found in folders, compiled, kept, and run. */
#ifndef HATLAS_RENDER_TEMPLATE_H
#define HATLAS_RENDER_TEMPLATE_H

#include "render/memo.h"

/* Renders the template in place, with the globals at the index (sandbox_push_globals()).
 * Raises errors. */
void template_run(lua_State *L, const char *name, int globals);

/* Lua's message handler: keeps the error and its place in the run. */
int template_on_error(lua_State *L);

/* The name of the innermost template that was running. */
const char *template_running(const struct run *run);

/* Looks at the files of all templates, and forgets those that changed. */
void templates_refresh(struct renderer *renderer);

/* The texts that the outermost template keeps. */
struct memo *template_memo(const struct run *run);

/* Makes room for what the template will print, going by the last time. */
void template_begin(struct renderer *renderer, const char *name);

/* To be called after a rendering with this outermost template. */
void template_end(struct renderer *renderer, const char *name);

/* Frees all compiled templates. */
void templates_free(struct renderer *renderer);

#endif
