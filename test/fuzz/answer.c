/* What HAProxy answers on its sockets and says on standard error, read by each of the
 * pure functions that read such texts. */
#include "haproxy/answer.h"
#include "base/mem.h"
#include "fuzz.h"
#include "haproxy/master.h"
#include "haproxy/message.h"
#include "haproxy/stats.h"
#include "haproxy/verify.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

static const char config[] = "backend teams\n"
                             "    server a:80 10.0.0.1:80 weight 1\n"
                             "    server b:80 10.0.0.2:80 weight 5 disabled\n";
static const char old_config[] = "backend teams\n"
                                 "    server a:80 10.0.0.1:80 weight 1\n"
                                 "    server b:80 10.0.0.2:80 weight 5\n";

static void check_server(void *arg, const struct answer_server *server) {
    size_t *count = arg;
    (*count)++;
    fuzz_require(server->backend && server->server && server->address,
                 "a server without a name or an address");
}

static void check_answers(const char *text) {
    long version = -1;
    pid_t pid = 0;
    char name[16] = "";
    size_t count = 0;
    for (int kind = ANSWER_NOTHING; kind <= ANSWER_DELETED; kind++) {
        enum answer_verdict verdict = answer_judge((enum answer_kind)kind, text);
        fuzz_require(verdict == ANSWER_DONE || verdict == ANSWER_BUSY ||
                         verdict == ANSWER_UNKNOWN,
                     "verdict %d", (int)verdict);
    }
    if (answer_map_version(text, &version))
        fuzz_require(version >= 0, "version %ld", version);
    if (answer_info(text, &pid, name, sizeof name))
        fuzz_require(pid > 0 && strlen(name) < sizeof name, "process %d", (int)pid);
    (void)answer_offers(text, "add server");
    (void)answer_servers(text, check_server, &count);
}

static void check_master(const char *text) {
    struct master_state state;
    bool success;
    const char *log = NULL;
    if (master_parse_proc(text, &state))
        fuzz_require(state.master > 0 && state.old >= 0, "master %d", (int)state.master);
    if (master_parse_reload(text, &success, &log))
        fuzz_require(log == text + strlen(text) || !*log || strstr(text, log),
                     "a log that is not of the answer");
}

static void check_message(const char *text) {
    struct error error = {0};
    fuzz_require(!message_error(text, "haproxy", "nothing said", &error), "no error");
    fuzz_require_error(&error);
    (void)message_level(text, LOG_INFO);
    (void)message_is_alert(text, false);
    const char *inner = message_text(text);
    fuzz_require(inner >= text && inner <= text + strlen(text), "text elsewhere");
}

static void check_stats(const char *text) {
    struct stats_table table = {0};
    struct error error = {0};
    if (!stats_parse(text, &table, &error)) {
        fuzz_require(!table.count, "servers in spite of an error");
        fuzz_require_error(&error);
    }
    for (size_t i = 0; i < table.count; i++) {
        const struct stats_server *server = &table.servers[i];
        const struct stats_server *first = NULL;
        fuzz_require(stats_find(&table, server->backend, server->server),
                     "a server can't be found");
        fuzz_require(stats_backend(&table, server->backend, &first) > 0,
                     "a backend can't be found");
        fuzz_require(stats_state_name(server->state), "a state without a name");
    }
    stats_table_free(&table);
}

static const struct plan *get_plan(void) {
    static struct plan *plan;
    struct plan_side old = {.config = old_config};
    struct plan_side new = {.config = config};
    if (!plan)
        plan = plan_new(&old, &new, &(struct plan_abilities){true, true});
    fuzz_require(plan->kind == PLAN_RUNTIME && plan->count == 1,
                 "the test's plan is bad");
    return plan;
}

/* What has to be there is two servers, one of them in maintenance: an answer that lacks
 * one of their names is never taken for right. */
static void check_verify(const char *text) {
    static struct event_base *base;
    static struct resolver *resolver;
    static struct background *background;
    static const struct log log = {.fd = -1};
    static const struct haproxy_settings settings = {.stop_timeout = 1000};
    if (!base) {
        base = event_base_new();
        resolver = resolver_new(base);
        background = background_new(base, &log, &settings);
    }
    struct error error = {0};
    struct verify *verify = verify_new(get_plan(), config, background);
    const char *backend = verify_next(verify);
    fuzz_require(backend && !strcmp(backend, "teams"), "no backend to verify");
    if (verify_backend(verify, text, resolver, background, &error))
        fuzz_require(strstr(text, "a:80") && strstr(text, "10.0.0.2"),
                     "an answer without the servers is right");
    else
        fuzz_require_error(&error);
    verify_free(verify);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    check_answers(text);
    check_master(text);
    check_message(text);
    check_stats(text);
    check_verify(text);
    free(text);
    return 0;
}
