/* Reads the answers of the master CLI. Lines of `show proc` are "pid type reloads uptime
 * version", in sections headed "# workers", "# old workers", "# programs". */
#include "haproxy/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a number of at least 0 from *text and moves on behind it. */
static bool take_number(const char **text, long *number) {
    char *end = NULL;
    *number = strtol(*text, &end, 10);
    bool good = end != *text && *number >= 0;
    *text = end;
    return good;
}

static bool take_word(const char **text, char *word, size_t size) {
    *text += strspn(*text, " \t");
    size_t len = strcspn(*text, " \t\r\n");
    (void)snprintf(word, size, "%.*s", (int)len, *text);
    *text += len;
    return len > 0 && len < size;
}

/* How many reloads the workers found so far outlived. */
struct ages {
    long newest, oldest;
};

/* The current worker's own `reloads` counts those it outlived: 0 at first, more after
 * failed ones. The least is the newest. */
static void read_line(const char *line, bool current, struct master_state *state,
                      struct ages *ages) {
    long pid = 0;
    long reloads = 0;
    char type[16];
    if (!take_number(&line, &pid) || !take_word(&line, type, sizeof type) ||
        !take_number(&line, &reloads))
        return;
    if (!strcmp(type, "master")) {
        const char *failed = line + strspn(line, " \t");
        state->master = (pid_t)pid;
        state->reloads = reloads;
        if (sscanf(failed, "[failed: %9ld]", &state->failed) != 1)
            state->failed = -1;
    } else if (!strcmp(type, "worker") && current &&
               (!state->worker || reloads < ages->newest)) {
        state->worker = (pid_t)pid;
        ages->newest = reloads;
    } else if (!strcmp(type, "worker") && !current) {
        if (!state->old++ || reloads > ages->oldest) {
            state->oldest = (pid_t)pid;
            ages->oldest = reloads;
        }
    }
}

bool master_parse_proc(const char *answer, struct master_state *state) {
    *state = (struct master_state){.failed = -1};
    bool current = true;
    struct ages ages = {0, 0};
    while (*answer) {
        size_t len = strcspn(answer, "\n");
        char line[256];
        (void)snprintf(line, sizeof line, "%.*s", (int)(len < 255 ? len : 255), answer);
        if (line[0] == '#')
            current = strncmp(line, "# old", 5) != 0;
        else
            read_line(line, current, state, &ages);
        answer += len + (answer[len] == '\n');
    }
    return state->master > 0;
}

bool master_parse_reload(const char *answer, bool *success, const char **log) {
    const char *found = strstr(answer, "Success=");
    if (!found || (found[8] != '0' && found[8] != '1'))
        return false;
    *success = found[8] == '1';
    const char *dashes = strstr(found, "--\n");
    *log = dashes ? dashes + 3 : "";
    return true;
}
