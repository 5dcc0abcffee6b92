/* pidfd_open(2) for programs under valgrind 3.19, which does not know that call: a pipe
 * that ends when the process does. Preloaded by changes.py. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct watch {
    pid_t pid;
    int fd;
};

static void *wait_for_end(void *arg) {
    struct watch *watch = arg;
    siginfo_t info;
    (void)waitid(P_PID, (id_t)watch->pid, &info, WEXITED | WNOWAIT);
    (void)close(watch->fd);
    free(watch);
    return NULL;
}

int pidfd_open(pid_t pid, unsigned flags) {
    int ends[2];
    pthread_t thread;
    (void)flags;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    struct watch *watch = malloc(sizeof *watch);
    if (watch)
        *watch = (struct watch){pid, ends[1]};
    if (!watch || pthread_create(&thread, NULL, wait_for_end, watch) != 0) {
        free(watch);
        (void)close(ends[0]);
        (void)close(ends[1]);
        return -1;
    }
    (void)pthread_detach(thread);
    return ends[0];
}
