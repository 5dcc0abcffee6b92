/* sources.acl in the client's own form. */
#include "source/zk_acl.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void zk_acl_init(struct ACL_vector *acl, const struct source_settings *settings) {
    const struct ACL_vector *open = &ZOO_OPEN_ACL_UNSAFE;
    size_t count = settings->acl_count ? settings->acl_count : (size_t)open->count;
    *acl = (struct ACL_vector){
        .count = (int32_t)count,
        .data = mem_zalloc(count * sizeof *acl->data),
    };
    if (!settings->acl_count)
        memcpy(acl->data, open->data, count * sizeof *acl->data);
    for (size_t i = 0; i < settings->acl_count; i++)
        acl->data[i] = (struct ACL){
            .perms = settings->acl[i].permissions,
            .id = {.scheme = settings->acl[i].scheme, .id = settings->acl[i].id},
        };
}

void zk_acl_free(struct ACL_vector *acl) {
    free(acl->data);
    *acl = (struct ACL_vector){0};
}
