/* Reads answers of the Runtime API. Texts as of HAProxy 2.4 to 3.0 (its cli.c, server.c
 * and map.c). */
#include "haproxy/answer.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* srv_admin_state and srv_check_result of `show servers state` (management guide). */
enum {
    ADMIN_MAINTENANCE = 0x01,
    ADMIN_DRAIN = 0x08,
    ADMIN_UNRESOLVED = 0x20,
    CHECK_PASSED = 3,
    CHECK_PASSED_CONDITIONALLY = 4,
    AGENT_CONFIGURED = 0x02,
    COLUMNS_MAX = 64,
};

static bool begins(const char *text, const char *start) {
    return !strncmp(text, start, strlen(start));
}

/* "IP changed from 'A' to 'B', no need to change the port by 'stats socket command'" */
static bool is_address_news(const char *answer) {
    static const char *const news[] = {"IP changed from '", "no need to change the addr",
                                       "port changed from '",
                                       "no need to change the port"};
    static const char closing[] = " by 'stats socket command'";
    const char *end = strstr(answer, closing);
    if (!end || end[sizeof closing - 1])
        return false;
    while (answer < end) {
        bool known = false;
        for (size_t i = 0; i < sizeof news / sizeof news[0]; i++)
            known = known || begins(answer, news[i]);
        if (!known)
            return false;
        const char *comma = strstr(answer, ", ");
        answer = comma && comma < end ? comma + 2 : end;
    }
    return true;
}

enum answer_verdict answer_judge(enum answer_kind kind, const char *answer) {
    bool done = false;
    switch (kind) {
    case ANSWER_NOTHING:
        done = !*answer;
        break;
    case ANSWER_ADDED:
        done = !strcmp(answer, "New server registered.");
        break;
    case ANSWER_ADDRESS:
        done = is_address_news(answer);
        break;
    case ANSWER_DELETED:
        if (begins(answer, "Server still has connections attached"))
            return ANSWER_BUSY;
        done = !strcmp(answer, "Server deleted.") || !strcmp(answer, "No such server.");
        break;
    }
    return done ? ANSWER_DONE : ANSWER_UNKNOWN;
}

/* Reads a number of at least 0 that fills the text up to `end`. */
static bool read_number(const char *text, const char *ends, long *number) {
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return false;
    *number = strtol(text, &end, 10);
    return !*end || strchr(ends, *end);
}

bool answer_map_version(const char *answer, long *version) {
    static const char start[] = "New version created: ";
    return begins(answer, start) && read_number(answer + sizeof start - 1, "", version);
}

bool answer_map_value(const char *answer, const char *value) {
    static const char mark[] = ", value=\"";
    const char *at = strstr(answer, mark);
    size_t len = strlen(value);
    return strstr(answer, ", found=yes, ") && at &&
           !strncmp(at + sizeof mark - 1, value, len) && at[sizeof mark - 1 + len] == '"';
}

/* Returns what follows "name: " at the beginning of a line. */
static const char *find_line(const char *answer, const char *name) {
    for (const char *line = answer; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (begins(line, name))
            return line + strlen(name);
    }
    return NULL;
}

bool answer_info(const char *answer, pid_t *pid, char *version, size_t size) {
    const char *name = find_line(answer, "Name: ");
    const char *version_line = find_line(answer, "Version: ");
    const char *pid_line = find_line(answer, "Pid: ");
    long number = 0;
    if (!name || !begins(name, "HAProxy") || !version_line || !pid_line ||
        !read_number(pid_line, "\n", &number) || number < 1 || number > 0x7fffffff)
        return false;
    *pid = (pid_t)number;
    (void)snprintf(version, size, "%.*s", (int)strcspn(version_line, "\n"), version_line);
    return true;
}

bool answer_offers(const char *answer, const char *command) {
    size_t len = strlen(command);
    for (const char *line = answer; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n ");
        if (!strncmp(line, command, len) && (line[len] == ' ' || line[len] == '\n'))
            return true;
    }
    return false;
}

/* The columns that we read, and where the heading has them. */
enum {
    COLUMN_BACKEND,
    COLUMN_SERVER,
    COLUMN_ADDRESS,
    COLUMN_STATE,
    COLUMN_ADMIN,
    COLUMN_WEIGHT,
    COLUMN_RESULT,
    COLUMN_AGENT,
    COLUMN_PORT,
    COLUMN_COUNT
};

static const char *const column_names[COLUMN_COUNT] = {
    "be_name",          "srv_name",        "srv_addr",
    "srv_op_state",     "srv_admin_state", "srv_uweight",
    "srv_check_result", "srv_agent_state", "srv_port"};

/* Splits the line in place. Returns how many words it has. */
static size_t split(char *line, char *words[COLUMNS_MAX]) {
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " ", &rest); word && count < COLUMNS_MAX;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    return count;
}

/* "# be_id be_name …": the first word is no column. */
static bool read_heading(char *line, size_t places[COLUMN_COUNT]) {
    char *words[COLUMNS_MAX];
    size_t count = split(line, words);
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        places[column] = 0;
        for (size_t i = 1; i < count; i++)
            if (!strcmp(words[i], column_names[column]))
                places[column] = i;
        if (!places[column])
            return false;
    }
    return true;
}

static bool read_row(char *line, const size_t places[COLUMN_COUNT],
                     struct answer_server *server) {
    char *words[COLUMNS_MAX];
    const char *cells[COLUMN_COUNT];
    long state = 0;
    long admin = 0;
    long result = 0;
    long agent = 0;
    size_t count = split(line, words);
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        if (places[column] > count)
            return false;
        cells[column] = words[places[column] - 1];
    }
    *server = (struct answer_server){.backend = cells[COLUMN_BACKEND],
                                     .server = cells[COLUMN_SERVER],
                                     .address = cells[COLUMN_ADDRESS]};
    if (!read_number(cells[COLUMN_STATE], "", &state) ||
        !read_number(cells[COLUMN_ADMIN], "", &admin) ||
        !read_number(cells[COLUMN_WEIGHT], "", &server->weight) ||
        !read_number(cells[COLUMN_RESULT], "", &result) ||
        !read_number(cells[COLUMN_AGENT], "", &agent) ||
        !read_number(cells[COLUMN_PORT], "", &server->port))
        return false;
    server->running = state != 0;
    server->maintenance = admin & ADMIN_MAINTENANCE;
    server->draining = admin & ADMIN_DRAIN;
    server->unresolved = admin & ADMIN_UNRESOLVED;
    server->has_agent = agent & AGENT_CONFIGURED;
    server->check_ok = result == CHECK_PASSED || result == CHECK_PASSED_CONDITIONALLY;
    return true;
}

bool answer_servers(const char *answer,
                    void (*visit)(void *arg, const struct answer_server *server),
                    void *arg) {
    char *copy = mem_strdup(answer);
    char *rest = NULL;
    size_t places[COLUMN_COUNT];
    char *line = strtok_r(copy, "\n", &rest);
    bool good = line && !strcmp(line, "1");
    line = good ? strtok_r(NULL, "\n", &rest) : NULL;
    good = line && line[0] == '#' && read_heading(line, places);
    while (good && (line = strtok_r(NULL, "\n", &rest))) {
        struct answer_server server;
        good = read_row(line, places, &server);
        if (good)
            visit(arg, &server);
    }
    free(copy);
    return good;
}
