/* Templates: text with Lua, rendered from a catalog. templates/README.md documents the
 * language. */
#ifndef HATLAS_RENDER_RENDER_H
#define HATLAS_RENDER_RENDER_H

#include "base/buffer.h"
#include "base/error.h"
#include "catalog/catalog.h"

struct renderer;

/* What templates see besides the catalog, and where they are. All is borrowed and must
 * outlive the renderer. */
struct render_options {
    const char *const *dirs; /* searched for a template in order; NULL-terminated */
    const json_t *globals;   /* object: each member is a global of that name: realm, node,
                                routing, haproxy, vars, … (see settings_globals). Unknown
                                names below are errors, but for vars; null is "not set" */
    const json_t *defaults;  /* services.defaults of hatlas.yaml: an object or NULL */
    const json_t *overrides; /* services.overrides: service name → object, or NULL */
    const char *order_seed;  /* hosts in an order hashed with this; NULL: by id */
};

struct renderer *renderer_new(const struct render_options *options);
void renderer_free(struct renderer *renderer);

/* Appends what the template makes of the catalog. The same catalog gives the same bytes.
 * On failure nothing is appended and the error's place is "template:line". Templates are
 * compiled once and again when their file changes. */
bool renderer_render(struct renderer *renderer, const char *template,
                     const struct catalog *catalog, struct buffer *out,
                     struct error *error);

#endif
