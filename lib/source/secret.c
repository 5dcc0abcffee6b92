/* The secret of a source, from a file or from the environment: both can be kept from
 * other users, an argument can't. */
#include "source/secret.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum { SECRET_MAX = 65536 };

static bool read_variable(const char *name, struct buffer *secret, struct error *error) {
    const char *text = getenv(name);
    if (!text || !*text)
        return error_set(error, name, "the environment variable is not set");
    buffer_puts(secret, text);
    return true;
}

bool secret_read(const struct source_settings *settings, struct buffer *secret,
                 struct error *error) {
    bool done = settings->auth_env
                    ? read_variable(settings->auth_env, secret, error)
                    : file_read(settings->auth_file, SECRET_MAX, secret, error);
    if (!done)
        return false;
    char *end = strpbrk(secret->data ? secret->data : "", "\r\n");
    if (end)
        explicit_bzero(end, strlen(end));
    if (end)
        secret->len = (size_t)(end - secret->data);
    if (secret->len)
        return true;
    return error_set(error, settings->auth_env ? settings->auth_env : settings->auth_file,
                     "its first line is empty, where the secret should be");
}

void secret_free(struct buffer *secret) {
    if (secret->data)
        explicit_bzero(secret->data, secret->len);
    buffer_free(secret);
}
