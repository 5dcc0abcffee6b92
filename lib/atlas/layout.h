/* Where the Atlas keeps what: <root>/<realm>/services/<service>/hosts/<id> and
 * <root>/<realm>/config/<service>. */
#ifndef HATLAS_ATLAS_LAYOUT_H
#define HATLAS_ATLAS_LAYOUT_H

#include "settings/settings.h"

struct atlas_layout {
    char *services;
    char *config;
};

/* Fills the layout; to be freed with atlas_layout_free. */
void atlas_layout_init(struct atlas_layout *layout,
                       const struct source_settings *settings);
void atlas_layout_free(struct atlas_layout *layout);

/* Paths of znodes; the caller owns them. */
char *atlas_service_path(const struct atlas_layout *layout, const char *service);
char *atlas_hosts_path(const struct atlas_layout *layout, const char *service);
char *atlas_host_path(const struct atlas_layout *layout, const char *service,
                      const char *id);
char *atlas_config_path(const struct atlas_layout *layout, const char *service);

/* Whether a znode of the Atlas can be called that: one part of a path, one line. */
bool atlas_is_id(const char *id);

#endif
