/* Catalogs as YAML and JSON text. */
#include "catalog/text.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/yaml.h"
#include "catalog/fields.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    const char *name;
    struct places *places;
    const struct catalog *previous;
    struct problems *problems;
};

static const char *place(const struct reader *reader, const json_t *container,
                         const char *key, char *out, size_t size) {
    if (reader->places)
        return places_find(reader->places, container, key, 0, out, size);
    char *where = mem_printf("%s: %s", reader->name, key);
    (void)text_printable(where, out, size);
    free(where);
    return out;
}

static const struct host *last_good(const struct reader *reader, const char *service,
                                    const char *id) {
    const struct service *old =
        reader->previous ? catalog_find(reader->previous, service) : NULL;
    for (size_t i = 0; old && i < old->host_count; i++)
        if (!strcmp(old->hosts[i]->id, id))
            return host_ref(old->hosts[i]);
    return NULL;
}

/* What a bad record would have been called, as far as it can be known. */
static char *record_id(const json_t *record) {
    const char *id = json_string_value(json_object_get(record, "id"));
    const char *host = json_string_value(json_object_get(record, "host"));
    json_int_t port = json_integer_value(json_object_get(record, "port"));
    return id ? mem_strdup(id) : mem_printf("%s:%lld", host ? host : "", (long long)port);
}

/* "id" stands in the text but is no field of a host: it is taken out of what is unknown.
 */
static const struct host *read_host(const struct reader *reader, const char *service,
                                    const char *where, json_t *record) {
    size_t faults = reader->problems->count;
    struct schema_input from = {
        .places = reader->places, .where = where, .problems = reader->problems};
    char *id = record_id(record);
    json_t *given = json_incref(json_object_get(record, "id"));
    if (given && (!json_is_string(given) || !text_is_clean(id, strlen(id)) || !id[0]))
        problems_add(reader->problems, where, "id: expected a string of one line");
    (void)json_object_del(record, "id");
    const struct host *host = host_decode(given ? id : NULL, record, &from);
    if (reader->problems->count > faults) {
        host_unref(host);
        host = last_good(reader, service, id);
        problems_note(reader->problems, faults,
                      host ? "; the host keeps its last good value"
                           : "; the host is left out");
    }
    json_decref(given);
    free(id);
    return host;
}

static const struct service *make_service(const struct reader *reader, const char *name,
                                          json_t *fields, json_t *vars,
                                          const json_t *list, const char *where) {
    const struct host **hosts = mem_zalloc((json_array_size(list) + 1) * sizeof *hosts);
    size_t count = 0;
    size_t i;
    json_t *record;
    json_array_foreach(list, i, record) {
        char at[512];
        const char *host_where = where;
        if (reader->places)
            host_where = places_find(reader->places, list, NULL, i, at, sizeof at);
        const struct host *host = read_host(reader, name, host_where, record);
        if (host)
            hosts[count++] = host;
    }
    const struct service *service =
        service_new(name, fields, vars, hosts, count, where, reader->problems);
    while (count)
        host_unref(hosts[--count]);
    free(hosts);
    return service;
}

/* Takes a member that is no field of the service out of its record: a new reference, or
 * NULL. */
static json_t *take(const struct reader *reader, json_t *record, const char *key,
                    json_type type, const char *expected) {
    json_t *value = json_incref(json_object_get(record, key));
    (void)json_object_del(record, key);
    if (!value || json_typeof(value) == type)
        return value;
    char where[512];
    problems_add(reader->problems, place(reader, record, key, where, sizeof where),
                 "%s: expected %s, found %s; taken as empty", key, expected,
                 json_type_name(value));
    json_decref(value);
    return NULL;
}

static const struct service *read_service(const struct reader *reader, const char *name,
                                          json_t *record, const char *where) {
    struct schema_input from = {
        .places = reader->places, .where = where, .problems = reader->problems};
    json_t *vars = take(reader, record, "config", JSON_OBJECT, "an object of variables");
    json_t *hosts = take(reader, record, "hosts", JSON_ARRAY, "a list of hosts");
    json_t *fields =
        json_is_null(record) ? json_object() : service_fields_decode(record, &from);
    const struct service *service =
        make_service(reader, name, fields, vars, hosts, where);
    json_decref(hosts);
    json_decref(vars);
    json_decref(fields);
    return service;
}

static struct catalog *read_services(const struct reader *reader, json_t *records) {
    const struct service **services =
        mem_zalloc((json_object_size(records) + 1) * sizeof *services);
    size_t count = 0;
    const char *name;
    json_t *record;
    json_object_foreach(records, name, record) {
        char where[512];
        place(reader, records, name, where, sizeof where);
        if (text_is_service_name(name))
            services[count++] = read_service(reader, name, record, where);
        else
            problems_add(reader->problems, where,
                         "'%s' can't be a service's name (1 to 127 letters, digits and "
                         "- _ .); the service is left out",
                         name);
    }
    struct catalog *catalog = catalog_new(services, count, reader->problems);
    while (count)
        service_unref(services[--count]);
    free(services);
    return catalog;
}

static json_t *parse(const char *text, size_t len, struct reader *reader) {
    size_t blank = 0;
    while (blank < len && strchr(" \t\r\n", text[blank]))
        blank++;
    if (blank == len || text[blank] != '{')
        return yaml_parse(text, len, reader->name, &reader->places, reader->problems);
    struct error error;
    json_t *tree = json_parse(text, len, reader->name, &error);
    if (!tree)
        problems_add_error(reader->problems, &error);
    return tree;
}

static json_t *find_services(const struct reader *reader, json_t *tree) {
    const char *key;
    json_t *value;
    char where[512];
    json_object_foreach(tree, key, value) {
        if (strcmp(key, "services") != 0)
            problems_add(reader->problems, place(reader, tree, key, where, sizeof where),
                         "unknown key '%s'; expected 'services'", key);
    }
    json_t *services = json_object_get(tree, "services");
    if (json_is_object(services))
        return services;
    if (services)
        place(reader, tree, "services", where, sizeof where);
    problems_add(reader->problems, services ? where : reader->name,
                 "expected 'services: {name: …}', found %s",
                 services ? json_type_name(services) : "no services");
    return NULL;
}

struct catalog *catalog_read(const char *text, size_t len, const char *name,
                             const struct catalog *previous, struct problems *problems) {
    struct reader reader = {name, NULL, previous, problems};
    struct catalog *catalog = NULL;
    json_t *tree = parse(text, len, &reader);
    if (json_is_object(tree)) {
        json_t *services = find_services(&reader, tree);
        if (services)
            catalog = read_services(&reader, services);
    } else if (tree) {
        problems_add(problems, name, "expected 'services: {name: …}', found %s",
                     json_type_name(tree));
    }
    json_decref(tree);
    places_free(reader.places);
    return catalog;
}

static json_t *service_tree(const struct service *service) {
    json_t *record = json_copy(service->fields);
    if (json_object_size(service->vars))
        json_object_set(record, "config", service->vars);
    json_t *hosts = json_array();
    for (size_t i = 0; i < service->host_count; i++) {
        const struct host *host = service->hosts[i];
        json_t *fields = host_encode(host);
        char *own_id = mem_printf("%s:%u", host->host, host->port);
        if (strcmp(own_id, host->id) != 0) {
            json_t *with_id = json_pack("{s:s}", "id", host->id);
            (void)json_object_update(with_id, fields);
            json_decref(fields);
            fields = with_id;
        }
        free(own_id);
        json_array_append_new(hosts, fields);
    }
    json_object_set_new(record, "hosts", hosts);
    return record;
}

void catalog_write(const struct catalog *catalog, enum catalog_format format,
                   struct buffer *out) {
    json_t *services = json_object();
    for (size_t i = 0; i < catalog->service_count; i++)
        json_object_set_new(services, catalog->services[i]->name,
                            service_tree(catalog->services[i]));
    json_t *tree = json_object();
    json_object_set_new(tree, "services", services);
    if (format == CATALOG_YAML) {
        yaml_write(tree, out);
    } else {
        json_write(tree, 1, out);
        buffer_putc(out, '\n');
    }
    json_decref(tree);
}
