/* The HTTP side: listens, answers, and asks HAProxy from time to time how it sees its
 * servers. */
#include "status/status.h"
#include "base/clock.h"
#include "base/mem.h"
#include "status/document.h"
#include "status/door.h"
#include "status/listen.h"
#include "status/metrics.h"
#include "status/page.h"
#include "status/stream.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SILENCE_S = 5,
    HEADERS_MAX = 8192,
    LISTEN_AGAIN = 5000000,
    ASK_WATCHED = 2000000, /* how often HAProxy is asked while somebody watches, */
    ASK_IDLE = 10000000,   /* and while nobody does */
    ASK_FIRST = 1000000,
    ASK_SOON = 500000,   /* after a change */
    TELL_AFTER = 200000, /* changes that come together are told together */
};

struct status {
    struct status_options options;
    struct evhttp *http; /* NULL while there is no address */
    struct door *door;
    struct streams *streams;
    struct stats *haproxy;
    struct facts_stats stats;
    struct event *listen_timer, *ask_timer, *tell_timer;
    int64_t ask_at;   /* when HAProxy is asked next; 0: it is being asked */
    int64_t asked_at; /* when it last was */
    bool telling;
    struct error last_error; /* of listening, so that it is said once */
};

static void view_of(const struct status *status, struct status_view *view) {
    *view = (struct status_view){0};
    status->options.view(status->options.arg, view);
}

/* Answers. */

static void add_header(struct evhttp_request *request, const char *name,
                       const char *value) {
    (void)evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

static void add_headers(struct evhttp_request *request, const char *type) {
    add_header(request, "Content-Type", type);
    add_header(request, "Cache-Control", "no-store");
    add_header(request, "X-Content-Type-Options", "nosniff");
    add_header(request, "X-Frame-Options", "DENY");
    add_header(request, "Referrer-Policy", "no-referrer");
    add_header(request, "Cross-Origin-Resource-Policy", "same-origin");
}

/* Takes the text over. evhttp leaves the body out for HEAD, but not its length. */
static void answer(struct evhttp_request *request, int code, const char *type,
                   struct buffer *text) {
    static const char *const reasons[] = {"OK", "Forbidden", "Not Found",
                                          "Method Not Allowed", "Service Unavailable"};
    const char *reason = code == 200   ? reasons[0]
                         : code == 403 ? reasons[1]
                         : code == 404 ? reasons[2]
                         : code == 405 ? reasons[3]
                                       : reasons[4];
    bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
    struct evbuffer *body = evbuffer_new();
    char length[32];
    (void)snprintf(length, sizeof length, "%zu", text->len);
    add_headers(request, type);
    add_header(request, "Content-Length", length);
    if (body && !head && text->len)
        (void)evbuffer_add(body, text->data, text->len);
    evhttp_send_reply(request, code, reason, body);
    if (body)
        evbuffer_free(body);
    buffer_free(text);
}

static void answer_line(struct evhttp_request *request, int code, const char *line) {
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text, "%s\n", line);
    answer(request, code, "text/plain; charset=utf-8", &text);
}

static void show_page(struct status *status, struct evhttp_request *request) {
    (void)status;
    struct buffer text = BUFFER_INIT;
    char nonce[40];
    char policy[320];
    page_nonce(nonce, sizeof nonce);
    (void)snprintf(policy, sizeof policy,
                   "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
                   "connect-src 'self'; img-src data:; base-uri 'none'; "
                   "form-action 'none'; frame-ancestors 'none'",
                   nonce, nonce);
    add_header(request, "Content-Security-Policy", policy);
    page_write(&text, nonce);
    answer(request, 200, "text/html; charset=utf-8", &text);
}

static void show_status(struct status *status, struct evhttp_request *request) {
    struct buffer text = BUFFER_INIT;
    struct status_view view;
    view_of(status, &view);
    document_write(&text, &view, &status->stats);
    answer(request, 200, "application/json", &text);
}

static void show_metrics(struct status *status, struct evhttp_request *request) {
    struct buffer text = BUFFER_INIT;
    struct status_view view;
    view_of(status, &view);
    metrics_write(&text, &view, &status->stats);
    answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", &text);
}

static void show_health(struct status *status, struct evhttp_request *request) {
    (void)status;
    answer_line(request, 200, "alive");
}

static void show_ready(struct status *status, struct evhttp_request *request) {
    struct status_view view;
    view_of(status, &view);
    if (facts_ready(&view, &status->stats))
        answer_line(request, 200, "ready");
    else
        answer_line(request, 503,
                    view.in_place ? "not ready: HAProxy is not known to run"
                                  : "not ready: no config is in place yet");
}

static void show_config(struct status *status, struct evhttp_request *request) {
    struct buffer text = BUFFER_INIT;
    struct status_view view;
    view_of(status, &view);
    document_config(&text, &view);
    answer(request, 200, "text/plain; charset=utf-8", &text);
}

static void show_events(struct status *status, struct evhttp_request *request);

static const struct route {
    const char *path;
    void (*show)(struct status *status, struct evhttp_request *request);
} routes[] = {
    {"/", show_page},         {"/status", show_status}, {"/metrics", show_metrics},
    {"/health", show_health}, {"/ready", show_ready},   {"/config", show_config},
    {"/events", show_events},
};

static void show_diff(struct status *status, struct evhttp_request *request,
                      const char *number) {
    struct buffer text = BUFFER_INIT;
    struct status_view view;
    char *end = NULL;
    unsigned long long id = strtoull(number, &end, 10);
    view_of(status, &view);
    for (size_t i = 0; *number && !*end && i < view.change_count; i++) {
        const struct status_change *change = view.changes[i];
        if (change->id != id || !change->diff)
            continue;
        buffer_puts(&text, change->diff);
        answer(request, 200, "text/plain; charset=utf-8", &text);
        return;
    }
    answer_line(request, 404, "no diff is kept of this change");
}

static void on_request(struct evhttp_request *request, void *arg) {
    struct status *status = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    const char *host =
        evhttp_find_header(evhttp_request_get_input_headers(request), "Host");
    if (!listen_is_meant(status->options.settings->status_listen, host)) {
        answer_line(request, 403, "this address is not known by that name");
        return;
    }
    for (size_t i = 0; path && i < sizeof routes / sizeof routes[0]; i++)
        if (!strcmp(path, routes[i].path)) {
            routes[i].show(status, request);
            return;
        }
    if (path && !strncmp(path, "/diff/", 6))
        show_diff(status, request, path + 6);
    else
        answer_line(request, 404,
                    "there are /, /status, /metrics, /health, /ready, /config, /events "
                    "and /diff/N");
}

/* Watchers, and HAProxy's word. */

static void tell(struct status *status) {
    struct status_view view;
    view_of(status, &view);
    streams_tell(status->streams, &view, &status->stats);
}

static void tell_soon(struct status *status) {
    struct timeval after = clock_timeval(TELL_AFTER);
    if (status->telling || !streams_count(status->streams))
        return;
    status->telling = true;
    (void)event_add(status->tell_timer, &after);
}

static void on_tell(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct status *status = arg;
    status->telling = false;
    tell(status);
}

static void ask_at(struct status *status, int64_t at) {
    struct timeval after = clock_timeval(at - clock_usec());
    status->ask_at = at;
    (void)event_add(status->ask_timer, &after);
}

static void on_stats(void *arg, struct stats_table *table, const struct error *error) {
    struct status *status = arg;
    struct facts_stats *stats = &status->stats;
    bool watched = streams_count(status->streams) > 0;
    stats->known = table;
    if (table) {
        stats_table_free(&stats->table);
        stats->table = *table;
        stats->at = facts_now();
    } else {
        stats->error = *error;
    }
    if (watched)
        tell(status);
    bool soon = watched || !table;
    ask_at(status, clock_usec() + (soon ? ASK_WATCHED : ASK_IDLE));
}

static void on_ask(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct status *status = arg;
    status->ask_at = 0;
    status->asked_at = clock_usec();
    stats_ask(status->haproxy, on_stats, status);
}

/* HAProxy is asked again once a change has had its effect, but never all the time. */
static void ask_soon(struct status *status, int64_t after) {
    int64_t soon = clock_usec() + after;
    int64_t apart = status->asked_at + ASK_WATCHED;
    int64_t at = soon > apart ? soon : apart;
    if (status->haproxy && status->ask_at > at)
        ask_at(status, at);
}

static void show_events(struct status *status, struct evhttp_request *request) {
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
        answer_line(request, 405, "GET only");
        return;
    }
    if (streams_count(status->streams) >= STREAMS_MAX) {
        answer_line(request, 503, "too many watch already");
        return;
    }
    add_headers(request, "text/event-stream");
    (void)streams_add(status->streams, request, status->door);
    tell(status);
    ask_soon(status, 0);
}

/* Listening. */

static void stop_listening(struct status *status) {
    streams_free(status->streams);
    status->streams = NULL;
    if (status->http) {
        evhttp_free(status->http);
        listen_forget(status->options.settings->status_listen);
    }
    status->http = NULL;
    door_free(status->door);
    status->door = NULL;
}

static struct evhttp *make_http(struct event_base *base) {
    struct evhttp *http = evhttp_new(base);
    if (!http)
        return NULL;
    evhttp_set_timeout(http, SILENCE_S);
    evhttp_set_max_headers_size(http, HEADERS_MAX);
    evhttp_set_max_body_size(http, 0);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    return http;
}

static bool begin_listening(struct status *status, struct error *error) {
    struct event_base *base = status->options.base;
    struct evconnlistener *listener =
        listen_open(base, status->options.settings->status_listen, error);
    if (!listener)
        return false;
    status->http = make_http(base);
    if (!status->http || !evhttp_bind_listener(status->http, listener)) {
        evconnlistener_free(listener);
        return error_set(error, "", "can't make an HTTP server");
    }
    status->door = door_new(base, status->http, listener);
    evhttp_set_gencb(status->http, on_request, status);
    return true;
}

static void listen_now(struct status *status) {
    const char *address = status->options.settings->status_listen;
    struct timeval again = clock_timeval(LISTEN_AGAIN);
    struct error error;
    if (begin_listening(status, &error)) {
        log_notice(status->options.log, "the status is shown",
                   LOG_STR("address", address));
        return;
    }
    if (strcmp(error.text, status->last_error.text) != 0)
        log_warning(status->options.log,
                    "the status can't be shown yet; tried again every 5 s",
                    LOG_STR("address", address), LOG_STR("error", error.text));
    status->last_error = error;
    (void)event_add(status->listen_timer, &again);
}

static void on_listen(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    listen_now(arg);
}

struct status *status_open(const struct status_options *options) {
    struct status *status = mem_zalloc(sizeof *status);
    status->options = *options;
    status->listen_timer = event_new(options->base, -1, 0, on_listen, status);
    status->ask_timer = event_new(options->base, -1, 0, on_ask, status);
    status->tell_timer = event_new(options->base, -1, 0, on_tell, status);
    status->streams = streams_new(options->base);
    if (settings_haproxy_output(options->settings)) {
        status->haproxy = stats_new(options->base, options->settings->haproxy.socket);
        ask_at(status, clock_usec() + ASK_FIRST);
    }
    listen_now(status);
    return status;
}

void status_close(struct status *status) {
    if (!status)
        return;
    stop_listening(status);
    stats_free(status->haproxy);
    stats_table_free(&status->stats.table);
    event_free(status->listen_timer);
    event_free(status->ask_timer);
    event_free(status->tell_timer);
    free(status);
}

void status_changed(struct status *status) {
    if (!status)
        return;
    tell_soon(status);
    ask_soon(status, ASK_SOON);
}
