/* where(list, field, value): the services of a list that say something. */
#ifndef HATLAS_RENDER_WHERE_H
#define HATLAS_RENDER_WHERE_H

#include "render/view.h"

/* The helper that templates call. */
int where_helper(lua_State *L);

/* Forgets the questions that were asked. */
void where_free(struct renderer *renderer);

#endif
