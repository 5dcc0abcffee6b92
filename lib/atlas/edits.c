/* Edits: what a command wants changed in the Atlas. */
#include "atlas/edits.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static struct atlas_edit copy(const struct atlas_edit *edit) {
    return (struct atlas_edit){
        .kind = edit->kind,
        .path = mem_strdup(edit->path),
        .value = json_incref(edit->value),
        .version = edit->version,
        .silent = edit->silent || !edit->what,
        .service = mem_strdup(edit->service),
        .host = mem_strdup(edit->host),
        .what = mem_strdup(edit->what),
    };
}

struct atlas_edit *atlas_edits_add(struct atlas_edits *edits,
                                   const struct atlas_edit *edit) {
    edits->items = mem_grow(edits->items, edits->count, sizeof *edits->items);
    edits->items[edits->count] = copy(edit);
    return &edits->items[edits->count++];
}

void atlas_edits_prepend(struct atlas_edits *edits, struct atlas_edits *first) {
    for (size_t i = 0; i < edits->count; i++) {
        first->items = mem_grow(first->items, first->count, sizeof *first->items);
        first->items[first->count++] = edits->items[i];
    }
    free(edits->items);
    *edits = *first;
    *first = (struct atlas_edits){0};
}

size_t atlas_edits_changes(const struct atlas_edits *edits) {
    size_t changes = 0;
    for (size_t i = 0; i < edits->count; i++)
        changes += edits->items[i].kind != ATLAS_NOTHING;
    return changes;
}

void atlas_edits_free(struct atlas_edits *edits) {
    for (size_t i = 0; i < edits->count; i++) {
        free((char *)edits->items[i].path);
        json_decref(edits->items[i].value);
        free((char *)edits->items[i].service);
        free((char *)edits->items[i].host);
        free((char *)edits->items[i].what);
    }
    free(edits->items);
    *edits = (struct atlas_edits){0};
}

void atlas_edits_write(const struct atlas_edits *edits, struct buffer *out) {
    for (size_t i = 0; i < edits->count; i++) {
        const struct atlas_edit *edit = &edits->items[i];
        if (edit->silent)
            continue;
        if (!edit->service)
            buffer_printf(out, "%s ", edit->path);
        else
            buffer_printf(out, "%s ", edit->service);
        if (edit->host)
            buffer_printf(out, "%s ", edit->host);
        buffer_printf(out, "%s\n", edit->what);
    }
}

static const char *const actions[] = {
    [ATLAS_CREATE] = "create",
    [ATLAS_SET] = "set",
    [ATLAS_DELETE] = "delete",
    [ATLAS_NOTHING] = "none",
};

json_t *atlas_edits_json(const struct atlas_edits *edits) {
    json_t *list = json_array();
    for (size_t i = 0; i < edits->count; i++) {
        const struct atlas_edit *edit = &edits->items[i];
        if (edit->silent)
            continue;
        json_t *item = json_pack("{s:s}", "action", actions[edit->kind]);
        if (edit->service)
            (void)json_object_set_new(item, "service", json_string(edit->service));
        if (edit->host)
            (void)json_object_set_new(item, "host", json_string(edit->host));
        (void)json_object_set_new(item, "what", json_string(edit->what));
        if (edit->path)
            (void)json_object_set_new(item, "path", json_string(edit->path));
        if (edit->value)
            (void)json_object_set(item, "record", edit->value);
        (void)json_array_append_new(list, item);
    }
    return list;
}
