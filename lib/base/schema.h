/* Tables that say which keys an object may have, of what type, in what range: one engine
 * for hatlas.yaml and for what services and hosts say of themselves. */
#ifndef HATLAS_BASE_SCHEMA_H
#define HATLAS_BASE_SCHEMA_H

#include "base/yaml.h"

#include <stdint.h>

enum schema_type {
    SCHEMA_BOOL,
    SCHEMA_INT,          /* min to max */
    SCHEMA_TEXT,         /* one line: no control character, min to max bytes */
    SCHEMA_NAME,         /* text_is_service_name() */
    SCHEMA_HOST,         /* text_is_host() */
    SCHEMA_ADDRESS,      /* "host:port", "[v6]:port", ":port", "unix@/path" or "/path" */
    SCHEMA_PATH,         /* a file's path: SCHEMA_TEXT that is not empty */
    SCHEMA_URI_PATH,     /* begins with '/', no space, quote or control character, min to
                            max bytes */
    SCHEMA_DURATION,     /* text_duration(), min to max milliseconds */
    SCHEMA_PERCENT,      /* text_percent() */
    SCHEMA_CHOICE,       /* one of `choices` */
    SCHEMA_STATUS,       /* HTTP status codes and ranges: "200,204,300-399", or 200 */
    SCHEMA_LIST_OF_TEXT, /* min to max items, each one of `choices` if there are any */
    SCHEMA_LIST_OF_NAMES,
    SCHEMA_LIST_OF_OBJECTS, /* each as `rows` say */
    SCHEMA_OBJECT,          /* as `rows` say; without rows any object */
    SCHEMA_MAP_OF_TEXT, /* any key that is SCHEMA_TEXT; numbers and booleans become text
                         */
    SCHEMA_MAP_OF_OBJECTS, /* any key that is a SCHEMA_NAME, each value as `rows` say */
    SCHEMA_ANY,            /* any value without control characters */
};

/* One key. Tables end with a row whose name is NULL. The members stand in the order in
 * which a row is read, not in the one without padding. */
struct schema { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *name;
    enum schema_type type;
    const char *fallback; /* JSON text of the default; NULL: absent if not given */
    bool required;
    int64_t min, max; /* both 0: no limit */
    const char *const *choices;
    const struct schema *rows;
    const char
        *text; /* one sentence for the reference, and for "expected …" where useful */
};

/* Where the input came from, and what to do with what is wrong. */
struct schema_input {
    const struct places *places; /* of YAML input, else NULL */
    const char *where;           /* for input without places, such as a znode path */
    json_t *unknown; /* receives unknown top-level keys; NULL: they are faults */
    struct problems *problems;
};

/* Checks `input` (borrowed) against the table and returns a new object that has exactly
 * the known keys which are good, with defaults filled in where `defaults` says so, in the
 * order of the table. Every fault is added to the problems with its place
 * ("file:line:column", or `where` and the key's full name), what was found and what was
 * expected, and for an unknown key the nearest known one. A null counts as not given.
 * Input that is no object is one fault, and NULL. */
json_t *schema_apply(const struct schema *table, const json_t *input, bool defaults,
                     const struct schema_input *from);

/* Checks one value against one row. Returns a new reference to the good (normalised)
 * value, or NULL with problems added; `key` is the full name used in them. */
json_t *schema_value(const struct schema *row, const json_t *value, const char *key,
                     const char *where, bool defaults, const struct schema_input *from);

/* Looks a dotted name up ("check.interval"); NULL where there is none. */
const struct schema *schema_find(const struct schema *table, const char *name);

/* Splits what SCHEMA_ADDRESS took: `host` receives the host without brackets, "" for
 * none. Returns false for a Unix socket. */
bool schema_split_address(const char *address, char *host, size_t size, uint16_t *port);

#endif
