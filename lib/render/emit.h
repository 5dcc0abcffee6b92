/* Emission: lines of text go straight from C into the output. */
#ifndef HATLAS_RENDER_EMIT_H
#define HATLAS_RENDER_EMIT_H

#include "render/compile.h"

#include <lua.h>

/* Pushes the function that prints the program's lines: called with a line's number and
 * its values. The program must outlive it. */
void emit_push(lua_State *L, struct program *program);

#endif
