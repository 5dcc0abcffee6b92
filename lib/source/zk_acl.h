/* Who may do what with a znode that hatlas creates. */
#ifndef HATLAS_SOURCE_ZK_ACL_H
#define HATLAS_SOURCE_ZK_ACL_H

#include "settings/settings.h"
#include "source/zk_client.h"

/* Makes the list of sources.acl, or the one by which everybody may do everything. The
 * settings must outlive it; to be freed with zk_acl_free. */
void zk_acl_init(struct ACL_vector *acl, const struct source_settings *settings);
void zk_acl_free(struct ACL_vector *acl);

#endif
