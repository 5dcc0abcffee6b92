/* Asking a running sidecar how it stands. */
#ifndef HATLAS_STATUS_CLIENT_H
#define HATLAS_STATUS_CLIENT_H

#include "base/error.h"

#include <jansson.h>

/* Asks the sidecar that shows its status on the address (status.listen) for `path`, and
 * appends the answer's body. Waits a bounded time. False with an error for any answer but
 * 200. */
bool client_fetch(const char *address, const char *path, struct buffer *body,
                  struct error *error);

/* The same for /status, parsed. A new reference, or NULL. */
json_t *client_status(const char *address, struct error *error);

#endif
