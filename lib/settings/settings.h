/* hatlas.yaml as a struct. Every key has a default that works; README.md has the table.
 */
#ifndef HATLAS_SETTINGS_SETTINGS_H
#define HATLAS_SETTINGS_SETTINGS_H

#include "base/error.h"
#include "base/log.h"
#include "base/schema.h"

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

struct settings;

/* One rule of an ACL, as ZooKeeper has them. */
struct acl_settings {
    char *scheme, *id;
    int permissions; /* read 1, write 2, create 4, delete 8, admin 16 */
};

/* Strings and lists are owned by the settings. Durations are milliseconds. NULL: not set.
 */
struct source_settings {
    const struct settings *whole; /* what it is part of, for what this node wants of the
                                     registry; NULL: everything */
    enum { SOURCE_ZOOKEEPER, SOURCE_FILE } kind;
    char *file;
    char *hosts;  /* ZooKeeper connect string without a chroot */
    char *root;   /* "/atlas", without chroot and realm; "" for the top */
    char *chroot; /* "" or "/path", from the connect string */
    char *realm;  /* copy of the top-level key */
    char *format; /* name of the record format */
    char *path;   /* for formats other than atlas: pattern with {service}; NULL: usual */
    char *endpoint;
    bool ssl, trust_options;
    char *auth_scheme, *auth_file, *auth_env; /* the scheme is NULL without a secret */
    struct acl_settings *acl; /* of znodes that hatlas creates; none: open to all */
    size_t acl_count;
    int64_t session_timeout;
};

struct output_settings {
    char *template;
    char *path;
    bool check_haproxy; /* `haproxy -c` must accept it: this is HAProxy's config */
    char **on_change;   /* argv, NULL-terminated; NULL: nothing */
    mode_t mode;        /* of a new file */
};

enum control_mode {
    CONTROL_SUPERVISE,
    CONTROL_MASTER_SOCKET,
    CONTROL_SYSTEMD,
    CONTROL_COMMAND
};

struct haproxy_settings {
    enum control_mode control;
    char *binary;
    char *socket;        /* stats socket, Runtime API */
    char *master_socket; /* of `haproxy -W -S` */
    char *unit;          /* systemd: the unit to reload */
    char **command;      /* command: argv that reloads, NULL-terminated */
    int64_t reload_timeout, stop_timeout, hard_stop_after;
};

struct settings {
    char *file; /* where it was read from; NULL for the defaults */
    char *realm;
    char *node_name, *node_zone;
    struct source_settings *sources;
    size_t source_count;
    char **include, **exclude; /* services; NULL-terminated */
    char **host_zones;         /* of hosts; NULL-terminated, NULL or empty: all */
    const json_t *host_labels; /* name → pattern; NULL or empty: all */
    struct output_settings *outputs;
    size_t output_count;
    char **template_dirs; /* searched in order, the shipped ones last; NULL-terminated */
    struct haproxy_settings haproxy;
    struct {
        int64_t coalesce, max_wait, min_reload_interval;
        int reload_jitter; /* percent */
        bool runtime;
    } apply;
    struct {
        bool keep_empty;
        int max_loss; /* percent */
        int64_t grace;
    } guard;
    char *cache;
    char *status_listen;
    bool status_enabled;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    json_t *tree; /* the whole file, checked, defaults filled in */

    /* The file as it was read, and where its values stand: for who checks the free parts
     * of the tree (services.defaults, services.overrides, vars), which share its objects.
     * `places` is NULL for the defaults. */
    json_t *input;
    struct places *places;
};

/* The table behind hatlas.yaml, for the reference and its test. */
extern const struct schema settings_schema[];

/* What flags say; they win over HATLAS_… environment variables, which win over the file.
 */
struct settings_flags {
    const char *config; /* --config; NULL: HATLAS_CONFIG, else /etc/hatlas/hatlas.yaml if
                           it is there, else the defaults */
    const char *const
        *sources; /* --source file:PATH or zookeeper:HOSTS/ROOT; NULL or list */
    const char *realm;
    const char *log_level, *log_format;
};

/* Reads the settings. Returns NULL if anything is wrong, with every fault in the problems
 * (file:line:column, or the flag's or variable's name). The caller owns them. */
struct settings *settings_load(const struct settings_flags *flags,
                               struct problems *problems);

/* The same from text, for tests: `name` is the file's name in places. */
struct settings *settings_parse(const char *text, size_t len, const char *name,
                                const struct settings_flags *flags,
                                struct problems *problems);
void settings_free(struct settings *settings);

/* Returns a new object with what templates see as globals: realm, node {name, zone},
 * routing {…}, haproxy {…}, vars {…}, outputs (template name → path). Keys that are not
 * set are null. */
json_t *settings_globals(const struct settings *settings);

/* The output that HAProxy reads, or NULL. */
const struct output_settings *settings_haproxy_output(const struct settings *settings);

#endif
