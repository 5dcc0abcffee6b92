/* What one reading of hatlas.yaml and of the templates amounts to. */
#include "agent/setup.h"

struct renderer *setup_renderer(const struct settings *settings, const char *order_seed,
                                json_t **globals) {
    json_t *services = json_object_get(settings->tree, "services");
    *globals = settings_globals(settings);
    struct render_options options = {
        .dirs = (const char *const *)settings->template_dirs,
        .globals = *globals,
        .defaults = json_object_get(services, "defaults"),
        .overrides = json_object_get(services, "overrides"),
        .order_seed = order_seed,
    };
    return renderer_new(&options);
}

bool setup_open(struct setup *setup, const struct feed_options *options,
                struct error *error) {
    const struct settings *settings = options->settings;
    *setup = (struct setup){.settings = settings};
    setup->feed = feed_open(options, error);
    if (setup->feed)
        setup->renderer = setup_renderer(settings, settings->node_name, &setup->globals);
    return setup->feed;
}

void setup_close(struct setup *setup) {
    feed_close(setup->feed);
    renderer_free(setup->renderer);
    json_decref(setup->globals);
    settings_free(setup->owned);
    *setup = (struct setup){0};
}

bool setup_needs_restart(const struct settings *old, const struct settings *new,
                         struct buffer *keys) {
    static const char *const fixed[] = {"outputs", "haproxy", "cache", "status"};
    size_t before = keys->len;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (!json_equal(json_object_get(old->tree, fixed[i]),
                        json_object_get(new->tree, fixed[i])))
            buffer_printf(keys, "%s%s", keys->len > before ? ", " : "", fixed[i]);
    return keys->len > before;
}
