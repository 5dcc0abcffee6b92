/* Asks `haproxy -c` whether it takes a config. */
#include "haproxy/check.h"
#include "base/child.h"
#include "base/mem.h"
#include "haproxy/message.h"

#include <stdlib.h>
#include <sys/wait.h>

enum { TIMEOUT_MS = 60000, NO_LISTENER = 2 };

struct check {
    struct child *child;
    char *path;
    haproxy_done *done;
    void *arg;
};

/* Exit codes: 0 valid, 1 not, 2 valid without a listener, with which HAProxy won't start.
 */
static bool judge(const char *path, int exit_code, const char *output,
                  struct error *error) {
    if (!exit_code)
        return true;
    if (exit_code == NO_LISTENER)
        return error_set(error, path,
                         "valid, but nothing listens: HAProxy does not start without a "
                         "`bind` line");
    char otherwise[64];
    (void)snprintf(otherwise, sizeof otherwise,
                   "HAProxy refuses it with exit status %d and no message", exit_code);
    return message_error(output, path, otherwise, error);
}

bool haproxy_check(const char *binary, const char *path, struct error *error) {
    const char *argv[] = {binary, "-c", "-f", path, NULL};
    struct buffer output = BUFFER_INIT;
    int exit_code = -1;
    bool good = child_run(argv, TIMEOUT_MS, &output, &exit_code, error);
    if (exit_code >= 0)
        good = judge(path, exit_code, buffer_str(&output), error);
    buffer_free(&output);
    return good;
}

static void on_end(void *arg, const struct child_end *end) {
    struct check *check = arg;
    struct error error = {{0}, {0}};
    bool good = false;
    if (end->timed_out || !WIFEXITED(end->status))
        (void)error_set(&error, check->path, "`haproxy -c` was %s", end->reason);
    else
        good = judge(check->path, WEXITSTATUS(end->status), end->output, &error);
    haproxy_done *done = check->done;
    void *done_arg = check->arg;
    free(check->path);
    free(check);
    done(done_arg, good ? NULL : &error);
}

struct check *check_start(struct event_base *base, const char *binary, const char *path,
                          haproxy_done *done, void *arg, struct error *error) {
    const char *argv[] = {binary, "-c", "-f", path, NULL};
    struct check *check = mem_zalloc(sizeof *check);
    check->path = mem_strdup(path);
    check->done = done;
    check->arg = arg;
    check->child = child_start(base, argv, true, TIMEOUT_MS, on_end, check, error);
    if (check->child)
        return check;
    free(check->path);
    free(check);
    return NULL;
}

void check_cancel(struct check *check) {
    if (!check)
        return;
    child_kill(check->child);
    free(check->path);
    free(check);
}
