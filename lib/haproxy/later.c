/* Answers that are known at once but come from the loop. */
#include "haproxy/later.h"
#include "base/mem.h"

#include <event2/event.h>
#include <stdlib.h>

struct later {
    struct later **list, *next;
    struct event *event;
    haproxy_done *done;
    void *arg;
    bool failed;
    struct error error;
};

static void on_time(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct later *later = arg;
    struct later **link = later->list;
    while (*link != later)
        link = &(*link)->next;
    *link = later->next;
    event_free(later->event);
    later->done(later->arg, later->failed ? &later->error : NULL);
    free(later);
}

void later_call(struct later **list, struct event_base *base, haproxy_done *done,
                void *arg, const struct error *error) {
    struct later *later = mem_zalloc(sizeof *later);
    later->list = list;
    later->next = *list;
    later->done = done;
    later->arg = arg;
    later->failed = error != NULL;
    if (error)
        later->error = *error;
    later->event = event_new(base, -1, 0, on_time, later);
    (void)event_add(later->event, &(struct timeval){0, 0});
    *list = later;
}

void later_free(struct later **list) {
    while (*list) {
        struct later *later = *list;
        *list = later->next;
        event_free(later->event);
        free(later);
    }
}
