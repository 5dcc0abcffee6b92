/* Where templates are searched: the folders of hatlas.yaml, then the shipped ones. */
#include "base/mem.h"
#include "settings/loader.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_dir(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Returns <prefix> if this program is <prefix>/bin/<name>, else NULL. A program that was
 * replaced while it runs has " (deleted)" behind its name, never in its folder. */
static char *install_prefix(void) {
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0)
        return NULL;
    path[len] = '\0';
    *strrchr(path, '/') = '\0';
    char *bin = strrchr(path, '/');
    if (!bin || strcmp(bin, "/bin") != 0)
        return NULL;
    *bin = '\0';
    return mem_strdup(path);
}

/* An installed program takes the templates that were installed with it, wherever that is;
 * one that was just built takes those of its source, not those of an older installation.
 */
static char *shipped_dir(void) {
    const char *said = getenv("HATLAS_TEMPLATES");
    if (said && *said)
        return mem_strdup(said);
    char *prefix = install_prefix();
    char *beside = prefix ? mem_printf("%s/share/hatlas/templates", prefix) : NULL;
    const char *const built[] = {HATLAS_SOURCE_TEMPLATE_DIR, HATLAS_TEMPLATE_DIR};
    size_t first = prefix ? 1 : 0;
    free(prefix);
    if (beside && is_dir(beside))
        return beside;
    free(beside);
    return mem_strdup(is_dir(built[first]) ? built[first] : built[1 - first]);
}

void loader_template_dirs(struct loader *loader) {
    const json_t *list = loader_get(loader, "templates");
    size_t count = json_array_size(list);
    char **dirs = mem_zalloc((count + 2) * sizeof *dirs);
    for (size_t i = 0; i < count; i++)
        dirs[i] = mem_strdup(json_string_value(json_array_get(list, i)));
    dirs[count] = shipped_dir();
    loader->settings->template_dirs = dirs;
}
