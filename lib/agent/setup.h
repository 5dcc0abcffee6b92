/* What one reading of hatlas.yaml and of the templates amounts to: the feed and the
 * renderer. Read anew on SIGHUP, and swapped for the old one as a whole or not at all. */
#ifndef HATLAS_AGENT_SETUP_H
#define HATLAS_AGENT_SETUP_H

#include "agent/feed.h"
#include "render/render.h"

struct setup {
    const struct settings *settings;
    struct settings *owned; /* the same, if the setup has to free it */
    struct feed *feed;
    struct renderer *renderer;
    json_t *globals;
};

/* Makes the renderer for the settings. `order_seed`: see render_options. `globals`
 * receives what the templates see; it is owned by the caller and must outlive the
 * renderer. */
struct renderer *setup_renderer(const struct settings *settings, const char *order_seed,
                                json_t **globals);

/* Opens the feed and makes the renderer for options->settings. False with an error for
 * settings that can never work. */
bool setup_open(struct setup *setup, const struct feed_options *options,
                struct error *error);
void setup_close(struct setup *setup);

/* Which keys of the new settings can't be taken up by a process that runs with the old
 * ones: appended with commas; returns whether there are any. */
bool setup_needs_restart(const struct settings *old, const struct settings *new,
                         struct buffer *keys);

#endif
