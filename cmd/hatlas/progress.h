/* Reading the registry, with what is going on shown on a terminal if it takes long. */
#ifndef HATLAS_PROGRESS_H
#define HATLAS_PROGRESS_H

#include "agent/inputs.h"

/* As inputs_read. Where standard error is a terminal, a line there says from the first
 * half second on what is waited for; it is gone when this returns. */
const struct catalog *progress_read(const struct log *log,
                                    const struct settings *settings, int64_t timeout_ms,
                                    struct problems *problems, struct error *error);

#endif
