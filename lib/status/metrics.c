/* The status as Prometheus reads it. */
#include "status/metrics.h"
#include "base/clock.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Begins a family: its help and type. */
static void family(struct buffer *out, const char *name, const char *type,
                   const char *help) {
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct buffer *out, const char *name, const char *help, double value) {
    family(out, name, "gauge", help);
    buffer_printf(out, "%s %.17g\n", name, value);
}

static void counter(struct buffer *out, const char *name, const char *help,
                    double value) {
    family(out, name, "counter", help);
    buffer_printf(out, "%s %.17g\n", name, value);
}

/* Label values are escaped as the format wants it. */
static void put_label(struct buffer *out, const char *text) {
    for (; *text; text++) {
        if (*text == '\n')
            buffer_append(out, "\\n", 2);
        else if (*text == '"' || *text == '\\')
            buffer_printf(out, "\\%c", *text);
        else
            buffer_putc(out, *text);
    }
}

static void put_source(struct buffer *out, const char *family_name,
                       const struct status_source *source, uint64_t value) {
    buffer_printf(out, "%s{source=\"", family_name);
    put_label(out, source->name);
    buffer_printf(out, "\"} %" PRIu64 "\n", value);
}

static void put_sources(struct buffer *out, const struct status_view *view) {
    family(out, "hatlas_source_ready", "gauge", "Whether the source is in step.");
    for (size_t i = 0; i < view->source_count; i++)
        put_source(out, "hatlas_source_ready", &view->sources[i],
                   view->sources[i].status.state == SOURCE_READY);
    family(out, "hatlas_source_records", "gauge", "Records read from the source.");
    for (size_t i = 0; i < view->source_count; i++)
        put_source(out, "hatlas_source_records", &view->sources[i],
                   view->sources[i].status.records);
    family(out, "hatlas_source_watches", "gauge", "Watches set on the source.");
    for (size_t i = 0; i < view->source_count; i++)
        put_source(out, "hatlas_source_watches", &view->sources[i],
                   view->sources[i].status.watches);
    family(out, "hatlas_source_full_reads_total", "counter",
           "Times that everything was read from the start.");
    for (size_t i = 0; i < view->source_count; i++)
        put_source(out, "hatlas_source_full_reads_total", &view->sources[i],
                   view->sources[i].status.full_reads);
}

/* `labels` is "" or ends with a comma. */
static void put_histogram(struct buffer *out, const char *name, const char *labels,
                          const struct status_histogram *histogram) {
    uint64_t count = 0;
    for (size_t i = 0; i < STATUS_BUCKETS; i++) {
        count += histogram->buckets[i];
        buffer_printf(out, "%s_bucket{%sle=\"%g\"} %" PRIu64 "\n", name, labels,
                      (double)status_histogram_bound(i) / 1e6, count);
    }
    count += histogram->buckets[STATUS_BUCKETS];
    buffer_printf(out, "%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, count);
    int len = (int)strlen(labels);
    const char *open = len ? "{" : "";
    const char *close = len ? "}" : "";
    len -= len > 0;
    buffer_printf(out, "%s_sum%s%.*s%s %.6f\n", name, open, len, labels, close,
                  (double)histogram->sum / 1e6);
    buffer_printf(out, "%s_count%s%.*s%s %" PRIu64 "\n", name, open, len, labels, close,
                  count);
}

static void put_changes(struct buffer *out, const struct status_totals *totals) {
    family(out, "hatlas_changes_total", "counter",
           "Changes applied, or not, by way and result.");
    for (int way = 0; way < STATUS_WAYS; way++)
        for (int result = 0; result < STATUS_RESULTS; result++)
            buffer_printf(out,
                          "hatlas_changes_total{way=\"%s\",result=\"%s\"} %" PRIu64 "\n",
                          status_way_name((enum status_way)way),
                          status_result_name((enum status_result)result),
                          totals->changes[way][result]);
    family(out, "hatlas_apply_duration_seconds", "histogram",
           "Time from wanting a change to its end.");
    for (int way = 0; way < STATUS_WAYS; way++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "way=\"%s\",",
                       status_way_name((enum status_way)way));
        put_histogram(out, "hatlas_apply_duration_seconds", labels, &totals->apply[way]);
    }
    family(out, "hatlas_render_duration_seconds", "histogram",
           "Time to render all outputs.");
    put_histogram(out, "hatlas_render_duration_seconds", "", &totals->render);
    counter(out, "hatlas_render_errors_total", "Renderings that failed.",
            (double)totals->render_errors);
}

/* Names of services need no escapes (text_is_service_name). */
static void put_services(struct buffer *out, const struct status_view *view,
                         const struct facts_stats *stats) {
    const struct catalog *catalog = view->catalog;
    size_t count = catalog ? catalog->service_count : 0;
    family(out, "hatlas_service_hosts", "gauge", "Hosts of the service in the registry.");
    for (size_t i = 0; i < count; i++)
        buffer_printf(out, "hatlas_service_hosts{service=\"%s\"} %zu\n",
                      catalog->services[i]->name, catalog->services[i]->host_count);
    family(out, "hatlas_service_hosts_up", "gauge",
           "Hosts of the service that HAProxy sends requests to.");
    for (size_t i = 0; i < count; i++) {
        struct facts_tally tally = {0};
        if (facts_service(catalog->services[i], stats, &tally, NULL, NULL))
            buffer_printf(out, "hatlas_service_hosts_up{service=\"%s\"} %zu\n",
                          catalog->services[i]->name, tally.up);
    }
}

static void put_catalog(struct buffer *out, const struct status_view *view,
                        const struct facts_stats *stats) {
    struct facts_tally all;
    const struct catalog *catalog = view->catalog;
    facts_count(&all, view, stats);
    gauge(out, "hatlas_services", "Services served.",
          catalog ? (double)catalog->service_count : 0);
    gauge(out, "hatlas_hosts", "Hosts of all services in the registry.",
          (double)all.hosts);
    gauge(out, "hatlas_hosts_up", "Hosts that HAProxy sends requests to.",
          (double)all.up);
    gauge(out, "hatlas_hosts_differing", "Hosts that HAProxy has otherwise.",
          (double)all.differs);
    gauge(out, "hatlas_services_unserved", "Services with hosts, none of which is up.",
          (double)all.unserved);
    gauge(out, "hatlas_problems", "Records with faults.", (double)view->problems->count);
    gauge(out, "hatlas_catalog_stale", "Whether the catalog served is the cache's.",
          view->stale);
    struct facts_health health;
    facts_health(&health, view, stats, &all, facts_now());
    gauge(out, "hatlas_health", "0 all in step, 1 warning, 2 error.", health.level);
    facts_health_free(&health);
}

static void put_haproxy(struct buffer *out, const struct status_view *view,
                        const struct facts_stats *stats) {
    gauge(out, "hatlas_ready", "Whether a config is in place and HAProxy serves.",
          facts_ready(view, stats));
    gauge(out, "hatlas_in_step", "Whether what is wanted is in place.",
          view->in_place && !view->failure);
    if (!view->has_haproxy)
        return;
    gauge(out, "hatlas_haproxy_running", "Whether HAProxy is known to run.",
          view->haproxy_running || stats->known);
    gauge(out, "hatlas_haproxy_servers_warming",
          "Added servers that wait for their first check.", (double)view->warming);
    gauge(out, "hatlas_haproxy_servers_leaving",
          "Removed servers that wait for their last session.", (double)view->leaving);
}

static size_t open_files(void) {
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;
    while (dir && readdir(dir))
        count++;
    if (dir)
        (void)closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder itself */
}

static double resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*d %ld", &pages) != 1) /* NOLINT(cert-err34-c) */
        pages = 0;
    if (file)
        (void)fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void put_process(struct buffer *out, const struct status_view *view) {
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    family(out, "hatlas_build_info", "gauge", "What runs; always 1.");
    buffer_puts(out, "hatlas_build_info{version=\"" HATLAS_VERSION "\"} 1\n");
    counter(out, "process_cpu_seconds_total", "User and system CPU time.",
            (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    gauge(out, "process_resident_memory_bytes", "Resident memory.", resident());
    gauge(out, "process_open_fds", "Open file descriptors.", (double)open_files());
    gauge(out, "process_start_time_seconds", "Start of the process since 1970.",
          (double)view->started / 1000.0);
}

void metrics_write(struct buffer *out, const struct status_view *view,
                   const struct facts_stats *stats) {
    put_catalog(out, view, stats);
    put_sources(out, view);
    put_haproxy(out, view, stats);
    put_changes(out, view->totals);
    put_services(out, view, stats);
    put_process(out, view);
}
