/* Views: how Lua sees the catalog and hatlas's settings without copying them. A view is
 * light userdata that points to one of these structs, all in the arena of the rendering;
 * they share one metatable, which reads values on demand. */
#ifndef HATLAS_RENDER_VIEW_H
#define HATLAS_RENDER_VIEW_H

#include "render/state.h"

enum view_kind {
    VIEW_SERVICES, /* the catalog */
    VIEW_PICKED,   /* some of its services */
    VIEW_SERVICE,
    VIEW_FIELDS, /* of a service: all but its name and hosts */
    VIEW_HOSTS,
    VIEW_HOST,
    VIEW_LABELS, /* of a host */
    VIEW_JSON,   /* a JSON object or list */
    VIEW_LAYERS, /* JSON objects of which the first that has a key wins */
    VIEW_EXTRA,  /* the fields of a service that are not in service_schema */
    VIEW_RAW,    /* text that is not quoted */
};

/* What all views begin with. */
struct view {
    enum view_kind kind;
    const struct view *parent; /* NULL: `key` is a global, or what people call it */
    const char *key;
};

struct host_view {
    struct view view;
    const struct host *host;
    uint64_t rank;
};

struct service_view {
    struct view view;
    struct view hosts, fields;
    const struct service *service;
    struct host_view *host_views; /* NULL until somebody asks */
    const json_t *override;       /* what hatlas.yaml says of this service */
    bool override_known;
    uint64_t asked, answers; /* of where(), a bit for each question */
};

struct picked_view {
    struct view view;
    struct service_view **items;
    size_t count;
};

struct labels_view {
    struct view view;
    const struct host *host;
};

struct json_view {
    struct view view;
    bool strict; /* unknown keys are errors */
    const json_t *value;
};

enum { LAYERS = 3 };

struct layers_view {
    struct view view;
    const struct field *field; /* known keys; NULL: any key, nil where there is none */
    const json_t *layers[LAYERS];
};

struct extra_view {
    struct view view;
    const struct service *service;
};

struct raw_view {
    struct view view;
    const char *text;
    size_t len;
};

/* Makes the metatable; once for a Lua state. */
void view_open(lua_State *L);

/* Makes the views of the run's services, and keeps what is known of those that are the same
 * as in the last rendering. */
void view_start(lua_State *L);

/* Frees them. */
void views_free(struct renderer *renderer);

/* Pushes a JSON value: a view of an object or list, anything else as a Lua value. */
void view_push_json(lua_State *L, const json_t *value, const struct view *parent,
                    const char *key, bool strict);
void view_push_services(lua_State *L);
void view_push_raw(lua_State *L, const char *text, size_t len);

/* Returns the view at the index, NULL if it is something else. */
const struct view *view_at(lua_State *L, int index);

/* To be called before something is read of a view that may be that of all services. */
void view_note_read(lua_State *L, const struct view *view);

/* Pushes item `i` of a list of services or hosts, nil behind the end; returns false for
 * any other view. */
bool view_push_item(lua_State *L, const struct view *view, lua_Integer i);

/* Whether the view is a list, and then how many items it has. */
bool view_list(lua_State *L, const struct view *view, size_t *count);

/* The keys of a view that is no list, sorted; NULL-terminated. */
const char **view_keys(lua_State *L, const struct view *view, size_t *count);

/* Raises "path.key: no such name; did you mean …?". */
int view_unknown(lua_State *L, const char *path, const char *key,
                 const char *const *names);

#endif
