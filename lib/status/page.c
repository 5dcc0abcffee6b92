/* The page, compiled in. */
#include "status/page.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* Made by embed.cmake from page.html; ends with a NUL. */
extern const unsigned char page_html[];

static const char mark[] = "@NONCE@";

void page_write(struct buffer *out, const char *nonce) {
    const char *rest = (const char *)page_html;
    for (const char *hit; (hit = strstr(rest, mark)); rest = hit + sizeof mark - 1) {
        buffer_append(out, rest, (size_t)(hit - rest));
        buffer_puts(out, nonce);
    }
    buffer_puts(out, rest);
}

void page_nonce(char *out, size_t size) {
    uint64_t bytes[2] = {0};
    /* Up to 256 bytes never fall short once the kernel has entropy (getrandom(2)). */
    ssize_t got = getrandom(bytes, sizeof bytes, 0);
    (void)got;
    (void)snprintf(out, size, "%016llx%016llx", (unsigned long long)bytes[0],
                   (unsigned long long)bytes[1]);
}
