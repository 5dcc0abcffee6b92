/* The page: one HTML file, page.html beside this, compiled in. */
#ifndef HATLAS_STATUS_PAGE_H
#define HATLAS_STATUS_PAGE_H

#include "base/buffer.h"

/* Appends the page, its own script and style marked with the nonce of the answer's
 * Content-Security-Policy. */
void page_write(struct buffer *out, const char *nonce);

/* Writes a nonce that nobody can guess: at least 33 bytes. */
void page_nonce(char *out, size_t size);

#endif
