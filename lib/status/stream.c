/* Those who watch, as server-sent events (HTML standard, 9.2 "Server-sent events"). */
#include "status/stream.h"
#include "base/clock.h"
#include "base/mem.h"
#include "status/board.h"
#include "status/door.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { BEAT = 15000000, WRITE_TIMEOUT_S = 30 };

struct stream {
    LIST_ENTRY(stream) link;
    struct streams *all;
    struct evhttp_request *request;
    struct board_mark mark;
};

struct streams {
    LIST_HEAD(, stream) list;
    size_t count;
    struct board *board; /* NULL while nobody watches */
    struct event *beat;
};

static struct bufferevent *connection_of(const struct stream *stream) {
    return evhttp_connection_get_bufferevent(
        evhttp_request_get_connection(stream->request));
}

static bool is_behind(const struct stream *stream) {
    return evbuffer_get_length(bufferevent_get_output(connection_of(stream))) > 0;
}

static void send_text(struct stream *stream, const struct buffer *text) {
    struct evbuffer *chunk = evbuffer_new();
    if (!chunk)
        return;
    (void)evbuffer_add(chunk, text->data, text->len);
    evhttp_send_reply_chunk(stream->request, chunk);
    evbuffer_free(chunk);
}

static void on_beat(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct streams *streams = arg;
    struct buffer text = BUFFER_INIT;
    struct stream *stream;
    buffer_puts(&text, ": still here\n\n");
    LIST_FOREACH(stream, &streams->list, link) {
        if (!is_behind(stream))
            send_text(stream, &text);
    }
    buffer_free(&text);
}

struct streams *streams_new(struct event_base *base) {
    struct streams *streams = mem_zalloc(sizeof *streams);
    LIST_INIT(&streams->list);
    streams->beat = event_new(base, -1, EV_PERSIST, on_beat, streams);
    return streams;
}

static void drop(struct stream *stream) {
    struct streams *streams = stream->all;
    LIST_REMOVE(stream, link);
    free(stream);
    if (--streams->count)
        return;
    board_free(streams->board);
    streams->board = NULL;
    (void)event_del(streams->beat);
}

void streams_free(struct streams *streams) {
    if (!streams)
        return;
    struct stream *next;
    for (struct stream *stream = LIST_FIRST(&streams->list); stream; stream = next) {
        next = LIST_NEXT(stream, link);
        struct evhttp_connection *connection =
            evhttp_request_get_connection(stream->request);
        drop(stream);
        evhttp_connection_set_closecb(connection, NULL, NULL);
        evhttp_connection_free(connection); /* the request with it */
    }
    event_free(streams->beat);
    free(streams);
}

/* The peer is gone. A request that evhttp has let go of is ours to free. */
static void on_closed(struct evhttp_connection *connection, void *arg) {
    (void)connection;
    struct stream *stream = arg;
    struct evhttp_request *request = stream->request;
    drop(stream);
    if (!evhttp_request_get_connection(request))
        evhttp_request_free(request);
}

bool streams_add(struct streams *streams, struct evhttp_request *request,
                 struct door *door) {
    struct timeval patience = {WRITE_TIMEOUT_S, 0};
    struct timeval beat = clock_timeval(BEAT);
    if (streams->count >= STREAMS_MAX)
        return false;
    struct stream *stream = mem_zalloc(sizeof *stream);
    stream->all = streams;
    stream->request = request;
    LIST_INSERT_HEAD(&streams->list, stream, link);
    if (!streams->count++) {
        streams->board = board_new();
        (void)event_add(streams->beat, &beat);
    }
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_closed,
                                  stream);
    door_let_stay(door, connection_of(stream));
    evhttp_send_reply_start(request, HTTP_OK, "OK");
    /* Nothing is expected to be read any more, but for the end. */
    (void)bufferevent_set_timeouts(connection_of(stream), NULL, &patience);
    return true;
}

size_t streams_count(const struct streams *streams) {
    return streams->count;
}

void streams_tell(struct streams *streams, const struct status_view *view,
                  const struct facts_stats *stats) {
    struct buffer text = BUFFER_INIT;
    struct stream *stream;
    if (!streams->count)
        return;
    board_update(streams->board, view, stats);
    LIST_FOREACH(stream, &streams->list, link) {
        if (is_behind(stream))
            continue;
        buffer_clear(&text);
        buffer_puts(&text, "data: ");
        size_t before = text.len;
        board_tell(streams->board, view, stats, &stream->mark, &text);
        if (text.len == before)
            continue;
        buffer_puts(&text, "\n\n");
        send_text(stream, &text);
    }
    buffer_free(&text);
}
