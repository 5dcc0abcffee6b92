/* Requests to the status page: any bytes on a connection get an answer of a known kind, or
 * none, and the next client is served. */
#include "catalog/text.h"
#include "fuzz.h"
#include "socket.h"
#include "status/status.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char cluster[] = "services: {teams: {hosts: [{host: h, port: 80}]}}";

/* All that is shown, made once. */
static void show(void *arg, struct status_view *view) {
    static const struct catalog *catalog;
    static const struct status_totals totals;
    static const struct problems none;
    struct problems problems = {0};
    if (!catalog)
        catalog = catalog_read(cluster, sizeof cluster - 1, "c", NULL, &problems);
    view->settings = arg;
    view->catalog = catalog;
    view->problems = &none;
    view->totals = &totals;
    view->in_place = true;
}

static struct settings *make_settings(void) {
    char text[300];
    struct problems problems = {0};
    int len = snprintf(text, sizeof text,
                       "node: {name: n}\noutputs: [{template: hosts, path: "
                       "/nowhere/hosts}]\nstatus: {listen: %s}\n",
                       socket_path());
    struct settings *settings =
        settings_parse(text, (size_t)len, "t.yaml", NULL, &problems);
    fuzz_require(settings, "the test's settings are bad: %s",
                 problems.count ? problems.items[0].text : "");
    return settings;
}

static struct event_base *get_status(void) {
    static struct event_base *base;
    static struct status *status;
    static struct settings *settings;
    static const struct log log = {.fd = -1};
    if (!base) {
        base = event_base_new();
        settings = make_settings();
        status =
            status_open(&(struct status_options){base, &log, settings, show, settings});
    }
    fuzz_require(status, "no status");
    return base;
}

/* Sends the bytes and reads what comes until the other side ends, or has nothing more to
 * say to who says nothing more. */
static void talk(struct event_base *base, const void *bytes, size_t len, char *out,
                 size_t size) {
    int fd = socket_connect();
    size_t used = 0;
    ssize_t got = 0;
    socket_send(fd, bytes, len);
    (void)shutdown(fd, SHUT_WR);
    for (int idle = 0; idle < 3; idle++) {
        socket_turn(base);
        while (used + 1 < size && (got = recv(fd, out + used, size - 1 - used, 0)) > 0) {
            used += (size_t)got;
            idle = 0;
        }
        if (!got)
            break;
    }
    out[used] = '\0';
    (void)close(fd);
    socket_turn(base);
}

static void check_answer(const char *text) {
    static const char known[] = " 200 400 403 404 405 408 413 414 417 501 503 ";
    char code[6] = "";
    const char *blank = strncmp(text, "HTTP/", 5) ? NULL : strchr(text, ' ');
    if (blank)
        (void)snprintf(code, sizeof code, "%s", blank);
    fuzz_require(!*text || (strlen(code) == 5 && strstr(known, code)), "answer: %.200s",
                 text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char good[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    static char out[1 << 18];
    struct event_base *base = get_status();
    talk(base, data, size, out, sizeof out);
    check_answer(out);
    talk(base, good, sizeof good - 1, out, sizeof out);
    fuzz_require(strstr(out, "200 OK") && strstr(out, "\r\n\r\nalive\n"),
                 "the next client gets: %.200s", out);
    return 0;
}
