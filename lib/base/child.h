/* Child processes as events of the loop: started, their output kept, their end reported.
 */
#ifndef HATLAS_BASE_CHILD_H
#define HATLAS_BASE_CHILD_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct child;

/* How a child ended. */
struct child_end {
    int status;         /* as waitpid(2) gives it */
    bool timed_out;     /* it was killed because it ran too long */
    const char *output; /* standard output and error, the last 64 KiB; never NULL */
    const char *reason; /* in words: "exit status 1", "killed by signal 9", … */
};

typedef void child_ended(void *arg, const struct child_end *end);

/* Starts argv[0] (looked up in PATH), with the environment of this process but for
 * variables whose names begin with HATLAS_SECRET. With `capture`, standard output and
 * error are kept for the end; else they stay those of this process. Standard input is
 * /dev/null; no other file of this process is open in it. After `timeout_ms` (0: never)
 * the child is killed. The callback comes from the loop, once; the child is freed after it. Ends are noticed by pidfd_open(2), so children need no
 * signal handler and no global table. Returns NULL with an error if it can't be started.
 */
struct child *child_start(struct event_base *base, const char *const *argv, bool capture,
                          int64_t timeout_ms, child_ended *ended, void *arg,
                          struct error *error);

/* One line of output, without its newline, as soon as it is whole. */
typedef void child_line(void *arg, const char *line);

/* All that can be said of a child to be started. */
struct child_options {
    const char *const *argv;
    enum child_output {
        CHILD_INHERIT,        /* its output is that of this process */
        CHILD_CAPTURE,        /* standard output and error are kept */
        CHILD_CAPTURE_STDERR, /* only standard error is */
    } output;
    bool own_group; /* out of reach of a terminal's Ctrl-C; a timeout kills its children
                       too */
    int64_t timeout_ms;
    child_ended *ended;
    child_line *line; /* may be NULL; must not kill or detach the child */
    void *arg;        /* of both callbacks */
};

/* child_start with all there is to choose. */
struct child *child_launch(struct event_base *base, const struct child_options *options,
                           struct error *error);

/* Runs a function in a copy of this process, for work that would hold up the loop. Of
 * what it changes in memory nothing comes back; it exits with 0 where the function returns
 * true, else with 1. All files but standard input, output and error are closed in it. */
struct child *child_work(struct event_base *base, bool (*work)(void *work_arg),
                         void *work_arg, child_ended *ended, void *arg,
                         struct error *error);

/* Reads what the child has written by now, so that no line is late. */
void child_drain(struct child *child);

pid_t child_pid(const struct child *child);

/* Sends the signal (kill(2)). */
void child_signal(struct child *child, int signal);

/* Forgets the child: kills it with SIGKILL, waits for its end and frees it. No callback.
 */
void child_kill(struct child *child);

/* Waits for the end of the child and frees it. No callback. */
void child_wait(struct child *child);

/* Forgets the child and leaves it running. No callback. */
void child_detach(struct child *child);

/* Runs a command to its end, for programs without a loop of their own. Returns whether it
 * exited with 0; `output` receives what it printed, `exit_code` (may be NULL) its code,
 * -1 if a signal ended it. Only what is no exit of its own sets the error. */
bool child_run(const char *const *argv, int64_t timeout_ms, struct buffer *output,
               int *exit_code, struct error *error);

#endif
