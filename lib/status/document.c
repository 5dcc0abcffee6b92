/* The parts of the status as JSON. */
#include "status/document.h"

#include <inttypes.h>
#include <string.h>

enum { PROBLEMS_MAX = 500, EVERYBODY = 0004 };

static void write_health(struct writer *writer, const struct status_view *view,
                         const struct facts_stats *stats) {
    struct facts_tally all;
    struct facts_health health;
    facts_count(&all, view, stats);
    facts_health(&health, view, stats, &all, facts_now());
    writer_text(writer, "health", facts_level_name(health.level));
    writer_text(writer, "summary", buffer_str(&health.summary));
    writer_open(writer, "reasons", '[');
    for (size_t i = 0; i < health.reasons.count; i++) {
        writer_open(writer, NULL, '{');
        writer_text(writer, "level", health.reasons.items[i].where);
        writer_text(writer, "text", health.reasons.items[i].text);
        writer_close(writer, '}');
    }
    writer_close(writer, ']');
    writer_bool(writer, "ready", facts_ready(view, stats));
    facts_health_free(&health);
}

static void write_catalog(struct writer *writer, const struct status_view *view) {
    if (!view->catalog) {
        writer_null(writer, "catalog");
        return;
    }
    writer_open(writer, "catalog", '{');
    writer_int(writer, "services", (int64_t)view->catalog->service_count);
    writer_int(writer, "hosts", (int64_t)catalog_host_count(view->catalog));
    writer_bool(writer, "stale", view->stale);
    writer_close(writer, '}');
}

static void write_sources(struct writer *writer, const struct status_view *view) {
    static const char *const states[] = {
        [SOURCE_CONNECTING] = "connecting",
        [SOURCE_SYNCING] = "syncing",
        [SOURCE_READY] = "ready",
        [SOURCE_LOST] = "lost",
    };
    writer_open(writer, "sources", '[');
    for (size_t i = 0; i < view->source_count; i++) {
        const struct status_source *source = &view->sources[i];
        writer_open(writer, NULL, '{');
        writer_text(writer, "name", source->name);
        writer_text(writer, "state", states[source->status.state]);
        writer_text(writer, "text", source->status.text);
        writer_milli(writer, "since", source->since);
        writer_int(writer, "records", (int64_t)source->status.records);
        writer_int(writer, "watches", (int64_t)source->status.watches);
        writer_int(writer, "full_reads", (int64_t)source->status.full_reads);
        writer_close(writer, '}');
    }
    writer_close(writer, ']');
}

static void write_haproxy(struct writer *writer, const struct status_view *view,
                          const struct facts_stats *stats) {
    static const char *const controls[] = {
        [CONTROL_SUPERVISE] = "supervise",
        [CONTROL_MASTER_SOCKET] = "master-socket",
        [CONTROL_SYSTEMD] = "systemd",
        [CONTROL_COMMAND] = "command",
    };
    if (!view->has_haproxy) {
        writer_null(writer, "haproxy");
        return;
    }
    writer_open(writer, "haproxy", '{');
    writer_text(writer, "control", controls[view->settings->haproxy.control]);
    writer_bool(writer, "running", view->haproxy_running || stats->known);
    writer_int(writer, "pid", view->haproxy_pid);
    writer_bool(writer, "answers", stats->known);
    writer_text(writer, "error", stats->known ? NULL : stats->error.text);
    writer_int(writer, "warming", (int64_t)view->warming);
    writer_int(writer, "leaving", (int64_t)view->leaving);
    writer_close(writer, '}');
}

bool document_is_public(const struct output_settings *output) {
    return output->mode & EVERYBODY;
}

static void write_outputs(struct writer *writer, const struct status_view *view) {
    writer_open(writer, "outputs", '[');
    for (size_t i = 0; i < view->output_count; i++) {
        const struct status_output *output = &view->outputs[i];
        writer_open(writer, NULL, '{');
        writer_text(writer, "template", output->settings->template);
        writer_text(writer, "path", output->settings->path);
        writer_bool(writer, "exists", output->text);
        writer_int(writer, "bytes", (int64_t)output->len);
        writer_bool(writer, "shown", document_is_public(output->settings));
        writer_close(writer, '}');
    }
    writer_close(writer, ']');
}

void document_head(struct writer *writer, const struct status_view *view,
                   const struct facts_stats *stats) {
    writer_text(writer, "version", HATLAS_VERSION);
    write_health(writer, view, stats);
    writer_text(writer, "realm", view->settings->realm);
    writer_text(writer, "node", view->settings->node_name);
    writer_text(writer, "zone", view->settings->node_zone);
    writer_milli(writer, "started", view->started);
    write_catalog(writer, view);
    write_sources(writer, view);
    write_haproxy(writer, view, stats);
    write_outputs(writer, view);
    writer_int(writer, "problem_count", (int64_t)view->problems->count);
}

void document_problems(struct writer *writer, const struct status_view *view) {
    size_t count = view->problems->count;
    writer_open(writer, "problems", '[');
    for (size_t i = 0; i < count && i < PROBLEMS_MAX; i++) {
        writer_open(writer, NULL, '{');
        writer_text(writer, "where", view->problems->items[i].where);
        writer_text(writer, "text", view->problems->items[i].text);
        writer_close(writer, '}');
    }
    writer_close(writer, ']');
}

static void write_change(struct writer *writer, const struct status_change *change) {
    writer_open(writer, NULL, '{');
    writer_int(writer, "id", (int64_t)change->id);
    writer_milli(writer, "at", change->at);
    writer_text(writer, "what", change->what);
    writer_text(writer, "who", change->who);
    writer_int(writer, "count", (int64_t)change->count);
    writer_text(writer, "way", status_way_name(change->way));
    writer_text(writer, "result", status_result_name(change->result));
    writer_text(writer, "reason", change->reason);
    writer_text(writer, "error", change->error);
    writer_int(writer, "steps", (int64_t)change->steps);
    writer_int(writer, "tries", (int64_t)change->tries);
    writer_milli(writer, "ms", change->usec);
    writer_bool(writer, "diff", change->diff);
    writer_close(writer, '}');
}

void document_changes(struct writer *writer, const struct status_view *view,
                      uint64_t after) {
    writer_open(writer, "changes", '[');
    for (size_t i = 0; i < view->change_count; i++)
        if (view->changes[i]->id > after)
            write_change(writer, view->changes[i]);
    writer_close(writer, ']');
}

static void write_server(struct writer *writer, const struct stats_server *server) {
    writer_text(writer, "haproxy", server ? stats_state_name(server->state) : NULL);
    if (!server)
        return;
    writer_text(writer, "check", server->check);
    writer_int(writer, "sessions", server->sessions);
    writer_int(writer, "rate", server->rate);
    writer_int(writer, "errors", server->errors);
    writer_int(writer, "latency", server->latency);
}

static void write_host(void *arg, const struct facts_host *found) {
    struct writer *writer = arg;
    const struct host *host = found->host;
    writer_open(writer, NULL, '{');
    writer_text(writer, "id", host ? host->id : found->server->server);
    writer_text(writer, "registry", host ? facts_registry_state(host) : NULL);
    if (host) {
        writer_text(writer, "host", host->host);
        writer_int(writer, "port", host->port);
        writer_int(writer, "weight", host->weight);
        writer_text(writer, "zone", host->zone);
    }
    write_server(writer, found->server);
    writer_text(writer, "differs", found->differs);
    writer_close(writer, '}');
}

void document_service(struct writer *writer, const struct service *service,
                      const struct facts_stats *stats) {
    struct facts_tally tally = {0};
    writer_open(writer, NULL, '{');
    writer_text(writer, "name", service->name);
    writer_open(writer, "hosts", '[');
    bool known = facts_service(service, stats, &tally, write_host, writer);
    writer_close(writer, ']');
    writer_bool(writer, "known", known);
    writer_int(writer, "up", (int64_t)tally.up);
    writer_int(writer, "down", (int64_t)tally.down);
    writer_int(writer, "differs", (int64_t)tally.differs);
    writer_int(writer, "sessions", tally.sessions);
    writer_int(writer, "rate", tally.rate);
    writer_int(writer, "errors", tally.errors);
    writer_int(writer, "latency", tally.up ? tally.latency / (int64_t)tally.up : 0);
    writer_close(writer, '}');
}

void document_write(struct buffer *out, const struct status_view *view,
                    const struct facts_stats *stats) {
    struct writer writer = {.out = out};
    writer_open(&writer, NULL, '{');
    document_head(&writer, view, stats);
    writer_milli(&writer, "now", facts_now());
    writer_milli(&writer, "haproxy_asked", stats->at);
    document_problems(&writer, view);
    document_changes(&writer, view, 0);
    writer_open(&writer, "services", '[');
    for (size_t i = 0; view->catalog && i < view->catalog->service_count; i++)
        document_service(&writer, view->catalog->services[i], stats);
    writer_close(&writer, ']');
    writer_close(&writer, '}');
    buffer_putc(out, '\n');
}

void document_config(struct buffer *out, const struct status_view *view) {
    for (size_t i = 0; i < view->output_count; i++) {
        const struct status_output *output = &view->outputs[i];
        buffer_printf(out, "%s# ==> %s <==\n", i ? "\n" : "", output->settings->path);
        if (!document_is_public(output->settings))
            buffer_puts(out, "# not shown: its mode keeps it from others\n");
        else if (!output->text)
            buffer_puts(out, "# not there yet\n");
        else
            buffer_append(out, output->text, output->len);
    }
}
