/* What was shown last. Every part has a digest, and the version at which it last differed:
 * a watcher is sent the parts whose version is above its own. */
#include "status/board.h"
#include "base/mem.h"
#include "status/document.h"

#include <stdlib.h>
#include <string.h>

enum { GONE_MAX = 1000 };

struct part {
    uint64_t digest;
    uint64_t version;
};

struct row {
    char *name;
    struct part part;
    bool gone; /* kept to tell that it is */
};

struct board {
    uint64_t version;
    uint64_t forgotten; /* up to this version it is not known what went */
    struct part head, problems;
    struct row *rows; /* sorted by name */
    size_t count;
    struct buffer scratch;
};

struct board *board_new(void) {
    return mem_zalloc(sizeof(struct board));
}

void board_free(struct board *board) {
    if (!board)
        return;
    for (size_t i = 0; i < board->count; i++)
        free(board->rows[i].name);
    free(board->rows);
    buffer_free(&board->scratch);
    free(board);
}

/* FNV-1a, eight bytes at a time: digests only meet digests of their own making. */
static uint64_t digest_of(const struct buffer *text) {
    uint64_t digest = 14695981039346656037U;
    size_t at = 0;
    for (uint64_t word; at + sizeof word <= text->len; at += sizeof word) {
        memcpy(&word, text->data + at, sizeof word);
        digest = (digest ^ word) * 1099511628211U;
        digest ^= digest >> 29;
    }
    for (; at < text->len; at++)
        digest = (digest ^ (uint8_t)text->data[at]) * 1099511628211U;
    return digest;
}

static void note(struct board *board, struct part *part) {
    uint64_t digest = digest_of(&board->scratch);
    if (!part->version || part->digest != digest)
        part->version = board->version;
    part->digest = digest;
}

static struct writer clean_writer(struct board *board) {
    buffer_clear(&board->scratch);
    return (struct writer){.out = &board->scratch};
}

static void note_service(struct board *board, struct row *row,
                         const struct service *service, const struct facts_stats *stats) {
    struct writer writer = clean_writer(board);
    document_service(&writer, service, stats);
    note(board, &row->part);
}

static void note_gone(struct board *board, struct row *row) {
    if (!row->gone)
        row->part.version = board->version;
    row->gone = true;
}

/* Merges the catalog's services, which are sorted too, into the rows. */
static void note_services(struct board *board, const struct catalog *catalog,
                          const struct facts_stats *stats) {
    size_t services = catalog ? catalog->service_count : 0;
    struct row *rows = mem_zalloc((board->count + services + 1) * sizeof *rows);
    size_t count = 0;
    size_t old = 0;
    size_t new = 0;
    while (old < board->count || new < services) {
        struct row *row = &rows[count++];
        const char *name = new < services ? catalog->services[new]->name : NULL;
        int order = !name                 ? -1
                    : old == board->count ? 1
                                          : strcmp(board->rows[old].name, name);
        if (order <= 0)
            *row = board->rows[old++];
        else
            row->name = mem_strdup(name);
        if (order < 0) {
            note_gone(board, row);
            continue;
        }
        if (row->gone)
            *row = (struct row){.name = row->name};
        note_service(board, row, catalog->services[new ++], stats);
    }
    free(board->rows);
    board->rows = rows;
    board->count = count;
}

static void forget_gone(struct board *board) {
    size_t kept = 0;
    size_t gone = 0;
    for (size_t i = 0; i < board->count; i++)
        gone += board->rows[i].gone;
    if (gone <= GONE_MAX)
        return;
    for (size_t i = 0; i < board->count; i++) {
        if (board->rows[i].gone)
            free(board->rows[i].name);
        else
            board->rows[kept++] = board->rows[i];
    }
    board->count = kept;
    board->forgotten = board->version;
}

void board_update(struct board *board, const struct status_view *view,
                  const struct facts_stats *stats) {
    board->version++;
    struct writer writer = clean_writer(board);
    document_head(&writer, view, stats);
    note(board, &board->head);
    writer = clean_writer(board);
    document_problems(&writer, view);
    note(board, &board->problems);
    note_services(board, view->catalog, stats);
    forget_gone(board);
}

static void tell_services(const struct board *board, const struct status_view *view,
                          const struct facts_stats *stats, uint64_t since,
                          struct writer *writer) {
    writer_open(writer, "services", '[');
    for (size_t i = 0; i < board->count; i++) {
        const struct row *row = &board->rows[i];
        const struct service *service = row->part.version > since && !row->gone
                                            ? catalog_find(view->catalog, row->name)
                                            : NULL;
        if (service)
            document_service(writer, service, stats);
    }
    writer_close(writer, ']');
    writer_open(writer, "removed", '[');
    for (size_t i = 0; i < board->count; i++)
        if (board->rows[i].gone && board->rows[i].part.version > since)
            writer_text(writer, NULL, board->rows[i].name);
    writer_close(writer, ']');
}

static bool is_news(const struct board *board, uint64_t since) {
    if (board->head.version > since || board->problems.version > since)
        return true;
    for (size_t i = 0; i < board->count; i++)
        if (board->rows[i].part.version > since)
            return true;
    return false;
}

void board_tell(const struct board *board, const struct status_view *view,
                const struct facts_stats *stats, struct board_mark *mark,
                struct buffer *out) {
    struct writer writer = {.out = out};
    uint64_t newest = view->change_count ? view->changes[view->change_count - 1]->id : 0;
    bool reset = !mark->version || mark->version < board->forgotten;
    uint64_t since = reset ? 0 : mark->version;
    if (!reset && newest <= mark->change && !is_news(board, since))
        return;
    writer_open(&writer, NULL, '{');
    writer_bool(&writer, "reset", reset);
    if (board->head.version > since) {
        writer_open(&writer, "head", '{');
        document_head(&writer, view, stats);
        writer_close(&writer, '}');
    }
    if (board->problems.version > since)
        document_problems(&writer, view);
    document_changes(&writer, view, reset ? 0 : mark->change);
    tell_services(board, view, stats, since, &writer);
    writer_close(&writer, '}');
    *mark = (struct board_mark){board->version, newest};
}
