/* The table behind hatlas.yaml: one row a key. README.md is checked against it. */
#include "settings/settings.h"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    TEN_MINUTES = 10 * MINUTE,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR
};

/* HAProxy binds a socket under a longer name first, and sun_path has 108 bytes. */
enum { SOCKET_MAX = 90 };

static const char *const trusts[] = {"server_options", NULL};
static const char *const formats[] = {"atlas", "nerve", "serverset", "curator", NULL};
static const char *const routing_modes[] = {"acl", "map", "auto", NULL};
static const char *const checks[] = {"haproxy", "none", NULL};
static const char *const controls[] = {"supervise", "master-socket", "systemd", "command",
                                       NULL};
static const char *const resolve_modes[] = {"start", "dns", "later", NULL};
static const char *const request_log_formats[] = {"json", "haproxy", NULL};
static const char *const empty_service[] = {"keep", "allow", NULL};
static const char *const log_levels[] = {"error", "warning", "notice",
                                         "info",  "debug",   NULL};
static const char *const log_formats[] = {"logfmt", "json", NULL};

static const struct schema node_rows[] = {
    {"name", SCHEMA_TEXT, .min = 1, .max = 253,
     .text = "what this machine is called; default: its host name"},
    {"zone", SCHEMA_TEXT, .min = 1, .max = 64,
     .text = "failure domain it stands in: its hosts are preferred"},
    {"near_zones", SCHEMA_LIST_OF_TEXT, "[]", .max = 16,
     .text = "other failure domains, the nearest first"},
    {0},
};

static const struct schema auth_rows[] = {
    {"scheme", SCHEMA_TEXT, "\"digest\"", .min = 1, .max = 64,
     .text = "ZooKeeper's authentication scheme"},
    {"file", SCHEMA_PATH, .text = "file with the secret (digest: user:password)"},
    {"env", SCHEMA_TEXT, .min = 1, .max = 255,
     .text = "environment variable with the secret, in place of a file"},
    {0},
};

static const struct schema tls_rows[] = {
    {"ca", SCHEMA_PATH, .required = true, .text = "file with the authorities to trust"},
    {"cert", SCHEMA_PATH, .text = "file with this node's certificate"},
    {"key", SCHEMA_PATH, .text = "file with its private key"},
    {0},
};

static const struct schema source_rows[] = {
    {"zookeeper", SCHEMA_TEXT, .min = 1, .max = 4096,
     .text = "connect string: host:port,…/chroot; the port is 2181 if not said"},
    {"file", SCHEMA_PATH, .text = "cluster.yaml instead of ZooKeeper"},
    {"root", SCHEMA_URI_PATH, "\"/atlas\"", .text = "znode that holds the realms"},
    {"format", SCHEMA_CHOICE, "\"atlas\"", .choices = formats,
     .text = "how records are written"},
    {"path", SCHEMA_URI_PATH,
     .text =
         "where other formats keep the hosts of a service, with {service} as one part"},
    {"endpoint", SCHEMA_TEXT, .min = 1, .max = 128,
     .text = "serverset: which of additionalEndpoints; default: serviceEndpoint"},
    {"ssl", SCHEMA_BOOL, .text = "curator: true takes sslPort instead of port"},
    {"trust", SCHEMA_CHOICE, .choices = trusts,
     .text = "nerve: what else is taken over; server_options: raw text for HAProxy"},
    {"auth", SCHEMA_OBJECT, .rows = auth_rows, .text = "who this node says it is"},
    {"tls", SCHEMA_OBJECT, .rows = tls_rows,
     .text = "refused, with what to do instead: hatlas itself has no TLS to ZooKeeper"},
    {"acl", SCHEMA_LIST_OF_TEXT, .min = 1, .max = 32,
     .text = "who may do what with znodes that hatlas creates: scheme:id:cdrwa"},
    {"session_timeout", SCHEMA_DURATION, "\"10s\"", .min = SECOND, .max = TEN_MINUTES,
     .text = "ZooKeeper's session time-out"},
    {0},
};

static const struct schema wanted_hosts_rows[] = {
    {"zones", SCHEMA_LIST_OF_TEXT, "[]",
     .text = "hosts in these zones only, as patterns; \"\" is a host without one"},
    {"labels", SCHEMA_MAP_OF_TEXT, "{}",
     .text = "hosts whose labels match all of these patterns only"},
    {0},
};

static const struct schema services_rows[] = {
    {"include", SCHEMA_LIST_OF_TEXT, "[\"*\"]",
     .text = "services to read, as patterns (fnmatch)"},
    {"exclude", SCHEMA_LIST_OF_TEXT, "[]", .text = "services to leave out of these"},
    {"hosts", SCHEMA_OBJECT, "{}", .rows = wanted_hosts_rows,
     .text = "which of their hosts to serve"},
    {"defaults", SCHEMA_OBJECT, "{}",
     .text = "fields of a service, for all that do not say them"},
    {"overrides", SCHEMA_MAP_OF_OBJECTS, "{}",
     .text = "by service: fields that win over the registry's, haproxy, default_hosts"},
    {0},
};

static const struct schema routing_rows[] = {
    {"header", SCHEMA_TEXT, "\"Runscope-Service\"", .min = 1, .max = 128,
     .text = "request header that names the service"},
    {"caller", SCHEMA_TEXT, "\"Runscope-Caller\"", .min = 1, .max = 128,
     .text = "request header that names the caller"},
    {"request_id", SCHEMA_TEXT, "\"X-Request-ID\"", .max = 128,
     .text = "request header with an id, made where there is none; empty: not at all"},
    {"bind", SCHEMA_ADDRESS, "\"127.0.0.1:8000\"",
     .text = "where clients reach the services"},
    {"socket", SCHEMA_PATH, .max = SOCKET_MAX,
     .text = "Unix socket on which they reach them too"},
    {"mode", SCHEMA_CHOICE, "\"auto\"", .choices = routing_modes,
     .text = "acl: one ACL a service; map: one map; auto: acl up to 32 services"},
    {"host", SCHEMA_BOOL, "true",
     .text = "whether Host names the service where the header does not"},
    {"suffix", SCHEMA_HOST, .text = "domain below which each service has its host name"},
    {"path", SCHEMA_BOOL, "false",
     .text = "whether the first part of the path names it where nothing else does"},
    {"tcp_address", SCHEMA_HOST, "\"127.0.0.1\"",
     .text = "where the ports of tcp services are"},
    {"tcp_port_min", SCHEMA_INT, "1024", .min = 1, .max = 65535,
     .text = "least port that a tcp service may have"},
    {"tcp_port_max", SCHEMA_INT, "65535", .min = 1, .max = 65535,
     .text = "greatest port that a tcp service may have"},
    {0},
};

static const struct schema output_rows[] = {
    {"template", SCHEMA_TEXT, .required = true, .min = 1, .max = 255,
     .text = "name of the template, searched in the template folders"},
    {"path", SCHEMA_PATH, .required = true,
     .text = "file that is written, an absolute path"},
    {"check", SCHEMA_CHOICE, .choices = checks,
     .text = "who must accept it; default: haproxy for haproxy.cfg, else none"},
    {"on_change", SCHEMA_LIST_OF_TEXT, .min = 1, .max = 256,
     .text = "command to run after it changed, word by word"},
    {"mode", SCHEMA_TEXT, "\"0644\"", .text = "permissions of a new file, octal"},
    {0},
};

static const struct schema haproxy_rows[] = {
    {"control", SCHEMA_CHOICE, "\"supervise\"", .choices = controls,
     .text = "who runs HAProxy, and how it is told to reload"},
    {"binary", SCHEMA_PATH, "\"haproxy\"", .text = "the program, searched in PATH"},
    {"socket", SCHEMA_PATH, "\"/run/hatlas/haproxy.sock\"", .max = SOCKET_MAX,
     .text = "its stats socket (Runtime API)"},
    {"master_socket", SCHEMA_PATH, "\"/run/hatlas/haproxy-master.sock\"",
     .max = SOCKET_MAX, .text = "its master socket (haproxy -S)"},
    {"unit", SCHEMA_TEXT, "\"haproxy.service\"", .min = 1, .max = 255,
     .text = "control systemd: the unit to reload"},
    {"command", SCHEMA_LIST_OF_TEXT, .min = 1, .max = 256,
     .text = "control command: what reloads it, word by word"},
    {"reload_timeout", SCHEMA_DURATION, "\"10s\"", .min = 100, .max = HOUR,
     .text = "until a reload that did not end has failed"},
    {"stop_timeout", SCHEMA_DURATION, "\"30s\"", .max = HOUR,
     .text = "for open connections to end when hatlas stops"},
    {"hard_stop_after", SCHEMA_DURATION, "\"15m\"", .min = SECOND, .max = DAY,
     .text = "until an old worker is ended after a reload"},
    {"stats", SCHEMA_ADDRESS, "\"127.0.0.1:8404\"",
     .text = "where HAProxy shows its statistics and metrics"},
    {"user", SCHEMA_NAME, .text = "who it runs as, if root starts it"},
    {"group", SCHEMA_NAME, .text = "the group it runs as, if root starts it"},
    {"threads", SCHEMA_INT, .min = 1, .max = 64,
     .text = "its threads; default: one a core"},
    {"maxconn", SCHEMA_INT, .min = 1, .max = 10000000,
     .text = "its connections at once; default: what its limits allow"},
    {"resolve", SCHEMA_CHOICE, "\"start\"", .choices = resolve_modes,
     .text = "names of hosts: looked up once, at the start and anew, or anew only"},
    {"nameserver", SCHEMA_ADDRESS,
     .text = "resolve dns, later: who is asked; default: by /etc/resolv.conf"},
    {"ca", SCHEMA_PATH, "\"@system-ca\"",
     .text = "file with the authorities that sign the certificates of hosts"},
    {"ca_files", SCHEMA_MAP_OF_TEXT, "{}",
     .text = "other such files by the name that services have for them"},
    {"error_files", SCHEMA_MAP_OF_TEXT, "{}",
     .text = "by status: file with the whole answer that HAProxy gives"},
    {"cache_size", SCHEMA_INT, "64", .min = 1, .max = 4095,
     .text = "megabytes for the answers of services that ask for a cache"},
    {"log", SCHEMA_TEXT, .min = 1, .max = 256,
     .text = "where a line a request goes: address, socket, stdout or stderr"},
    {"log_format", SCHEMA_CHOICE, "\"json\"", .choices = request_log_formats,
     .text = "how such a line is written; haproxy: as option httplog does"},
    {0},
};

static const struct schema apply_rows[] = {
    {"coalesce", SCHEMA_DURATION, "\"20ms\"", .max = MINUTE,
     .text = "quiet time to wait for more changes"},
    {"max_wait", SCHEMA_DURATION, "\"1s\"", .max = HOUR,
     .text = "longest time a change waits for others"},
    {"min_reload_interval", SCHEMA_DURATION, "\"2s\"", .max = DAY,
     .text = "least time between two reloads"},
    {"reload_jitter", SCHEMA_PERCENT, "\"0%\"",
     .text = "spread of that time over the nodes"},
    {"runtime", SCHEMA_BOOL, "true", .text = "false: reload for every change"},
    {0},
};

static const struct schema guard_rows[] = {
    {"empty_service", SCHEMA_CHOICE, "\"keep\"", .choices = empty_service,
     .text = "what becomes of a service's last hosts when all go"},
    {"max_loss", SCHEMA_PERCENT, "\"50%\"", .text = "share of hosts that may go at once"},
    {"grace", SCHEMA_DURATION, "\"30s\"", .max = DAY,
     .text = "how long a loss is held back"},
    {0},
};

static const struct schema status_rows[] = {
    {"enabled", SCHEMA_BOOL, "true", .text = "false: show nothing"},
    {"listen", SCHEMA_ADDRESS, "\"127.0.0.1:8126\"",
     .text =
         "where the status page, the JSON and the metrics are: an address or a socket"},
    {0},
};

static const struct schema log_rows[] = {
    {"level", SCHEMA_CHOICE, "\"info\"", .choices = log_levels,
     .text = "least weight of a line that is written"},
    {"format", SCHEMA_CHOICE, "\"logfmt\"", .choices = log_formats,
     .text = "how a line is written"},
    {0},
};

const struct schema settings_schema[] = {
    {"realm", SCHEMA_NAME, "\"local\"",
     .text = "environment to read: local, testing, production, …"},
    {"node", SCHEMA_OBJECT, "{}", .rows = node_rows, .text = "this machine"},
    {"sources", SCHEMA_LIST_OF_OBJECTS, "[{\"zookeeper\": \"127.0.0.1:2181\"}]", .min = 1,
     .max = 64, .rows = source_rows,
     .text = "where services and hosts are read, merged in order"},
    {"services", SCHEMA_OBJECT, "{}", .rows = services_rows,
     .text = "which services, and what is said of them here"},
    {"routing", SCHEMA_OBJECT, "{}", .rows = routing_rows,
     .text = "how a request finds its service"},
    {"outputs", SCHEMA_LIST_OF_OBJECTS,
     "[{\"template\": \"haproxy.cfg\", \"path\": \"/run/hatlas/haproxy.cfg\"},"
     " {\"template\": \"services.map\", \"path\": \"/run/hatlas/services.map\"}]",
     .min = 1, .max = 256, .rows = output_rows, .text = "files that are written"},
    {"templates", SCHEMA_LIST_OF_TEXT, "[]", .max = 64,
     .text = "folders searched for templates before the shipped ones"},
    {"haproxy", SCHEMA_OBJECT, "{}", .rows = haproxy_rows, .text = "HAProxy itself"},
    {"apply", SCHEMA_OBJECT, "{}", .rows = apply_rows,
     .text = "when changes are put in place"},
    {"guard", SCHEMA_OBJECT, "{}", .rows = guard_rows,
     .text = "protection from a registry that lost its hosts"},
    {"cache", SCHEMA_PATH, "\"/var/lib/hatlas/catalog.json\"",
     .text = "file that keeps the last catalog"},
    {"status", SCHEMA_OBJECT, "{}", .rows = status_rows,
     .text = "hatlas's own status, over HTTP"},
    {"log", SCHEMA_OBJECT, "{}", .rows = log_rows, .text = "the log, on standard error"},
    {"vars", SCHEMA_OBJECT, "{}", .text = "free values for templates"},
    {0},
};
