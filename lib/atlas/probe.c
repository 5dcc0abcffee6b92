/* One question whether a service on this machine is well. Whatever ends it first, an
 * answer or the time-out, is noted, and told from the timer's event. */
#include "atlas/probe.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/schema.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct probe {
    const struct probe_options *options;
    probe_done *done;
    void *arg;
    struct event *timer;
    struct evhttp_connection *http;
    struct bufferevent *tcp;
    struct child *child;
    bool ended, good;
    char why[256];
};

static bool parse_address(const char *text, struct probe_options *options) {
    char host[256];
    struct in_addr v4;
    if (!schema_split_address(text, host, sizeof host, &options->port) || !options->port)
        return false;
    if (!strcmp(host, "localhost"))
        (void)snprintf(host, sizeof host, "127.0.0.1");
    if (inet_pton(AF_INET, host, &v4) != 1 && !text_is_ipv6(host))
        return false;
    options->host = mem_strdup(host);
    return true;
}

static bool parse_http(const char *text, uint16_t port, struct probe_options *options) {
    options->kind = PROBE_HTTP;
    if (!strncmp(text, "//", 2)) {
        size_t len = strcspn(text + 2, "/");
        char *address = mem_strndup(text + 2, len);
        bool good = parse_address(address, options);
        free(address);
        if (!good)
            return false;
        text += 2 + len;
    } else {
        options->host = mem_strdup("127.0.0.1");
        options->port = port;
    }
    options->path = mem_strdup(*text ? text : "/");
    return options->path[0] == '/' && !strpbrk(options->path, " \t\r\n") &&
           text_is_clean(options->path, strlen(options->path));
}

static bool parse(const char *text, uint16_t port, struct probe_options *options) {
    if (!strncmp(text, "http:", 5))
        return parse_http(text + 5, port, options);
    if (!strncmp(text, "exec:", 5)) {
        options->kind = PROBE_EXEC;
        options->command = mem_strdup(text + 5);
        return text[5] != '\0';
    }
    options->kind = PROBE_TCP;
    if (!strncmp(text, "tcp:", 4))
        return parse_address(text + 4, options);
    options->host = mem_strdup("127.0.0.1");
    options->port = port;
    return !strcmp(text, "tcp");
}

bool probe_parse(const char *text, uint16_t port, struct probe_options *options,
                 struct error *error) {
    *options = (struct probe_options){.timeout_ms = 1000};
    if (parse(text, port, options))
        return true;
    probe_options_free(options);
    return error_set(error, "",
                     "expected http:/PATH, http://ADDRESS:PORT/PATH, tcp, "
                     "tcp:ADDRESS:PORT or exec:COMMAND (an ADDRESS is no name), found "
                     "'%s'",
                     text);
}

void probe_options_free(struct probe_options *options) {
    free(options->host);
    free(options->path);
    free(options->command);
    *options = (struct probe_options){0};
}

static void release(struct probe *probe) {
    if (probe->http)
        evhttp_connection_free(probe->http);
    if (probe->tcp)
        bufferevent_free(probe->tcp);
    child_kill(probe->child);
    event_free(probe->timer);
    free(probe);
}

static void end(struct probe *probe, bool good, const char *why) {
    if (probe->ended)
        return;
    probe->ended = true;
    probe->good = good;
    (void)text_printable(why, probe->why, sizeof probe->why);
    event_active(probe->timer, EV_TIMEOUT, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct probe *probe = arg;
    if (!probe->ended)
        (void)snprintf(probe->why, sizeof probe->why, "no answer within %lld ms",
                       (long long)probe->options->timeout_ms);
    probe->done(probe->arg, probe->good, probe->good ? "" : probe->why);
    release(probe);
}

/* HTTP: the headers are enough. */

static int on_headers(struct evhttp_request *request, void *arg) {
    char why[64];
    int status = evhttp_request_get_response_code(request);
    (void)snprintf(why, sizeof why, "status %d", status);
    end(arg, status >= 200 && status < 400, why);
    return 0;
}

static void on_response(struct evhttp_request *request, void *arg) {
    (void)request;
    end(arg, false, "the connection was refused or broke before an answer");
}

static bool start_http(struct probe *probe, struct event_base *base) {
    const struct probe_options *options = probe->options;
    char host[300];
    probe->http = evhttp_connection_base_new(base, NULL, options->host, options->port);
    struct evhttp_request *request = evhttp_request_new(on_response, probe);
    if (!probe->http || !request)
        return false;
    bool v6 = strchr(options->host, ':');
    (void)snprintf(host, sizeof host, "%s%s%s:%u", v6 ? "[" : "", options->host,
                   v6 ? "]" : "", options->port);
    evhttp_request_set_header_cb(request, on_headers);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    (void)evhttp_add_header(headers, "Host", host);
    (void)evhttp_add_header(headers, "User-Agent", "hatlas-announce");
    (void)evhttp_add_header(headers, "Connection", "close");
    return evhttp_make_request(probe->http, request, EVHTTP_REQ_GET, options->path) == 0;
}

/* TCP. */

static void on_connected(struct bufferevent *tcp, short what, void *arg) {
    (void)tcp;
    bool connected = what & BEV_EVENT_CONNECTED;
    end(arg, connected, connected ? "" : strerror(EVUTIL_SOCKET_ERROR()));
}

static bool start_tcp(struct probe *probe, struct event_base *base) {
    struct sockaddr_storage address;
    int len = sizeof address;
    char text[300];
    bool v6 = strchr(probe->options->host, ':');
    (void)snprintf(text, sizeof text, "%s%s%s:%u", v6 ? "[" : "", probe->options->host,
                   v6 ? "]" : "", probe->options->port);
    probe->tcp = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address, &len) < 0)
        return false;
    bufferevent_setcb(probe->tcp, NULL, NULL, on_connected, probe);
    return bufferevent_socket_connect(probe->tcp, (struct sockaddr *)&address, len) == 0;
}

/* A command. */

static void on_exit_of(void *arg, const struct child_end *ended) {
    struct probe *probe = arg;
    probe->child = NULL;
    end(probe, WIFEXITED(ended->status) && !WEXITSTATUS(ended->status), ended->reason);
}

static bool start_exec(struct probe *probe, struct event_base *base) {
    const char *argv[] = {"/bin/sh", "-c", probe->options->command, NULL};
    struct child_options options = {.argv = argv,
                                    .output = CHILD_CAPTURE,
                                    .own_group = true,
                                    .timeout_ms = probe->options->timeout_ms,
                                    .ended = on_exit_of,
                                    .arg = probe};
    struct error error;
    probe->child = child_launch(base, &options, &error);
    if (!probe->child)
        end(probe, false, error.text);
    return true;
}

struct probe *probe_start(struct event_base *base, const struct probe_options *options,
                          probe_done *done, void *arg) {
    struct probe *probe = mem_zalloc(sizeof *probe);
    /* A command is killed by its own time-out, with all that it started, just before. */
    int64_t slack = options->kind == PROBE_EXEC ? 1000 : 0;
    struct timeval wait = clock_timeval((options->timeout_ms + slack) * 1000);
    probe->options = options;
    probe->done = done;
    probe->arg = arg;
    probe->timer = evtimer_new(base, on_timer, probe);
    (void)evtimer_add(probe->timer, &wait);
    bool started = options->kind == PROBE_HTTP  ? start_http(probe, base)
                   : options->kind == PROBE_TCP ? start_tcp(probe, base)
                                                : start_exec(probe, base);
    if (!started)
        end(probe, false, strerror(errno));
    return probe;
}

void probe_cancel(struct probe *probe) {
    if (probe)
        release(probe);
}
