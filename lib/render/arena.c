/* Memory of one rendering: handed out in order, released at once. */
#include "base/mem.h"
#include "render/state.h"

#include <lauxlib.h>
#include <stdalign.h>
#include <stdlib.h>

enum { ARENA_BLOCK = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

static struct arena_block *grow(lua_State *L, struct run *run, size_t size) {
    size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;
    if (room > MEMORY_MAX || run->memory + room > MEMORY_MAX)
        luaL_error(L, "the template needs more than %d MiB of memory", MEMORY_MAX >> 20);
    struct arena_block *block = mem_zalloc(sizeof *block + room);
    block->size = room;
    block->next = run->arena;
    run->arena = block;
    run->memory += room;
    return block;
}

void *arena_alloc(lua_State *L, size_t size) {
    struct run *run = state_run(L);
    struct arena_block *block = run->arena;
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!block || block->size - block->used < size)
        block = grow(L, run, size);
    void *memory = block->bytes + block->used;
    block->used += size;
    return memory;
}

void arena_free(struct run *run) {
    while (run->arena) {
        struct arena_block *block = run->arena;
        run->arena = block->next;
        run->memory -= block->size;
        free(block);
    }
}
