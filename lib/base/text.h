/* Questions about text: is it a name, a host, a duration? Nothing here allocates. */
#ifndef HATLAS_BASE_TEXT_H
#define HATLAS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies `text` for people to read: control characters and bytes that are not UTF-8
 * become \xNN, and what does not fit into `size` bytes ends in "...". Returns `out`. */
const char *text_printable(const char *text, char *out, size_t size);

/* Whether the `len` bytes are valid UTF-8 without any control character (C0, DEL, C1). */
bool text_is_clean(const char *text, size_t len);

/* Whether `text` is 1 to 127 letters, digits, '-', '_' or '.', not beginning with '.' or
 * '-': what a service may be called. HAProxy takes these in any name (configuration
 * manual, 2.2 "Quoting and escaping", and the names of sections, ACLs and servers). */
bool text_is_service_name(const char *text);

/* Whether `text` is a host name (RFC 1123, '_' allowed), an IPv4 or an IPv6 address. */
bool text_is_host(const char *text);
bool text_is_ipv6(const char *text);

/* Reads "250ms", "5s", "2m", "1h", "1d", or "0"; sets milliseconds. */
bool text_duration(const char *text, int64_t *milliseconds);

/* Writes milliseconds in the shortest exact form that HAProxy reads ("1500ms", "2s"). */
const char *text_format_duration(int64_t milliseconds, char *out, size_t size);

/* Reads "30%", 0 to 100. */
bool text_percent(const char *text, int64_t *percent);

/* Returns the nearest of the NULL-terminated `names` if it is near enough to be what was
 * meant, else NULL. */
const char *text_nearest(const char *text, const char *const *names);

#endif
