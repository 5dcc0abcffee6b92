/* The views of services and hosts. Indexing finds a key's number in a Lua table, so that
 * no names are compared. */
#ifndef HATLAS_RENDER_CATALOG_VIEW_H
#define HATLAS_RENDER_CATALOG_VIEW_H

#include "render/view.h"

/* Pushes a table from the names of a service's (a host's) keys to their numbers. */
void service_keys_push(lua_State *L);
void host_keys_push(lua_State *L);

/* Pushes one value. `key` is a number of the tables above. */
void service_value_push(lua_State *L, struct service_view *view, lua_Integer key);
void host_value_push(lua_State *L, const struct host_view *view, lua_Integer key);

/* Whether a service's key is one of its view `fields` too. */
bool service_key_is_field(lua_Integer key);

/* Appends all that the values of such a view are made of. */
void fields_key_append(lua_State *L, const struct view *fields, struct buffer *key);

/* The service that is item `i` (from 1 on) of the list of services at the index, which is
 * `view`, or a Lua table if that is NULL; NULL behind its end. Raises an error for any
 * other list. */
struct service_view *service_at(lua_State *L, const struct view *view, int list,
                                lua_Integer i);

/* Where a field of services is: in service_schema, or in an object of it. */
struct field_path {
    const struct field *outer; /* NULL: it is none of an object */
    const struct field *field;
};

/* Finds "mode" or "cache.max_age". Raises an error where there is no such field. */
void field_path_find(lua_State *L, const char *name, struct field_path *path);

/* Returns the value as the service has it; NULL if nobody says it. */
const json_t *field_path_read(lua_State *L, const struct field_path *path,
                              struct service_view *view);

/* A value of a host that is no table. */
struct host_value {
    enum { HOST_VALUE_NIL, HOST_VALUE_TEXT, HOST_VALUE_INTEGER, HOST_VALUE_BOOLEAN } kind;
    int number;
    const char *text;
    char address[272]; /* where `text` may point */
};

/* Reads a value without Lua; returns false if it is a table. */
bool host_value_read(const struct host *host, int key, struct host_value *value);

/* The number of a host's key, 0 if there is none of that name. */
int host_key(const char *name);

/* The names, NULL-terminated; of a service all, or those of its view `fields`. */
const char **service_names(lua_State *L, bool only_fields);
const char *const *host_names(size_t *count);

/* Pushes services.by_name's answer: the service of that name, or nil. */
void service_find_push(lua_State *L, const char *name);

/* Pushes a host's label, or nil. */
void label_push(lua_State *L, const struct host *host, const char *name);

#endif
