/* What the parts of this folder share: the renderer, and the state of one rendering. */
#ifndef HATLAS_RENDER_STATE_H
#define HATLAS_RENDER_STATE_H

#include "render/compile.h"
#include "render/render.h"

#include <lua.h>
#include <stdint.h>

/* Limits of one rendering. 10,000 services with 10 hosts each take a tenth of them.
 * Fuzzing reaches them in less time. */
#ifdef HATLAS_FUZZ
enum { LIMITS_SHIFT = 5 };
#else
enum { LIMITS_SHIFT = 0 };
#endif
enum {
    STEPS_MAX = 200000000 >> LIMITS_SHIFT, /* Lua instructions, and what helpers charge */
    MEMORY_MAX = 256 << 20 >> LIMITS_SHIFT, /* bytes held at once */
    BLOCK_MAX = 32 << 20 >> LIMITS_SHIFT,   /* bytes in one piece: the longest string */
    OUTPUT_MAX = 128 << 20 >> LIMITS_SHIFT, /* bytes of text */
    SECONDS_MAX = 10,                       /* of processor time */
    INCLUDE_MAX = 16,                       /* templates in templates */
    PARAMS_MAX = 8, /* of an include whose text is kept; others may have more */
    KEEP_MAX = 2,   /* texts in each other that are kept */
};

/* One template, compiled; kept by name until its file changes. */
struct template;

/* One rendering. */
struct run {
    const struct catalog *catalog;
    struct buffer *out;
    size_t start; /* where this rendering's text begins */
    struct error *error;
    bool failed;             /* the error is set */
    size_t keeping;          /* how many texts that are being printed are kept */
    uint64_t services_reads; /* how often `services` was read */
    uint64_t steps;          /* so far */
    uint64_t deadline;       /* processor time, nanoseconds */
    size_t memory;           /* held by Lua and the arena */
    uint64_t allocated;      /* ever */
    unsigned refusals;       /* of memory */
    struct template *stack[INCLUDE_MAX]; /* what is being rendered, outermost first */
    size_t depth;
    char last_place[256]; /* last seen, for errors that come without one */
    struct arena_block *arena;
};

/* One row of service_schema with what holds where a service does not say. */
struct field {
    const struct schema *row;
    const json_t
        *base; /* borrowed from the defaults or `fallback`; NULL if neither has it */
    json_t *fallback;
    struct field *members; /* of an object */
    size_t member_count;
};

/* Where a key of services or hosts was found. */
struct key_slot {
    const char *text; /* Lua's own copy */
    lua_Integer number;
};

enum { KEY_SLOTS = 64 };

/* A value that a field is compared with. */
struct wanted {
    int type; /* of Lua */
    const char *text;
    size_t len;
    lua_Integer number;
    bool truth;
};

/* What a template asked of services. */
struct question {
    char *field;
    struct wanted wanted;
};

enum { QUESTIONS_MAX = 64 }; /* that are known again: bits of a service's answers */

/* What a text that is kept is made of, and the services in it. */
struct text_key {
    struct buffer bytes;
    const struct service *services[PARAMS_MAX];
    size_t service_count;
};

struct renderer {
    struct render_options options;
    struct field *fields; /* of service_schema */
    size_t field_count;
    lua_State *lua; /* made when needed, and thrown away after a failure */
    struct key_slot keys[2][KEY_SLOTS]; /* of that state: of services, of hosts */
    struct template *templates;
    uint64_t number; /* of the rendering */
    struct buffer scratch;
    struct service_view *services; /* of the rendering's catalog, in its order */
    size_t service_room;
    const struct catalog *viewed; /* the catalog of the last rendering */
    struct question questions[QUESTIONS_MAX];
    size_t question_count;
    struct text_key text_keys[KEEP_MAX]; /* of what is being kept, outermost first */
    struct run run;
};

/* The renderer that a Lua state belongs to. */
struct renderer *state_renderer(lua_State *L);
struct run *state_run(lua_State *L);

/* Charges for work that Lua's own count does not see. Raises an error over the limit. */
void state_charge(lua_State *L, uint64_t steps);

/* Memory that lives as long as the rendering, zeroed. Raises an error over the limit. */
void *arena_alloc(lua_State *L, size_t size);
void arena_free(struct run *run);

#endif
