/* Finds an HAProxy by its command line. A master whose socket is silent may only be
 * executing itself anew, and must not get a rival then. */
#include "haproxy/orphan.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 65536 };

static bool has_pair(const struct buffer *line, const char *flag, const char *value) {
    const char *end = line->data + line->len;
    for (const char *word = line->data; word < end; word += strlen(word) + 1) {
        const char *next = word + strlen(word) + 1;
        if (next < end && !strcmp(word, flag) && !strcmp(next, value))
            return true;
    }
    return false;
}

bool orphan_is(pid_t pid, const char *config, const char *listen) {
    char path[64];
    struct buffer line = BUFFER_INIT;
    (void)snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    bool is = file_read(path, LINE_MAX_BYTES, &line, NULL) && line.len &&
              has_pair(&line, "-f", config) && (!listen || has_pair(&line, "-S", listen));
    buffer_free(&line);
    return is;
}

/* 0 if it is gone. */
static pid_t parent_of(pid_t pid) {
    char path[64];
    struct buffer text = BUFFER_INIT;
    long parent = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    /* "pid (name) state parent …", where the name may hold anything. */
    if (file_read(path, LINE_MAX_BYTES, &text, NULL)) {
        const char *name_end = strrchr(buffer_str(&text), ')');
        if (name_end && strlen(name_end) > 4)
            parent = strtol(name_end + 4, NULL, 10);
    }
    buffer_free(&text);
    return (pid_t)parent;
}

pid_t orphan_find(const char *config, const char *listen) {
    pid_t found = 0;
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    while (!found && processes && (entry = readdir(processes))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        /* A worker has the command line of its master. */
        if (pid > 0 && orphan_is(pid, config, listen) &&
            !orphan_is(parent_of(pid), config, listen))
            found = pid;
    }
    if (processes)
        (void)closedir(processes);
    return found;
}
