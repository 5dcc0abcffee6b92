/* Templates: found in folders, compiled to Lua functions, kept until their file changes.
 */
#include "render/template.h"
#include "base/file.h"
#include "base/mem.h"
#include "render/emit.h"
#include "render/sandbox.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TEMPLATE_MAX = 4 << 20, LEVELS_MAX = 2000 };

/* What tells that a file is still the same. */
struct identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct template {
    char *name;
    struct identity identity;
    struct program program;
    int function; /* in Lua's registry */
    int emit;
    struct memo memo;
    size_t printed; /* the last time, as the outermost */
    struct template *next;
};

/* Keeps the error of the run; raises it. */
static void raise(lua_State *L) {
    state_run(L)->failed = true;
    lua_pushstring(L, "failed");
    lua_error(L);
}

static bool is_good_name(const char *name) {
    size_t len = strlen(name);
    return len && len < 128 && name[0] != '/' && name[0] != '.' && !strstr(name, "/.") &&
           !strstr(name, "//") && name[len - 1] != '/';
}

/* Finds the file in the first folder that has it; the caller frees the path. */
static char *find(const struct renderer *renderer, const char *name,
                  struct identity *identity) {
    for (const char *const *dir = renderer->options.dirs; dir && *dir; dir++) {
        struct stat file;
        char *path = mem_printf("%s/%s", *dir, name);
        if (!stat(path, &file) && S_ISREG(file.st_mode)) {
            *identity = (struct identity){file.st_dev, file.st_ino, file.st_size,
                                          file.st_mtim, file.st_ctim};
            return path;
        }
        free(path);
    }
    return NULL;
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same(const struct identity *a, const struct identity *b) {
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static void not_found(const struct renderer *renderer, const char *name,
                      struct error *error) {
    struct buffer text = BUFFER_INIT;
    buffer_puts(&text, "no such template in");
    for (const char *const *dir = renderer->options.dirs; dir && *dir; dir++)
        buffer_printf(&text, " %s", *dir);
    (void)error_set(error, name, "%s", buffer_str(&text));
    buffer_free(&text);
}

/* Takes "name:line: text" apart, as Lua's compiler says it. */
static void syntax_error(const struct program *program, const char *name,
                         const char *text, struct error *error) {
    char where[256];
    const char *colon = strchr(text, ':');
    const char *digits = colon ? colon + 1 : "";
    size_t count = strspn(digits, "0123456789");
    unsigned long line = strtoul(digits, NULL, 10);
    const char *near = strstr(text, " near ';'");
    if (!count || strncmp(digits + count, ": ", 2) != 0) {
        (void)error_set(error, name, "%s", text);
        return;
    }
    text = digits + count + 2;
    (void)snprintf(where, sizeof where, "%s:%lu", name, line);
    bool at_text =
        near && line && line <= program->line_count && program->lines[line - 1].printed;
    if (at_text)
        (void)error_set(error, where, "%.*s before this line's text", (int)(near - text),
                        text);
    else
        (void)error_set(error, where, "%s", text);
}

static bool load(lua_State *L, struct template *template, const char *path,
                 struct error *error) {
    struct renderer *renderer = state_renderer(L);
    struct buffer text = BUFFER_INIT;
    struct buffer *lua = &renderer->scratch;
    char chunk[256];
    buffer_clear(lua);
    bool good = file_read(path, TEMPLATE_MAX, &text, error) &&
                program_compile(&template->program, template->name, buffer_str(&text),
                                text.len, lua, error);
    buffer_free(&text);
    if (!good)
        return false;
    (void)snprintf(chunk, sizeof chunk, "=%s", template->name);
    if (luaL_loadbufferx(L, buffer_str(lua), lua->len, chunk, "t") != LUA_OK) {
        syntax_error(&template->program, template->name, lua_tostring(L, -1), error);
        return false;
    }
    template->function = luaL_ref(L, LUA_REGISTRYINDEX);
    emit_push(L, &template->program);
    template->emit = luaL_ref(L, LUA_REGISTRYINDEX);
    return true;
}

static void forget(struct renderer *renderer, struct template *template) {
    struct template **link = &renderer->templates;
    while (*link != template)
        link = &(*link)->next;
    *link = template->next;
    if (renderer->lua) {
        luaL_unref(renderer->lua, LUA_REGISTRYINDEX, template->function);
        luaL_unref(renderer->lua, LUA_REGISTRYINDEX, template->emit);
    }
    program_free(&template->program);
    memo_clear(&template->memo);
    free(template->name);
    free(template);
}

static struct template *add(struct renderer *renderer, const char *name,
                            const struct identity *identity) {
    struct template *template = mem_zalloc(sizeof *template);
    template->name = mem_strdup(name);
    template->identity = *identity;
    template->function = template->emit = LUA_NOREF;
    template->next = renderer->templates;
    renderer->templates = template;
    return template;
}

static bool is_changed(const struct renderer *renderer, const struct template *template) {
    struct identity identity;
    char *path = find(renderer, template->name, &identity);
    bool changed = !path || !same(&template->identity, &identity);
    free(path);
    return changed;
}

void templates_refresh(struct renderer *renderer) {
    bool changed = false;
    struct template *next;
    for (struct template *t = renderer->templates; t; t = next) {
        next = t->next;
        if (is_changed(renderer, t)) {
            forget(renderer, t);
            changed = true;
        }
    }
    for (struct template *t = renderer->templates; t && changed; t = t->next)
        memo_clear(&t->memo);
}

static struct template *find_known(const struct renderer *renderer, const char *name) {
    struct template *template = renderer->templates;
    while (template && strcmp(template->name, name) != 0)
        template = template->next;
    return template;
}

/* Returns the template, compiled; NULL with an error. Files are looked at once a
 * rendering, so that all of it is made from one version of each. */
static struct template *get(lua_State *L, const char *name, struct error *error) {
    struct renderer *renderer = state_renderer(L);
    struct template *template = find_known(renderer, name);
    struct identity identity;
    if (template)
        return template;
    if (!is_good_name(name)) {
        (void)error_set(error, name,
                        "a template is named by its path below a folder of "
                        "templates");
        return NULL;
    }
    char *path = find(renderer, name, &identity);
    if (!path) {
        not_found(renderer, name, error);
    } else {
        template = add(renderer, name, &identity);
        if (!load(L, template, path, error)) {
            forget(renderer, template);
            template = NULL;
        }
    }
    free(path);
    return template;
}

static void enter(lua_State *L, struct template *template) {
    struct run *run = state_run(L);
    for (size_t i = 0; i < run->depth; i++)
        if (run->stack[i] == template)
            luaL_error(L, "include: '%s' includes itself", template->name);
    if (run->depth == INCLUDE_MAX)
        luaL_error(L, "include: more than %d templates in each other", INCLUDE_MAX);
    run->stack[run->depth++] = template;
}

void template_run(lua_State *L, const char *name, int globals) {
    struct run *run = state_run(L);
    struct template *template = get(L, name, run->error);
    if (!template) {
        raise(L);
        return;
    }
    enter(L, template);
    lua_rawgeti(L, LUA_REGISTRYINDEX, template->function);
    lua_rawgeti(L, LUA_REGISTRYINDEX, template->emit);
    lua_pushvalue(L, globals);
    lua_call(L, 2, 0);
    run->depth--;
}

struct memo *template_memo(const struct run *run) {
    return &run->stack[0]->memo;
}

void template_begin(struct renderer *renderer, const char *name) {
    const struct template *template = find_known(renderer, name);
    size_t size = template ? template->printed + template->printed / 32 : 0;
    if (size)
        mem_populate(buffer_reserve(renderer->run.out, size), size);
}

void template_end(struct renderer *renderer, const char *name) {
    struct template *template = find_known(renderer, name);
    if (!template)
        return;
    template->printed = renderer->run.out->len - renderer->run.start;
    memo_end(&template->memo, renderer->number, renderer->run.catalog);
}

const char *template_running(const struct run *run) {
    return run->depth ? run->stack[run->depth - 1]->name : "";
}

/* Lua's own errors begin with the place, which is told apart from the text here. */
static const char *without_place(const lua_Debug *at, const char *text) {
    char place[LUA_IDSIZE + 16];
    int len = snprintf(place, sizeof place, "%s:%d: ", at->short_src, at->currentline);
    return strncmp(text, place, (size_t)len) ? text : text + len;
}

/* Lua finds a level by counting from the top, so a runaway recursion is not walked to its
 * end. */
static void add_includers(lua_State *L, int level, const char *source,
                          struct buffer *text) {
    lua_Debug at;
    for (; level < LEVELS_MAX && lua_getstack(L, level, &at); level++) {
        (void)lua_getinfo(L, "Sl", &at);
        if (at.currentline <= 0 || at.source == source)
            continue;
        source = at.source;
        buffer_printf(text, " (included from %s:%d)", source + 1, at.currentline);
    }
}

int template_on_error(lua_State *L) {
    struct run *run = state_run(L);
    lua_Debug at;
    char where[256];
    const char *text = lua_tostring(L, 1);
    const char *inner = run->failed ? run->error->text : text;
    struct buffer message = BUFFER_INIT;
    int level = 0;
    while (lua_getstack(L, level, &at) && lua_getinfo(L, "Sl", &at) &&
           at.currentline <= 0)
        level++;
    if (!lua_getstack(L, level, &at)) {
        if (!run->failed)
            (void)error_set(run->error, template_running(run), "%s",
                            text ? text : "error");
        run->failed = true;
        return 1;
    }
    (void)lua_getinfo(L, "Sl", &at);
    (void)snprintf(where, sizeof where, "%s:%d", at.source + 1, at.currentline);
    if (run->failed && run->error->where[0]) {
        buffer_printf(&message, "%s (included from %s)", inner, where);
        (void)snprintf(where, sizeof where, "%.255s", run->error->where);
    } else {
        buffer_puts(&message, inner ? without_place(&at, inner) : "error without a text");
    }
    add_includers(L, level + 1, at.source, &message);
    (void)error_set(run->error, where, "%s", buffer_str(&message));
    run->failed = true;
    buffer_free(&message);
    return 1;
}

void templates_free(struct renderer *renderer) {
    while (renderer->templates)
        forget(renderer, renderer->templates);
}
