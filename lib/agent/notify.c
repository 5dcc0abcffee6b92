/* Telling systemd how the service stands: datagrams to the socket in NOTIFY_SOCKET. */
#include "agent/notify.h"
#include "base/clock.h"
#include "base/mem.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct notifier {
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t length;
    struct event *watchdog;
    bool ready;
};

static void send_state(const struct notifier *notifier, const char *state) {
    if (notifier->fd >= 0)
        (void)sendto(notifier->fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
                     (const struct sockaddr *)&notifier->address, notifier->length);
}

static void on_watchdog(int fd, short what, void *arg) {
    (void)fd, (void)what;
    send_state(arg, "WATCHDOG=1");
}

/* Half of the time that systemd allows; 0 if it does not watch this process. */
static int64_t watchdog_interval(void) {
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoll(usec, NULL, 10) / 2;
}

/* A path, or a name in the abstract namespace, which is written with an @. */
static bool set_address(struct notifier *notifier, const char *name) {
    size_t length = name ? strlen(name) : 0;
    if (length < 2 || length >= sizeof notifier->address.sun_path ||
        !strchr("/@", name[0]))
        return false;
    notifier->address.sun_family = AF_UNIX;
    memcpy(notifier->address.sun_path, name, length);
    if (name[0] == '@')
        notifier->address.sun_path[0] = '\0';
    notifier->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

struct notifier *notifier_new(struct event_base *base) {
    struct notifier *notifier = mem_zalloc(sizeof *notifier);
    notifier->fd = -1;
    if (set_address(notifier, getenv("NOTIFY_SOCKET")))
        notifier->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int64_t interval = watchdog_interval();
    if (notifier->fd >= 0 && interval > 0) {
        struct timeval every = clock_timeval(interval);
        notifier->watchdog = event_new(base, -1, EV_PERSIST, on_watchdog, notifier);
        (void)event_add(notifier->watchdog, &every);
    }
    return notifier;
}

void notifier_free(struct notifier *notifier) {
    if (!notifier)
        return;
    if (notifier->watchdog)
        event_free(notifier->watchdog);
    if (notifier->fd >= 0)
        (void)close(notifier->fd);
    free(notifier);
}

void notifier_ready(struct notifier *notifier) {
    if (!notifier->ready)
        send_state(notifier, "READY=1");
    notifier->ready = true;
}

void notifier_reloading(struct notifier *notifier) {
    char state[64];
    (void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
                   clock_usec());
    if (notifier->ready)
        send_state(notifier, state);
    notifier->ready = false;
}

void notifier_stopping(struct notifier *notifier) {
    send_state(notifier, "STOPPING=1");
}

void notifier_status(struct notifier *notifier, const char *status) {
    char state[256];
    (void)snprintf(state, sizeof state, "STATUS=%s", status);
    send_state(notifier, state);
}
