/* HATLAS_… variables and flags. Each scalar key of the table has its variable:
 * apply.coalesce is HATLAS_APPLY_COALESCE. */
#include "base/mem.h"
#include "base/text.h"
#include "settings/loader.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

enum { KEY_MAX = 128 };

/* Every variable that means something, and the keys that some of them set. */
struct variables {
    const char **names; /* NULL-terminated */
    char **keys;        /* NULL where the variable sets no single key */
    size_t count;
};

static void add_variable(struct variables *variables, char *name, char *key) {
    variables->names =
        mem_resize(variables->names, variables->count + 2, sizeof *variables->names);
    variables->keys = mem_grow(variables->keys, variables->count, sizeof(char *));
    variables->names[variables->count] = name;
    variables->keys[variables->count++] = key;
    variables->names[variables->count] = NULL;
}

static char *variable_name(const char *key) {
    char *name = mem_printf("HATLAS_%s", key);
    for (char *c = name; *c; c++)
        *c = (char)(*c == '.' ? '_' : toupper((unsigned char)*c));
    return name;
}

static void add_table(struct variables *variables, const struct schema *table,
                      const char *prefix) {
    for (const struct schema *row = table; row->name; row++) {
        char key[KEY_MAX];
        (void)snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "", row->name);
        if (row->type == SCHEMA_OBJECT && row->rows)
            add_table(variables, row->rows, key);
        else if (row->type <= SCHEMA_CHOICE)
            add_variable(variables, variable_name(key), mem_strdup(key));
    }
}

static void variables_init(struct variables *variables) {
    *variables = (struct variables){0};
    add_variable(variables, mem_strdup("HATLAS_CONFIG"), NULL);
    add_variable(variables, mem_strdup("HATLAS_SOURCE"), NULL);
    add_variable(variables, mem_strdup("HATLAS_TEMPLATES"), NULL);
    add_table(variables, settings_schema, "");
}

static void variables_free(struct variables *variables) {
    for (size_t i = 0; i < variables->count; i++) {
        free((char *)variables->names[i]);
        free(variables->keys[i]);
    }
    free(variables->names);
    free(variables->keys);
}

/* What a plain scalar of that text would be in the file, as far as the type wants it. */
static json_t *typed(const struct schema *row, const char *text) {
    if (row->type == SCHEMA_BOOL && (!strcmp(text, "true") || !strcmp(text, "false")))
        return json_boolean(*text == 't');
    char *end = NULL;
    if (row->type == SCHEMA_INT && isdigit((unsigned char)*text)) {
        long long number = strtoll(text, &end, 10);
        if (!*end)
            return json_integer(number);
    }
    return json_stringn_nocheck(text, strlen(text));
}

static void override_text(struct loader *loader, const char *key, const char *text,
                          const char *where) {
    json_t *value = typed(schema_find(settings_schema, key), text);
    loader_override(loader, key, value, where);
    json_decref(value);
}

static void environment_sources(struct loader *loader, const char *text) {
    char *copy = mem_strdup(text);
    const char **sources = mem_zalloc((strlen(text) + 1) * sizeof *sources);
    char *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        sources[count++] = word;
    if (count)
        loader_replace_sources(loader, sources, "HATLAS_SOURCE");
    free(sources);
    free(copy);
}

/* Kubernetes gives every pod variables for a service that is called hatlas. */
static bool is_foreign(const char *name) {
    static const char *const beginnings[] = {
        "HATLAS_TEST_",        "HATLAS_EXTERNAL_DIFF", "HATLAS_SECRET",
        "HATLAS_SERVICE_HOST", "HATLAS_SERVICE_PORT",  "HATLAS_PORT"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (!strncmp(name, beginnings[i], strlen(beginnings[i])))
            return true;
    return false;
}

static bool is_known(const struct variables *variables, const char *name) {
    for (size_t i = 0; i < variables->count; i++)
        if (!strcmp(variables->names[i], name))
            return true;
    return false;
}

static void check_names(const struct loader *loader, const struct variables *variables) {
    for (char **entry = environ; entry && *entry; entry++) {
        if (strncmp(*entry, "HATLAS_", 7) != 0)
            continue;
        char *name = mem_strndup(*entry, strcspn(*entry, "="));
        if (!is_foreign(name) && !is_known(variables, name)) {
            const char *near = text_nearest(name, variables->names);
            problems_add(loader->problems, name, "unknown variable%s%s%s",
                         near ? "; did you mean " : "", near ? near : "",
                         near ? "?" : "");
        }
        free(name);
    }
}

void loader_environment(struct loader *loader) {
    struct variables variables;
    variables_init(&variables);
    for (size_t i = 0; i < variables.count; i++) {
        const char *text = getenv(variables.names[i]);
        if (!text || !*text)
            continue;
        if (variables.keys[i])
            override_text(loader, variables.keys[i], text, variables.names[i]);
        else if (!strcmp(variables.names[i], "HATLAS_SOURCE"))
            environment_sources(loader, text);
    }
    check_names(loader, &variables);
    variables_free(&variables);
}

void loader_flags(struct loader *loader) {
    const struct settings_flags *flags = loader->flags;
    if (!flags)
        return;
    if (flags->realm)
        override_text(loader, "realm", flags->realm, "--realm");
    if (flags->log_level)
        override_text(loader, "log.level", flags->log_level, "--log-level");
    if (flags->log_format)
        override_text(loader, "log.format", flags->log_format, "--log-format");
    if (flags->sources && *flags->sources)
        loader_replace_sources(loader, flags->sources, "--source");
}
