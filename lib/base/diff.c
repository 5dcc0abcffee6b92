/* What differs between two texts: E. W. Myers, "An O(ND) Difference Algorithm and Its
 * Variations" (1986), within bounds, on the part that the texts do not share. */
#include "base/diff.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    CONTEXT = 3,
    BLOCK = 4096,
    DIFFERENCES_MAX = 400, /* lines that went or came */
    WORK_MAX = 8000000,    /* comparisons of lines at worst */
};

struct line {
    const char *text;
    size_t len; /* without its newline */
    bool differs;
};

struct side {
    struct line *lines;
    size_t count;
    size_t first; /* the number of its first line, from 0 */
};

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* How many bytes of whole lines both begin with. */
static size_t common_head(const struct diff_text *a, const struct diff_text *b) {
    size_t limit = smaller(a->len, b->len);
    size_t same = 0;
    while (same + BLOCK <= limit && !memcmp(a->text + same, b->text + same, BLOCK))
        same += BLOCK;
    while (same < limit && a->text[same] == b->text[same])
        same++;
    while (same && a->text[same - 1] != '\n')
        same--;
    return same;
}

/* How many bytes of whole lines both end with, behind their first `head` bytes. */
static size_t common_tail(const struct diff_text *a, const struct diff_text *b,
                          size_t head) {
    size_t limit = smaller(a->len, b->len) - head;
    const char *a_end = a->text + a->len;
    const char *b_end = b->text + b->len;
    size_t same = 0;
    while (same + BLOCK <= limit &&
           !memcmp(a_end - same - BLOCK, b_end - same - BLOCK, BLOCK))
        same += BLOCK;
    while (same < limit && *(a_end - same - 1) == *(b_end - same - 1))
        same++;
    const char *newline = same ? memchr(a_end - same, '\n', same) : NULL;
    return newline ? (size_t)(a_end - newline - 1) : 0;
}

/* Widens a cut by some lines, for context. */
static size_t lines_before(const char *text, size_t at, size_t lines) {
    while (at && lines--) {
        at--;
        while (at && text[at - 1] != '\n')
            at--;
    }
    return at;
}

static size_t lines_after(const struct diff_text *text, size_t at, size_t lines) {
    while (at < text->len && lines--) {
        const char *end = memchr(text->text + at, '\n', text->len - at);
        at = end ? (size_t)(end - text->text) + 1 : text->len;
    }
    return at;
}

static size_t count_lines(const char *text, size_t len) {
    size_t count = 0;
    for (const char *end = text + len; text < end; count++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        text = newline ? newline + 1 : end;
    }
    return count;
}

static struct side cut(const struct diff_text *text, size_t from, size_t to) {
    struct side side = {.first = from ? count_lines(text->text, from) : 0};
    size_t count = to > from ? count_lines(text->text + from, to - from) : 0;
    side.lines = mem_zalloc((count + 1) * sizeof *side.lines);
    while (from < to) {
        const char *start = text->text + from;
        const char *newline = memchr(start, '\n', to - from);
        size_t len = newline ? (size_t)(newline - start) : to - from;
        side.lines[side.count++] = (struct line){start, len, false};
        from += len + 1;
    }
    return side;
}

static bool same_line(const struct line *a, const struct line *b) {
    return a->len == b->len && (!a->len || !memcmp(a->text, b->text, a->len));
}

/* The furthest reaching paths of each number of differences: row d has 2d + 1 diagonals.
 */
struct search {
    const struct side *a, *b;
    long *rows[DIFFERENCES_MAX + 1];
    long limit;
};

/* How far along `a` the diagonal k = x - y is reached with d differences. */
static long *reach(const struct search *search, long d, long k) {
    return &search->rows[d][k + d];
}

/* Whether the best step to the diagonal comes from the one above: a line of b added. */
static bool comes_from_above(const struct search *search, long d, long k) {
    return k == -d ||
           (k != d && *reach(search, d - 1, k - 1) < *reach(search, d - 1, k + 1));
}

static long slide(const struct search *search, long x, long k) {
    long n = (long)search->a->count;
    long m = (long)search->b->count;
    while (x < n && x - k < m &&
           same_line(&search->a->lines[x], &search->b->lines[x - k]))
        x++;
    return x;
}

/* Makes the next row. Returns whether it reaches both ends. */
static bool advance(struct search *search, long d) {
    long n = (long)search->a->count;
    long m = (long)search->b->count;
    search->rows[d] = mem_zalloc(((size_t)d * 2 + 1) * sizeof **search->rows);
    for (long k = -d; k <= d; k += 2) {
        long x = 0;
        if (d)
            x = comes_from_above(search, d, k) ? *reach(search, d - 1, k + 1)
                                               : *reach(search, d - 1, k - 1) + 1;
        x = slide(search, x, k);
        *reach(search, d, k) = x;
        if (x >= n && x - k >= m)
            return true;
    }
    return false;
}

static void mark_path(const struct search *search, long d) {
    long k = (long)search->a->count - (long)search->b->count;
    for (; d > 0; d--) {
        bool above = comes_from_above(search, d, k);
        long before = above ? k + 1 : k - 1;
        long x = *reach(search, d - 1, before);
        if (above)
            search->b->lines[x - before].differs = true;
        else
            search->a->lines[x].differs = true;
        k = before;
    }
}

/* Marks the lines that differ. False if that would take too long. */
static bool compare(const struct side *a, const struct side *b) {
    struct search search = {.a = a, .b = b};
    size_t work = WORK_MAX / (a->count + b->count + 1);
    long limit = work < DIFFERENCES_MAX ? (long)work : DIFFERENCES_MAX;
    long d = 0;
    bool found = false;
    for (; d <= limit && !found; d++)
        found = advance(&search, d);
    if (found)
        mark_path(&search, d - 1);
    while (d-- > 0)
        free(search.rows[d]);
    return found;
}

static void put(struct buffer *out, char mark, const struct line *line) {
    buffer_putc(out, mark);
    buffer_append(out, line->text, line->len);
    buffer_putc(out, '\n');
}

/* Where two lists of lines are walked side by side. */
struct walk {
    const struct side *a, *b;
    size_t x, y;
};

static bool at_difference(const struct walk *walk) {
    return (walk->x < walk->a->count && walk->a->lines[walk->x].differs) ||
           (walk->y < walk->b->count && walk->b->lines[walk->y].differs);
}

static void skip_differences(struct walk *walk) {
    while (walk->x < walk->a->count && walk->a->lines[walk->x].differs)
        walk->x++;
    while (walk->y < walk->b->count && walk->b->lines[walk->y].differs)
        walk->y++;
}

/* How many lines are the same from here on, at most `max`. */
static size_t same_ahead(const struct walk *walk, size_t max) {
    size_t same = 0;
    while (same < max && walk->x + same < walk->a->count &&
           walk->y + same < walk->b->count && !walk->a->lines[walk->x + same].differs &&
           !walk->b->lines[walk->y + same].differs)
        same++;
    return same;
}

/* The end of the hunk that begins at a difference: so many lines that are the same, or
 * the end of both. */
static struct walk end_of_hunk(struct walk walk) {
    for (;;) {
        skip_differences(&walk);
        size_t same = same_ahead(&walk, (size_t)2 * CONTEXT + 1);
        size_t step = smaller(same, CONTEXT);
        struct walk next = {walk.a, walk.b, walk.x + same, walk.y + same};
        if (same > (size_t)2 * CONTEXT || !at_difference(&next)) {
            walk.x += step;
            walk.y += step;
            return walk;
        }
        walk = next;
    }
}

static void put_range(struct buffer *out, char mark, const struct side *side, size_t from,
                      size_t to) {
    size_t first = side->first + from + (to > from);
    buffer_printf(out, "%c%zu,%zu ", mark, first, to - from);
}

static void put_hunk(struct buffer *out, struct walk from, const struct walk *to) {
    buffer_puts(out, "@@ ");
    put_range(out, '-', from.a, from.x, to->x);
    put_range(out, '+', from.b, from.y, to->y);
    buffer_puts(out, "@@\n");
    while (from.x < to->x || from.y < to->y) {
        if (from.x < to->x && from.a->lines[from.x].differs) {
            put(out, '-', &from.a->lines[from.x++]);
        } else if (from.y < to->y && from.b->lines[from.y].differs) {
            put(out, '+', &from.b->lines[from.y++]);
        } else {
            put(out, ' ', &from.a->lines[from.x++]);
            from.y++;
        }
    }
}

static void put_hunks(struct buffer *out, const struct side *a, const struct side *b) {
    struct walk walk = {.a = a, .b = b};
    while (walk.x < a->count || walk.y < b->count) {
        if (!at_difference(&walk)) {
            walk.x++;
            walk.y++;
            continue;
        }
        struct walk from = walk;
        size_t back = smaller(CONTEXT, smaller(walk.x, walk.y));
        while (back && from.x && from.y && !a->lines[from.x - 1].differs &&
               !b->lines[from.y - 1].differs && back--) {
            from.x--;
            from.y--;
        }
        walk = end_of_hunk(walk);
        put_hunk(out, from, &walk);
    }
}

bool diff_unified(const char *name, const struct diff_text *old,
                  const struct diff_text *new, size_t max, struct buffer *out) {
    if (old->len == new->len && (!old->len || !memcmp(old->text, new->text, old->len)))
        return false;
    size_t head = common_head(old, new);
    size_t tail = common_tail(old, new, head);
    size_t from = lines_before(old->text, head, CONTEXT);
    size_t old_to = lines_after(old, old->len - tail, CONTEXT);
    size_t new_to = lines_after(new, new->len - tail, CONTEXT);
    struct side a = cut(old, from, old_to);
    struct side b = cut(new, from, new_to);
    buffer_printf(out, "--- %s\n+++ %s\n", name, name);
    size_t before = out->len;
    bool compared = compare(&a, &b);
    if (compared)
        put_hunks(out, &a, &b);
    if (!compared || out->len - before > max) {
        out->len = before;
        out->data[before] = '\0';
        buffer_printf(out, "@@ -%zu,%zu +%zu,%zu @@ not shown: too many lines differ\n",
                      a.first + 1, a.count, b.first + 1, b.count);
    }
    free(a.lines);
    free(b.lines);
    return true;
}
