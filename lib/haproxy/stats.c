/* Reads `show stat`: one line a server, columns by the names in the first line. */
#include "haproxy/stats.h"
#include "base/mem.h"
#include "haproxy/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column {
    C_BACKEND,
    C_SERVER,
    C_STATUS,
    C_TYPE,
    C_CHECK,
    C_QUEUE,
    C_SESSIONS,
    C_TOTAL,
    C_RATE,
    C_CONNECT_ERRORS,
    C_RESPONSE_ERRORS,
    C_5XX,
    C_CONNECT_TIME,
    C_RESPONSE_TIME,
    C_CHANGED,
    C_WEIGHT,
    COLUMNS
};

static const char *const names[COLUMNS] = {
    [C_BACKEND] = "pxname",
    [C_SERVER] = "svname",
    [C_STATUS] = "status",
    [C_TYPE] = "type",
    [C_CHECK] = "check_status",
    [C_QUEUE] = "qcur",
    [C_SESSIONS] = "scur",
    [C_TOTAL] = "stot",
    [C_RATE] = "rate",
    [C_CONNECT_ERRORS] = "econ",
    [C_RESPONSE_ERRORS] = "eresp",
    [C_5XX] = "hrsp_5xx",
    [C_CONNECT_TIME] = "ctime",
    [C_RESPONSE_TIME] = "rtime",
    [C_CHANGED] = "lastchg",
    [C_WEIGHT] = "weight",
};

enum { CSV_FIELDS_MAX = 512, TYPE_SERVER = 2 };

/* Which field of a line is which column; -1: one that is of no interest. */
struct layout {
    int column[CSV_FIELDS_MAX];
};

/* The quotes of a field come off, and doubled ones become single. Returns its end. */
static char *unquote(char *field) {
    char *from = field + 1;
    char *to = field;
    for (; *from && (*from != '"' || from[1] == '"'); from++) {
        from += *from == '"';
        *to++ = *from;
    }
    *to = '\0';
    return from;
}

/* Takes one field off the line. NULL behind the last. Most fields are a byte or two: a
 * loop beats the C library's functions here. */
static char *take_field(char **rest) {
    char *field = *rest;
    if (!field)
        return NULL;
    char *end = *field == '"' ? unquote(field) : field;
    while (*end && *end != ',')
        end++;
    *rest = *end ? end + 1 : NULL;
    *end = '\0';
    return field;
}

static char *take_line(char **rest) {
    char *line = *rest;
    if (!line || !*line)
        return NULL;
    char *end = strchr(line, '\n');
    *rest = end ? end + 1 : NULL;
    if (end)
        *end = '\0';
    return line;
}

static bool read_layout(char *line, struct layout *layout) {
    int found = 0;
    if (!line || strncmp(line, "# ", 2) != 0)
        return false;
    char *rest = line + 2;
    for (int i = 0; i < CSV_FIELDS_MAX; i++) {
        const char *name = take_field(&rest);
        layout->column[i] = -1;
        for (int c = 0; name && c < COLUMNS; c++)
            if (!strcmp(name, names[c])) {
                layout->column[i] = c;
                found++;
            }
    }
    return found == COLUMNS;
}

static enum stats_state state_of(const char *word) {
    static const struct {
        const char *word;
        enum stats_state state;
    } words[] = {{"UP", STATS_UP},       {"DOWN", STATS_DOWN},
                 {"MAINT", STATS_MAINT}, {"DRAIN", STATS_DRAIN},
                 {"NOLB", STATS_DRAIN},  {"no check", STATS_UNCHECKED}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strncmp(word, words[i].word, strlen(words[i].word)))
            return words[i].state;
    return STATS_UNKNOWN;
}

/* Bounded so that those of a million servers can be added up. */
static int64_t number(const char *text) {
    int64_t number = text && *text ? strtoll(text, NULL, 10) : 0;
    int64_t max = INT64_MAX >> 20;
    return number < 0 ? 0 : number > max ? max : number;
}

static struct stats_server server_of(char *const *fields) {
    enum stats_state state = state_of(fields[C_STATUS]);
    bool serves = state == STATS_UP || state == STATS_UNCHECKED;
    int64_t response = number(fields[C_RESPONSE_TIME]);
    return (struct stats_server){
        .backend = fields[C_BACKEND],
        .server = fields[C_SERVER],
        .state = serves && !number(fields[C_WEIGHT]) ? STATS_DRAIN : state,
        .check = fields[C_CHECK],
        .sessions = number(fields[C_SESSIONS]),
        .queue = number(fields[C_QUEUE]),
        .rate = number(fields[C_RATE]),
        .total = number(fields[C_TOTAL]),
        .errors = number(fields[C_CONNECT_ERRORS]) + number(fields[C_RESPONSE_ERRORS]) +
                  number(fields[C_5XX]),
        .latency = response ? response : number(fields[C_CONNECT_TIME]),
        .changed = number(fields[C_CHANGED]),
    };
}

/* Whether the line is a whole one about a server. */
static bool read_server(char *line, const struct layout *layout,
                        struct stats_server *server) {
    static char none[] = "";
    char *fields[COLUMNS];
    char *rest = line;
    char *field;
    int found = 0;
    for (int c = 0; c < COLUMNS; c++)
        fields[c] = none;
    for (int i = 0; found < COLUMNS && i < CSV_FIELDS_MAX && (field = take_field(&rest));
         i++) {
        if (layout->column[i] < 0)
            continue;
        fields[layout->column[i]] = field;
        found++;
    }
    *server = server_of(fields);
    return found == COLUMNS && number(fields[C_TYPE]) == TYPE_SERVER;
}

static int compare(const void *a, const void *b) {
    const struct stats_server *x = a;
    const struct stats_server *y = b;
    int order = strcmp(x->backend, y->backend);
    return order ? order : strcmp(x->server, y->server);
}

static bool read_servers(char *text, struct stats_table *table) {
    struct layout layout;
    struct stats_server server;
    char *rest = text;
    char *line;
    if (!read_layout(take_line(&rest), &layout))
        return false;
    while ((line = take_line(&rest)))
        if (read_server(line, &layout, &server)) {
            table->servers = mem_grow(table->servers, table->count, sizeof server);
            table->servers[table->count++] = server;
        }
    return true;
}

static const char *move(char **to, const char *text) {
    size_t size = strlen(text) + 1;
    const char *moved = memcpy(*to, text, size);
    *to += size;
    return moved;
}

/* An answer is many times larger than what is kept of it. */
static void compact(struct stats_table *table) {
    size_t size = 1;
    for (size_t i = 0; i < table->count; i++)
        size += strlen(table->servers[i].backend) + strlen(table->servers[i].server) +
                strlen(table->servers[i].check) + 3;
    char *to = table->text = mem_zalloc(size);
    for (size_t i = 0; i < table->count; i++) {
        struct stats_server *server = &table->servers[i];
        const char *before = i ? server[-1].backend : "";
        bool same = i && !strcmp(before, server->backend);
        server->backend = same ? before : move(&to, server->backend);
        server->server = move(&to, server->server);
        server->check = move(&to, server->check);
    }
    table->servers = mem_resize(table->servers, table->count, sizeof *table->servers);
}

bool stats_parse(const char *text, struct stats_table *table, struct error *error) {
    char *work = mem_strdup(text);
    *table = (struct stats_table){0};
    bool good = read_servers(work, table);
    if (table->count) {
        qsort(table->servers, table->count, sizeof *table->servers, compare);
        compact(table);
    }
    free(work);
    return good ||
           error_set(error, "show stat", "the answer is not HAProxy's statistics");
}

void stats_table_free(struct stats_table *table) {
    free(table->servers);
    free(table->text);
    *table = (struct stats_table){0};
}

/* The first server that does not stand before (backend, server). */
static size_t lower_bound(const struct stats_table *table, const char *backend,
                          const char *server) {
    struct stats_server key = {.backend = backend, .server = server};
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&table->servers[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t stats_backend(const struct stats_table *table, const char *backend,
                     const struct stats_server **first) {
    size_t from = lower_bound(table, backend, "");
    size_t to = from;
    while (to < table->count && !strcmp(table->servers[to].backend, backend))
        to++;
    *first = to > from ? &table->servers[from] : NULL;
    return to - from;
}

const struct stats_server *stats_find(const struct stats_table *table,
                                      const char *backend, const char *server) {
    size_t at = lower_bound(table, backend, server);
    const struct stats_server *found = at < table->count ? &table->servers[at] : NULL;
    bool same =
        found && !strcmp(found->backend, backend) && !strcmp(found->server, server);
    return same ? found : NULL;
}

const char *stats_state_name(enum stats_state state) {
    static const char *const words[] = {
        [STATS_UNKNOWN] = "unknown", [STATS_UP] = "up",
        [STATS_DOWN] = "down",       [STATS_DRAIN] = "drain",
        [STATS_MAINT] = "maint",     [STATS_UNCHECKED] = "unchecked"};
    return words[state];
}

struct stats {
    struct event_base *base;
    char *socket;
    struct cli *cli; /* while a question is under way */
    stats_answered *answered;
    void *arg;
};

struct stats *stats_new(struct event_base *base, const char *socket) {
    struct stats *stats = mem_zalloc(sizeof *stats);
    stats->base = base;
    stats->socket = mem_strdup(socket);
    return stats;
}

void stats_free(struct stats *stats) {
    if (!stats)
        return;
    cli_close(stats->cli);
    free(stats->socket);
    free(stats);
}

static void on_answer(void *arg, const char *answer, const struct error *error) {
    struct stats *stats = arg;
    struct stats_table table;
    struct error failure;
    bool good = answer && stats_parse(answer, &table, &failure);
    if (error)
        failure = *error;
    cli_close(stats->cli);
    stats->cli = NULL;
    stats->answered(stats->arg, good ? &table : NULL, good ? NULL : &failure);
}

void stats_ask(struct stats *stats, stats_answered *answered, void *arg) {
    enum { SERVERS = 4 }; /* of the kinds that `show stat` can be narrowed to */
    char command[32];
    if (stats->cli)
        return;
    stats->answered = answered;
    stats->arg = arg;
    stats->cli = cli_open(stats->base, stats->socket);
    (void)snprintf(command, sizeof command, "show stat -1 %d -1", SERVERS);
    cli_ask(stats->cli, command, on_answer, stats);
}
