/* hatlas.yaml as a struct: read, checked as a whole, and only then given out. */
#include "settings/settings.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "settings/loader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usual_file[] = "/etc/hatlas/hatlas.yaml";

enum { FILE_MAX = 4 << 20 };

static char *node_name(const struct loader *loader) {
    char name[256] = "";
    char *said = loader_text(loader, "node.name");
    if (said)
        return said;
    if (gethostname(name, sizeof name - 1) < 0 || !*name ||
        !text_is_clean(name, strlen(name)))
        return mem_strdup("localhost");
    return mem_strdup(name);
}

static enum control_mode control_mode(const struct loader *loader) {
    static const struct {
        const char *name;
        enum control_mode mode;
    } modes[] = {{"master-socket", CONTROL_MASTER_SOCKET},
                 {"systemd", CONTROL_SYSTEMD},
                 {"command", CONTROL_COMMAND}};
    const char *name = json_string_value(loader_get(loader, "haproxy.control"));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(name, modes[i].name))
            return modes[i].mode;
    return CONTROL_SUPERVISE;
}

static void fill_haproxy(struct loader *loader) {
    struct haproxy_settings *haproxy = &loader->settings->haproxy;
    haproxy->control = control_mode(loader);
    haproxy->binary = loader_text(loader, "haproxy.binary");
    haproxy->socket = loader_text(loader, "haproxy.socket");
    haproxy->master_socket = loader_text(loader, "haproxy.master_socket");
    haproxy->unit = loader_text(loader, "haproxy.unit");
    haproxy->command = strings_new(loader_get(loader, "haproxy.command"));
    haproxy->reload_timeout = loader_duration(loader, "haproxy.reload_timeout");
    haproxy->stop_timeout = loader_duration(loader, "haproxy.stop_timeout");
    haproxy->hard_stop_after = loader_duration(loader, "haproxy.hard_stop_after");
    if (haproxy->control == CONTROL_COMMAND && !haproxy->command)
        loader_fault(loader, "haproxy.command",
                     "missing; haproxy.control is \"command\" and needs it");
    if (haproxy->command && !*haproxy->command[0])
        loader_fault(loader, "haproxy.command[0]", "must not be empty");
    if (*haproxy->unit == '-')
        loader_fault(loader, "haproxy.unit", "must not begin with '-'");
    if (!strcmp(haproxy->socket, haproxy->master_socket))
        loader_fault(loader, "haproxy.master_socket", "is the same as haproxy.socket");
}

static void fill_scalars(struct loader *loader) {
    struct settings *settings = loader->settings;
    settings->realm = loader_text(loader, "realm");
    settings->node_name = node_name(loader);
    settings->node_zone = loader_text(loader, "node.zone");
    settings->include = strings_new(loader_get(loader, "services.include"));
    settings->exclude = strings_new(loader_get(loader, "services.exclude"));
    settings->host_zones = strings_new(loader_get(loader, "services.hosts.zones"));
    settings->host_labels = loader_get(loader, "services.hosts.labels");
    settings->apply.coalesce = loader_duration(loader, "apply.coalesce");
    settings->apply.max_wait = loader_duration(loader, "apply.max_wait");
    settings->apply.min_reload_interval =
        loader_duration(loader, "apply.min_reload_interval");
    settings->apply.reload_jitter = loader_percent(loader, "apply.reload_jitter");
    settings->apply.runtime = json_is_true(loader_get(loader, "apply.runtime"));
    const char *empty = json_string_value(loader_get(loader, "guard.empty_service"));
    settings->guard.keep_empty = !strcmp(empty, "keep");
    settings->guard.max_loss = loader_percent(loader, "guard.max_loss");
    settings->guard.grace = loader_duration(loader, "guard.grace");
    settings->cache = loader_text(loader, "cache");
    settings->status_listen = loader_text(loader, "status.listen");
    settings->status_enabled = json_is_true(loader_get(loader, "status.enabled"));
    const char *format = json_string_value(loader_get(loader, "log.format"));
    settings->log.format = strcmp(format, "json") != 0 ? LOG_LOGFMT : LOG_JSON;
    (void)log_level_parse(json_string_value(loader_get(loader, "log.level")),
                          &settings->log.level);
}

/* RFC 9110, 5.6.2: what the name of a header is made of. */
static void check_header(const struct loader *loader, const char *key) {
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789!#$%&'*+-.^_`|~";
    const char *header = json_string_value(loader_get(loader, key));
    if (header[strspn(header, token)])
        loader_fault(loader, key,
                     "expected the name of a header, found the string \"%s\"", header);
}

/* HAProxy has error files for these only (configuration manual, "errorfile"). */
static void check_error_files(const struct loader *loader) {
    static const char codes[] = " 200 400 401 403 404 405 407 408 410 413 425 429 500"
                                " 501 502 503 504 ";
    const char *status;
    json_t *path;
    json_object_foreach((json_t *)loader_get(loader, "haproxy.error_files"), status,
                        path) {
        char word[8];
        (void)snprintf(word, sizeof word, " %s ", status);
        if (strlen(status) != 3 || !strstr(codes, word))
            loader_fault(loader, "haproxy.error_files",
                         "expected one of%sas a key, found \"%s\"", codes, status);
    }
}

static void check_ports(const struct loader *loader) {
    if (json_integer_value(loader_get(loader, "routing.tcp_port_min")) >
        json_integer_value(loader_get(loader, "routing.tcp_port_max")))
        loader_fault(loader, "routing.tcp_port_max", "is less than routing.tcp_port_min");
}

static struct settings *finish(struct loader *loader, size_t faults) {
    struct settings *settings = loader->settings;
    loader_environment(loader);
    loader_flags(loader);
    fill_scalars(loader);
    fill_haproxy(loader);
    check_header(loader, "routing.header");
    check_header(loader, "routing.caller");
    check_header(loader, "routing.request_id");
    check_error_files(loader);
    check_ports(loader);
    loader_sources(loader);
    loader_outputs(loader);
    loader_template_dirs(loader);
    if (loader->problems->count == faults)
        return settings;
    settings_free(settings);
    return NULL;
}

static struct settings *from_input(json_t *input, struct places *places, const char *name,
                                   const struct settings_flags *flags,
                                   struct problems *problems) {
    size_t faults = problems->count;
    struct schema_input from = {.places = places, .where = name, .problems = problems};
    json_t *tree = schema_apply(settings_schema, input, true, &from);
    if (!tree) {
        places_free(places);
        json_decref(input);
        return NULL;
    }
    struct settings *settings = mem_zalloc(sizeof *settings);
    settings->file = mem_strdup(name);
    settings->tree = tree;
    settings->input = input;
    settings->places = places;
    struct loader loader = {settings, flags, json_object(), problems};
    settings = finish(&loader, faults);
    json_decref(loader.origins);
    return settings;
}

struct settings *settings_parse(const char *text, size_t len, const char *name,
                                const struct settings_flags *flags,
                                struct problems *problems) {
    struct places *places = NULL;
    json_t *input = yaml_parse(text, len, name, &places, problems);
    return input ? from_input(input, places, name, flags, problems) : NULL;
}

static const char *config_path(const struct settings_flags *flags) {
    const char *said = getenv("HATLAS_CONFIG");
    if (flags && flags->config)
        return flags->config;
    if (said && *said)
        return said;
    return access(usual_file, F_OK) == 0 ? usual_file : NULL;
}

struct settings *settings_load(const struct settings_flags *flags,
                               struct problems *problems) {
    const char *path = config_path(flags);
    if (!path)
        return from_input(json_object(), NULL, NULL, flags, problems);
    struct buffer text = BUFFER_INIT;
    struct error error;
    struct settings *settings = NULL;
    if (file_read(path, FILE_MAX, &text, &error))
        settings = settings_parse(buffer_str(&text), text.len, path, flags, problems);
    else
        problems_add_error(problems, &error);
    buffer_free(&text);
    return settings;
}

void settings_free(struct settings *settings) {
    if (!settings)
        return;
    free(settings->file);
    free(settings->realm);
    free(settings->node_name);
    free(settings->node_zone);
    loader_sources_free(settings);
    strings_free(settings->include);
    strings_free(settings->exclude);
    strings_free(settings->host_zones);
    loader_outputs_free(settings);
    strings_free(settings->template_dirs);
    free(settings->haproxy.binary);
    free(settings->haproxy.socket);
    free(settings->haproxy.master_socket);
    free(settings->haproxy.unit);
    strings_free(settings->haproxy.command);
    free(settings->cache);
    free(settings->status_listen);
    json_decref(settings->tree);
    json_decref(settings->input);
    places_free(settings->places);
    free(settings);
}

/* What the table has below a key, null where it is not set: templates take an unknown
 * name for an error. */
static json_t *globals_below(const json_t *tree, const char *key) {
    const json_t *object = json_object_get(tree, key);
    json_t *out = json_object();
    for (const struct schema *row = schema_find(settings_schema, key)->rows; row->name;
         row++) {
        json_t *value = json_object_get(object, row->name);
        (void)json_object_set(out, row->name, value ? value : json_null());
    }
    return out;
}

json_t *settings_globals(const struct settings *settings) {
    const json_t *tree = settings->tree;
    json_t *globals = json_object();
    json_t *node = globals_below(tree, "node");
    json_t *outputs = json_object();
    (void)json_object_set_new(node, "name", json_string(settings->node_name));
    (void)json_object_set_new(node, "taken_ports", json_array());
    for (size_t i = 0; i < settings->output_count; i++)
        if (!json_object_get(outputs, settings->outputs[i].template))
            (void)json_object_set_new(outputs, settings->outputs[i].template,
                                      json_string(settings->outputs[i].path));
    (void)json_object_set_new(globals, "realm", json_string(settings->realm));
    (void)json_object_set_new(globals, "node", node);
    (void)json_object_set_new(globals, "routing", globals_below(tree, "routing"));
    (void)json_object_set_new(globals, "haproxy", globals_below(tree, "haproxy"));
    (void)json_object_set_new(globals, "outputs", outputs);
    (void)json_object_set(globals, "vars", json_object_get(tree, "vars"));
    return globals;
}

const struct output_settings *settings_haproxy_output(const struct settings *settings) {
    for (size_t i = 0; i < settings->output_count; i++)
        if (settings->outputs[i].check_haproxy)
            return &settings->outputs[i];
    return NULL;
}
