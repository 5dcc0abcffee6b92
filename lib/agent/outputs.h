/* The files that hatlas keeps: their texts, rendered or as they stand on disk. */
#ifndef HATLAS_AGENT_OUTPUTS_H
#define HATLAS_AGENT_OUTPUTS_H

#include "base/buffer.h"
#include "plan/plan.h"
#include "render/render.h"
#include "settings/settings.h"

struct output {
    const struct output_settings *settings;
    struct buffer text;
    bool exists; /* on disk, or rendered */
};

/* One text for each output of the settings, in their order. Immutable and counted. */
struct outputs {
    unsigned refs;
    size_t count;
    struct output items[];
};

/* Renders every output. Returns a new reference, NULL with an error. Settings must
 * outlive it, here and below. */
const struct outputs *outputs_render(const struct settings *settings,
                                     struct renderer *renderer,
                                     const struct catalog *catalog, struct error *error);

/* Reads every output's file; one that is not there is an empty text. Returns a new
 * reference, NULL with an error. */
const struct outputs *outputs_load(const struct settings *settings, struct error *error);

const struct outputs *outputs_ref(const struct outputs *outputs);
void outputs_unref(const struct outputs *outputs); /* NULL is fine */

/* Whether output `index` is the same in both; `outputs_equal` for all of them. */
bool output_same(const struct outputs *a, const struct outputs *b, size_t index);
bool outputs_equal(const struct outputs *a, const struct outputs *b);

/* Whether any output that HAProxy reads differs: its config, and the files that its
 * config names (maps, lists). */
bool outputs_touch_haproxy(const struct outputs *old, const struct outputs *new);

/* What has to happen to an HAProxy that runs `old`. Files that its config names are part
 * of the comparison. The caller owns the plan. */
struct plan *outputs_plan(const struct outputs *old, const struct outputs *new,
                          const struct plan_abilities *abilities);

/* The output that is HAProxy's config, NULL if there is none. */
const struct output *outputs_config(const struct outputs *outputs);

/* Writes HAProxy's config and the outputs that stand in its folder into the folder `dir`,
 * so that the whole set can be checked before any of it is put in place (configuration
 * manual, 3.1 "default-path config"). Returns the path of the config there, owned by the
 * caller; NULL on error. */
char *outputs_stage(const struct outputs *outputs, const char *dir, struct error *error);

/* Removes a folder that outputs_stage wrote. */
void outputs_unstage(const struct outputs *outputs, const char *dir);

/* Makes the places in an error about staged files name the files they were staged for. */
void outputs_name_own(const struct outputs *outputs, const char *dir,
                      struct error *error);

/* Stages into a new folder under TMPDIR and runs `haproxy -c` there; for one-shot
 * commands. True if HAProxy takes the config, or if no output is one. */
bool outputs_check(const struct outputs *outputs, const char *binary,
                   struct error *error);

/* Replaces the files that differ from `old`, HAProxy's config last; those that are not to
 * exist are removed. */
bool outputs_write(const struct outputs *outputs, const struct outputs *old,
                   struct error *error);

#endif
