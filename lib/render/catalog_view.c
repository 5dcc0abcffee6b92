/* The views of services and hosts. */
#include "render/catalog_view.h"
#include "base/json.h"
#include "base/mem.h"
#include "catalog/fields.h"
#include "render/field.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SERVICE_NAME = 1,
    SERVICE_HOSTS,
    SERVICE_HOST_COUNT,
    SERVICE_PLAIN,
    SERVICE_FIELDS,
    SERVICE_VARS,
    SERVICE_EXTRA,
    SERVICE_HAPROXY,
    SERVICE_SCHEMA, /* and on: rows of service_schema */
};

static const char *const service_own_names[] = {
    [SERVICE_NAME] = "name",
    [SERVICE_HOSTS] = "hosts",
    [SERVICE_HOST_COUNT] = "host_count",
    [SERVICE_PLAIN] = "plain",
    [SERVICE_FIELDS] = "fields",
    [SERVICE_VARS] = "vars",
    [SERVICE_EXTRA] = "extra",
    [SERVICE_HAPROXY] = "haproxy",
};

enum {
    HOST_ID = 1,
    HOST_NAME,
    HOST_HOST,
    HOST_PORT,
    HOST_ADDRESS,
    HOST_ZONE,
    HOST_WEIGHT,
    HOST_MAXCONN,
    HOST_ENABLED,
    HOST_DRAIN,
    HOST_BACKUP,
    HOST_PLAIN,
    HOST_OPTIONS,
    HOST_LABELS,
    HOST_EXTRA,
    HOST_KEYS,
};

/* Without the first, NULL-terminated. */
static const char *const host_own_names[HOST_KEYS + 1] = {
    [HOST_ID] = "id",           [HOST_NAME] = "name",       [HOST_HOST] = "host",
    [HOST_PORT] = "port",       [HOST_ADDRESS] = "address", [HOST_ZONE] = "zone",
    [HOST_WEIGHT] = "weight",   [HOST_MAXCONN] = "maxconn", [HOST_ENABLED] = "enabled",
    [HOST_DRAIN] = "drain",     [HOST_BACKUP] = "backup",   [HOST_PLAIN] = "plain",
    [HOST_OPTIONS] = "options", [HOST_LABELS] = "labels",   [HOST_EXTRA] = "extra",
};

static void set_key(lua_State *L, const char *name, lua_Integer key) {
    lua_pushinteger(L, key);
    lua_setfield(L, -2, name);
}

void service_keys_push(lua_State *L) {
    const struct renderer *renderer = state_renderer(L);
    lua_newtable(L);
    for (size_t i = 0; i < renderer->field_count; i++)
        set_key(L, renderer->fields[i].row->name, SERVICE_SCHEMA + (lua_Integer)i);
    for (int i = 1; i < SERVICE_SCHEMA; i++)
        set_key(L, service_own_names[i], i);
}

void host_keys_push(lua_State *L) {
    lua_newtable(L);
    for (int i = 1; i < HOST_KEYS; i++)
        set_key(L, host_own_names[i], i);
}

const char **service_names(lua_State *L, bool only_fields) {
    const struct renderer *renderer = state_renderer(L);
    size_t count = 0;
    const char **names =
        arena_alloc(L, (renderer->field_count + SERVICE_SCHEMA) * sizeof *names);
    for (int i = only_fields ? SERVICE_FIELDS + 1 : 1; i < SERVICE_SCHEMA; i++)
        names[count++] = service_own_names[i];
    for (size_t i = 0; i < renderer->field_count; i++)
        names[count++] = renderer->fields[i].row->name;
    return names;
}

const char *const *host_names(size_t *count) {
    *count = HOST_KEYS - 1;
    return host_own_names + 1;
}

/* FNV-1a over the strings with their NULs, then a finalizer, because FNV alone orders
 * names that differ in their last characters only by those. */
static uint64_t hash(uint64_t sum, const char *text) {
    do
        sum = (sum ^ (unsigned char)*text) * UINT64_C(1099511628211);
    while (*text++);
    return sum;
}

static uint64_t finish(uint64_t sum) {
    sum = (sum ^ (sum >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    sum = (sum ^ (sum >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return sum ^ (sum >> 33);
}

static int compare_hosts(const void *a, const void *b) {
    const struct host_view *x = a;
    const struct host_view *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return strcmp(x->host->id, y->host->id);
}

static struct host_view *host_views(lua_State *L, struct service_view *view) {
    const struct service *service = view->service;
    const char *seed = state_renderer(L)->options.order_seed;
    if (view->host_views || !service->host_count)
        return view->host_views;
    struct host_view *views = arena_alloc(L, service->host_count * sizeof *views);
    uint64_t sum = UINT64_C(14695981039346656037);
    if (seed)
        sum = hash(hash(sum, seed), service->name);
    for (size_t i = 0; i < service->host_count; i++) {
        const struct host *host = service->hosts[i];
        uint64_t rank = seed ? finish(hash(sum, host->id)) : 0;
        views[i] = (struct host_view){{VIEW_HOST, NULL, "host"}, host, rank};
    }
    if (seed)
        qsort(views, service->host_count, sizeof *views, compare_hosts);
    view->host_views = views;
    return views;
}

static struct service_view *service_of_hosts(const struct view *hosts) {
    return (struct service_view *)hosts->parent;
}

/* Item `i`, from 1 on, of all services or of some that were picked; NULL behind the end. */
static struct service_view *listed_service(const struct renderer *renderer,
                                           const struct view *view, lua_Integer i) {
    const struct picked_view *picked = (const struct picked_view *)view;
    bool all = view->kind == VIEW_SERVICES;
    size_t count = all ? renderer->run.catalog->service_count : picked->count;
    if (i < 1 || (lua_Unsigned)i > count)
        return NULL;
    return all ? &renderer->services[i - 1] : picked->items[i - 1];
}

bool view_push_item(lua_State *L, const struct view *view, lua_Integer i) {
    void *item = NULL;
    view_note_read(L, view);
    if (view->kind == VIEW_HOSTS) {
        struct service_view *service = service_of_hosts(view);
        if (i >= 1 && (lua_Unsigned)i <= service->service->host_count)
            item = &host_views(L, service)[i - 1];
    } else if (view->kind == VIEW_SERVICES || view->kind == VIEW_PICKED) {
        item = listed_service(state_renderer(L), view, i);
    } else {
        return false;
    }
    if (item)
        lua_pushlightuserdata(L, item);
    else
        lua_pushnil(L);
    return true;
}

static int compare_service(const void *name, const void *item) {
    const struct service_view *view = item;
    return strcmp(name, view->service->name);
}

void service_find_push(lua_State *L, const char *name) {
    const struct renderer *renderer = state_renderer(L);
    size_t count = renderer->run.catalog->service_count;
    void *found = NULL;
    if (count)
        found = bsearch(name, renderer->services, count, sizeof *renderer->services,
                        compare_service);
    if (found)
        lua_pushlightuserdata(L, found);
    else
        lua_pushnil(L);
}

/* They are kept for the next rendering: fresh memory costs more than what is made of it. */
static void make_room(struct renderer *renderer, size_t count) {
    if (count <= renderer->service_room)
        return;
    free(renderer->services);
    renderer->service_room = count + count / 8;
    renderer->services = mem_zalloc(renderer->service_room * sizeof *renderer->services);
    for (size_t i = 0; i < renderer->service_room; i++) {
        struct service_view *view = &renderer->services[i];
        view->view = (struct view){VIEW_SERVICE, NULL, "service"};
        view->hosts = (struct view){VIEW_HOSTS, &view->view, "hosts"};
        view->fields = (struct view){VIEW_FIELDS, &view->view, "fields"};
    }
}

void view_start(lua_State *L) {
    struct renderer *renderer = state_renderer(L);
    const struct catalog *catalog = renderer->run.catalog;
    make_room(renderer, catalog->service_count);
    for (size_t i = 0; i < catalog->service_count; i++) {
        struct service_view *view = &renderer->services[i];
        view->host_views = NULL;
        if (view->service == catalog->services[i])
            continue;
        view->service = catalog->services[i];
        view->override_known = false;
        view->asked = view->answers = 0;
    }
    const struct catalog *last = renderer->viewed;
    for (size_t i = catalog->service_count; last && i < last->service_count; i++)
        renderer->services[i].service = NULL;
    renderer->viewed = catalog_ref(catalog);
    catalog_unref(last);
}

void views_free(struct renderer *renderer) {
    free(renderer->services);
    catalog_unref(renderer->viewed);
}

static const json_t * override(lua_State *L, struct service_view *view) {
    if (!view->override_known) {
        view->override_known = true;
        view->override =
            json_object_get(state_renderer(L)->options.overrides, view->service->name);
    }
    return view->override;
}

static void push_layers(lua_State *L, const struct service_view *service,
                        const struct field *field, const json_t *first,
                        const json_t *second) {
    struct layers_view *view = arena_alloc(L, sizeof *view);
    const char *name = field->row->name;
    view->view = (struct view){VIEW_LAYERS, &service->view, name};
    view->layers[0] = json_object_get(first, name);
    view->layers[1] = json_object_get(second, name);
    if (field->members)
        view->field = field;
    else
        view->layers[2] = field->base;
    lua_pushlightuserdata(L, view);
}

static bool is_map(enum schema_type type) {
    return type == SCHEMA_OBJECT || type == SCHEMA_MAP_OF_TEXT ||
           type == SCHEMA_MAP_OF_OBJECTS;
}

static bool is_list(enum schema_type type) {
    return type == SCHEMA_LIST_OF_TEXT || type == SCHEMA_LIST_OF_NAMES ||
           type == SCHEMA_LIST_OF_OBJECTS;
}

static void push_list(lua_State *L, const struct service_view *view, const char *name,
                      const json_t *value) {
    struct json_view *list = arena_alloc(L, sizeof *list);
    *list = (struct json_view){{VIEW_JSON, &view->view, name}, false, value};
    lua_pushlightuserdata(L, list);
}

static void push_field(lua_State *L, struct service_view *view,
                       const struct field *field) {
    const json_t *layers[2] = {override(L, view), view->service->fields};
    const char *name = field->row->name;
    if (is_map(field->row->type)) {
        push_layers(L, view, field, layers[0], layers[1]);
        return;
    }
    const json_t *value = fields_value(layers, 2, name);
    if (!value)
        value = field->base;
    if (value)
        view_push_json(L, value, &view->view, name, false);
    else if (is_list(field->row->type))
        push_list(L, view, name, NULL);
    else
        lua_pushnil(L);
}

struct service_view *service_at(lua_State *L, const struct view *view, int list,
                                lua_Integer i) {
    if (view && (view->kind == VIEW_SERVICES || view->kind == VIEW_PICKED)) {
        view_note_read(L, view);
        return listed_service(state_renderer(L), view, i);
    }
    int type = lua_istable(L, list) ? lua_rawgeti(L, list, i) : LUA_TNONE;
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    struct service_view *service =
        type == LUA_TLIGHTUSERDATA ? lua_touserdata(L, -1) : NULL;
    if (!service || service->view.kind != VIEW_SERVICE)
        luaL_error(L, "expected a list of services");
    lua_pop(L, 1);
    return service;
}

static const struct field *find_field(const struct field *fields, size_t count,
                                      const char *name, size_t len) {
    for (size_t i = 0; i < count; i++)
        if (!strncmp(fields[i].row->name, name, len) && !fields[i].row->name[len])
            return &fields[i];
    return NULL;
}

void field_path_find(lua_State *L, const char *name, struct field_path *path) {
    const struct renderer *renderer = state_renderer(L);
    size_t len = strcspn(name, ".");
    const struct field *first =
        find_field(renderer->fields, renderer->field_count, name, len);
    const char *rest = name + len + (name[len] == '.');
    *path = (struct field_path){NULL, first};
    if (first && *rest)
        *path = (struct field_path){
            first, find_field(first->members, first->member_count, rest, strlen(rest))};
    if (!path->field)
        view_unknown(L, "service", name, service_names(L, true));
}

const json_t *field_path_read(lua_State *L, const struct field_path *path,
                              struct service_view *view) {
    const json_t *layers[2] = {override(L, view), view->service->fields};
    if (!layers[0] && !json_object_size(layers[1]))
        return path->field->base;
    for (size_t i = 0; path->outer && i < 2; i++)
        layers[i] = fields_value(&layers[i], 1, path->outer->row->name);
    const json_t *value = fields_value(layers, 2, path->field->row->name);
    return value ? value : path->field->base;
}

static void push_extra(lua_State *L, const struct service_view *service) {
    struct extra_view *view = arena_alloc(L, sizeof *view);
    view->view = (struct view){VIEW_EXTRA, &service->view, "extra"};
    view->service = service->service;
    lua_pushlightuserdata(L, view);
}

/* An object that may be absent, which reads as one without members. */
static void push_object(lua_State *L, const struct view *parent, const char *key,
                        const json_t *value) {
    struct layers_view *view = arena_alloc(L, sizeof *view);
    view->view = (struct view){VIEW_LAYERS, parent, key};
    view->layers[0] = value;
    lua_pushlightuserdata(L, view);
}

/* Whether its name, address and weight say all that there is to say. */
static bool is_plain(const struct host *host) {
    return host->enabled && !host->drain && !host->backup && !host->maxconn &&
           !host->options;
}

static bool has_plain_hosts(const struct service *service) {
    for (size_t i = 0; i < service->host_count; i++)
        if (!is_plain(service->hosts[i]))
            return false;
    return true;
}

bool service_key_is_field(lua_Integer key) {
    return key > SERVICE_FIELDS;
}

void service_value_push(lua_State *L, struct service_view *view, lua_Integer key) {
    const struct service *service = view->service;
    switch (key) {
    case SERVICE_NAME:
        lua_pushstring(L, service->name);
        break;
    case SERVICE_HOSTS:
        lua_pushlightuserdata(L, &view->hosts);
        break;
    case SERVICE_HOST_COUNT:
        lua_pushinteger(L, (lua_Integer)service->host_count);
        break;
    case SERVICE_PLAIN:
        lua_pushboolean(L, has_plain_hosts(service));
        break;
    case SERVICE_FIELDS:
        lua_pushlightuserdata(L, &view->fields);
        break;
    case SERVICE_VARS:
        push_object(L, &view->view, "vars", service->vars);
        break;
    case SERVICE_EXTRA:
        push_extra(L, view);
        break;
    case SERVICE_HAPROXY:
        push_list(L, view, "haproxy", json_object_get(override(L, view), "haproxy"));
        break;
    default:
        push_field(L, view, &state_renderer(L)->fields[key - SERVICE_SCHEMA]);
    }
}

void fields_key_append(lua_State *L, const struct view *fields, struct buffer *key) {
    struct service_view *view = (struct service_view *)fields->parent;
    const json_t *said[] = {view->service->fields, view->service->vars,
                            override(L, view)};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        if (json_object_size(said[i]))
            json_write(said[i], 0, key);
        buffer_putc(key, '\0');
    }
}

static char *append_port(char *end, unsigned port) {
    char digits[8];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + port % 10);
    while (port /= 10);
    *end++ = ':';
    while (count)
        *end++ = digits[--count];
    return end;
}

/* Returns NULL if there is no room, which text_is_host() rules out. */
static const char *write_address(const struct host *host, char *out, size_t size) {
    const char *start = out;
    size_t len = strlen(host->host);
    bool v6 = memchr(host->host, ':', len) != NULL;
    if (len > size - sizeof "[]:65535")
        return NULL;
    if (v6)
        *out++ = '[';
    memcpy(out, host->host, len);
    out += len;
    if (v6)
        *out++ = ']';
    *append_port(out, host->port) = '\0';
    return start;
}

static void push_labels(lua_State *L, const struct host_view *view) {
    struct labels_view *labels = arena_alloc(L, sizeof *labels);
    labels->view = (struct view){VIEW_LABELS, &view->view, "labels"};
    labels->host = view->host;
    lua_pushlightuserdata(L, labels);
}

int host_key(const char *name) {
    for (int i = 1; i < HOST_KEYS; i++)
        if (!strcmp(host_own_names[i], name))
            return i;
    return 0;
}

static void read_text(struct host_value *value, const char *text) {
    value->kind = text ? HOST_VALUE_TEXT : HOST_VALUE_NIL;
    value->text = text;
}

static void read_number(struct host_value *value, int number) {
    value->kind = HOST_VALUE_INTEGER;
    value->number = number;
}

static void read_boolean(struct host_value *value, bool truth) {
    value->kind = HOST_VALUE_BOOLEAN;
    value->number = truth;
}

bool host_value_read(const struct host *host, int key, struct host_value *value) {
    switch (key) {
    case HOST_ID:
        read_text(value, host->id);
        return true;
    case HOST_NAME:
        read_text(value, host->name);
        return true;
    case HOST_HOST:
        read_text(value, host->host);
        return true;
    case HOST_PORT:
        read_number(value, host->port);
        return true;
    case HOST_ADDRESS:
        read_text(value, write_address(host, value->address, sizeof value->address));
        return true;
    case HOST_ZONE:
        read_text(value, host->zone);
        return true;
    case HOST_WEIGHT:
        read_number(value, host->weight);
        return true;
    case HOST_MAXCONN:
        read_number(value, host->maxconn);
        if (!host->maxconn)
            value->kind = HOST_VALUE_NIL;
        return true;
    case HOST_ENABLED:
        read_boolean(value, host->enabled);
        return true;
    case HOST_DRAIN:
        read_boolean(value, host->drain);
        return true;
    case HOST_BACKUP:
        read_boolean(value, host->backup);
        return true;
    case HOST_OPTIONS:
        read_text(value, host->options);
        return true;
    case HOST_PLAIN:
        read_boolean(value, is_plain(host));
        return true;
    default:
        return false;
    }
}

void host_value_push(lua_State *L, const struct host_view *view, lua_Integer key) {
    struct host_value value;
    if (!host_value_read(view->host, (int)key, &value)) {
        if (key == HOST_LABELS)
            push_labels(L, view);
        else
            push_object(L, &view->view, "extra", view->host->extra);
        return;
    }
    switch (value.kind) {
    case HOST_VALUE_NIL:
        lua_pushnil(L);
        break;
    case HOST_VALUE_TEXT:
        lua_pushstring(L, value.text);
        break;
    case HOST_VALUE_INTEGER:
        lua_pushinteger(L, value.number);
        break;
    case HOST_VALUE_BOOLEAN:
        lua_pushboolean(L, value.number);
    }
}

void label_push(lua_State *L, const struct host *host, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < host->label_count && !value; i++)
        if (!strcmp(host->labels[i].name, name))
            value = host->labels[i].value;
    lua_pushstring(L, value);
}
