/* The status on one screen of a terminal. */
#ifndef HATLAS_STATUS_SCREEN_H
#define HATLAS_STATUS_SCREEN_H

#include "base/buffer.h"

#include <jansson.h>
#include <stdbool.h>

struct screen {
    bool colour;
    size_t rows, columns; /* 0: as many as it takes */
};

/* Appends what GET /status said, for people: the verdict and its reasons, sources and
 * HAProxy, the last changes, services with trouble first. What does not fit is counted. */
void screen_write(const json_t *status, const struct screen *screen, struct buffer *out);

#endif
