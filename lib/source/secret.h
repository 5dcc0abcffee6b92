/* The secret by which a source shows ZooKeeper who it is. It goes into no log and no
 * status. */
#ifndef HATLAS_SOURCE_SECRET_H
#define HATLAS_SOURCE_SECRET_H

#include "base/buffer.h"
#include "base/error.h"
#include "settings/settings.h"

/* Reads the first line of the file, or of the variable, that the source's auth names. The
 * error names what could not be read, never what was. */
bool secret_read(const struct source_settings *settings, struct buffer *secret,
                 struct error *error);

/* Overwrites the secret before it is freed. */
void secret_free(struct buffer *secret);

#endif
