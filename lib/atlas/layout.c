/* Where the Atlas keeps what. */
#include "atlas/layout.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

void atlas_layout_init(struct atlas_layout *layout,
                       const struct source_settings *settings) {
    const char *chroot = settings->chroot ? settings->chroot : "";
    const char *root = settings->root ? settings->root : "";
    const char *realm = settings->realm ? settings->realm : "";
    const char *slash = *realm ? "/" : "";
    layout->services = mem_printf("%s%s/%s%sservices", chroot, root, realm, slash);
    layout->config = mem_printf("%s%s/%s%sconfig", chroot, root, realm, slash);
}

void atlas_layout_free(struct atlas_layout *layout) {
    free(layout->services);
    free(layout->config);
    *layout = (struct atlas_layout){0};
}

char *atlas_service_path(const struct atlas_layout *layout, const char *service) {
    return mem_printf("%s/%s", layout->services, service);
}

char *atlas_hosts_path(const struct atlas_layout *layout, const char *service) {
    return mem_printf("%s/%s/hosts", layout->services, service);
}

char *atlas_host_path(const struct atlas_layout *layout, const char *service,
                      const char *id) {
    return mem_printf("%s/%s/hosts/%s", layout->services, service, id);
}

char *atlas_config_path(const struct atlas_layout *layout, const char *service) {
    return mem_printf("%s/%s", layout->config, service);
}

bool atlas_is_id(const char *id) {
    size_t len = strlen(id);
    return len && len <= 255 && !strchr(id, '/') && strcmp(id, ".") != 0 &&
           strcmp(id, "..") != 0 && text_is_clean(id, len);
}
