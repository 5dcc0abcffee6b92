/* Questions about text. */
#include "base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of the UTF-8 sequence at `s`, or 0 where it is none (RFC 3629, 4: no overlong
 * forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_len(const unsigned char *s, size_t left) {
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

static bool is_control(const unsigned char *s, size_t len) {
    if (len == 1)
        return s[0] < 0x20 || s[0] == 0x7f;
    return len == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

/* How many bytes the sequence at `s` takes when it is shown; `step` receives its length.
 */
static size_t shown_width(const unsigned char *s, size_t left, size_t *step) {
    size_t len = utf8_len(s, left);
    *step = len ? len : 1;
    return len && !is_control(s, len) ? len : 4 * *step;
}

static bool fits(const unsigned char *s, size_t left, size_t size) {
    size_t step;
    for (size_t used = 0; left; s += step, left -= step) {
        used += shown_width(s, left, &step);
        if (used >= size)
            return false;
    }
    return true;
}

const char *text_printable(const char *text, char *out, size_t size) {
    const unsigned char *s = (const unsigned char *)text;
    size_t left = strlen(text);
    size_t used = 0;
    size_t step;
    bool whole = fits(s, left, size);
    for (; left; s += step, left -= step) {
        size_t width = shown_width(s, left, &step);
        if (!whole && used + width + 4 > size) {
            (void)snprintf(out + used, size - used, "...");
            return out;
        }
        if (width == step)
            memcpy(out + used, s, step);
        else
            for (size_t i = 0; i < step; i++)
                (void)snprintf(out + used + 4 * i, 5, "\\x%02x", s[i]);
        used += width;
    }
    out[used] = '\0';
    return out;
}

bool text_is_clean(const char *text, size_t len) {
    const unsigned char *s = (const unsigned char *)text;
    while (len) {
        size_t step = utf8_len(s, len);
        if (!step || is_control(s, step))
            return false;
        s += step;
        len -= step;
    }
    return true;
}

static bool is_made_of(const char *text, size_t max, const char *extra) {
    size_t len = strlen(text);
    if (!len || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr(extra, text[i]))
            return false;
    return true;
}

bool text_is_service_name(const char *text) {
    return text[0] != '.' && text[0] != '-' && is_made_of(text, 127, "-_.");
}

bool text_is_ipv6(const char *text) {
    struct in6_addr address;
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool text_is_host(const char *text) {
    if (text_is_ipv6(text))
        return true;
    if (!is_made_of(text, 253, "-_.") || strstr(text, ".."))
        return false;
    size_t len = strlen(text);
    if (text[0] == '.' || text[0] == '-' || text[len - 1] == '-')
        return false;
    if (strspn(text, "0123456789.") < len)
        return true;
    struct in_addr address;
    return inet_pton(AF_INET, text, &address) == 1;
}

static const struct unit {
    const char *name;
    int64_t milliseconds;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum { UNITS = sizeof units / sizeof units[0] };

bool text_duration(const char *text, int64_t *milliseconds) {
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 9)
        return false;
    int64_t number = strtoll(text, NULL, 10);
    if (!text[digits] && number == 0) {
        *milliseconds = 0;
        return true;
    }
    for (int i = 0; i < UNITS; i++)
        if (!strcmp(text + digits, units[i].name)) {
            *milliseconds = number * units[i].milliseconds;
            return true;
        }
    return false;
}

const char *text_format_duration(int64_t milliseconds, char *out, size_t size) {
    int i = 0;
    while (i < UNITS - 1 && (milliseconds == 0 || milliseconds % units[i].milliseconds))
        i++;
    (void)snprintf(out, size, "%lld%s", (long long)(milliseconds / units[i].milliseconds),
                   units[i].name);
    return out;
}

bool text_percent(const char *text, int64_t *percent) {
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 3 || strcmp(text + digits, "%") != 0)
        return false;
    *percent = strtoll(text, NULL, 10);
    return *percent <= 100;
}

enum { NEAREST_MAX = 63 };

static size_t min3(size_t a, size_t b, size_t c) {
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance, by the usual single row. */
static size_t distance(const char *a, const char *b) {
    size_t row[NEAREST_MAX + 1];
    size_t len_a = strlen(a);
    size_t len_b = strlen(b);
    if (len_a > NEAREST_MAX || len_b > NEAREST_MAX)
        return SIZE_MAX;
    for (size_t i = 0; i <= len_a; i++)
        row[i] = i;
    for (size_t j = 1; j <= len_b; j++) {
        size_t corner = row[0];
        row[0] = j;
        for (size_t i = 1; i <= len_a; i++) {
            size_t above = row[i];
            row[i] = min3(above + 1, row[i - 1] + 1, corner + (a[i - 1] != b[j - 1]));
            corner = above;
        }
    }
    return row[len_a];
}

const char *text_nearest(const char *text, const char *const *names) {
    size_t best = strlen(text) / 3 + 1;
    const char *nearest = NULL;
    for (; *names; names++) {
        size_t d = distance(text, *names);
        if (d <= best && (d < best || !nearest)) {
            best = d;
            nearest = *names;
        }
    }
    return nearest;
}
