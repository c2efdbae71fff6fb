#include "workspace.h"

#include <stdlib.h>
#include <string.h>

void *allocate_aligned(size_t bytes) {
  if (bytes > SIZE_MAX - 64) return NULL;
  return aligned_alloc(64, bytes ? (bytes + 63) / 64 * 64 : 64);
}

Workspace *new_workspace(const Plan *plan, size_t scratch_bytes) {
  Workspace *workspace = calloc(1, sizeof *workspace);
  if (!workspace) return NULL;
  Worker *worker = &workspace->worker;
  size_t locals = (size_t)plan->local_bytes * BLOCK;
  worker->starts = calloc((size_t)plan->operand_count + 1, sizeof *worker->starts);
  worker->locals = allocate_aligned(locals);
  worker->scratch = allocate_aligned(scratch_bytes);
  if (!worker->starts || !worker->locals || !worker->scratch) {
    free_workspaces(workspace);
    return NULL;
  }
  // What a plan reads before it was written is never what another process has left.
  memset(worker->locals, 0, locals);
  return workspace;
}

void free_workspaces(Workspace *first) {
  while (first) {
    Workspace *next = first->next;
    free(first->worker.starts);
    free(first->worker.locals);
    free(first->worker.scratch);
    free(first);
    first = next;
  }
}

Arena *new_arena(const Plan *plan, int64_t samples) {
  size_t bytes;
  if (__builtin_mul_overflow((size_t)plan->arena_bytes, (size_t)samples, &bytes)) return NULL;
  Arena *arena = calloc(1, sizeof *arena);
  if (!arena) return NULL;
  arena->bytes = bytes;
  arena->memory = allocate_aligned(bytes);
  arena->regions = calloc((size_t)plan->region_count + 1, sizeof *arena->regions);
  if (!arena->memory || !arena->regions) {
    free_arenas(arena);
    return NULL;
  }
  memset(arena->memory, 0, bytes);
  return arena;
}

void free_arenas(Arena *first) {
  while (first) {
    Arena *next = first->next;
    free(first->memory);
    free(first->regions);
    free(first);
    first = next;
  }
}

bool holds(const Arena *arena, const Plan *plan, int64_t samples) {
  size_t bytes;
  return !__builtin_mul_overflow((size_t)plan->arena_bytes, (size_t)samples, &bytes) &&
         arena->bytes >= bytes;
}

void place_regions(Arena *arena, const Plan *plan, int64_t samples, int64_t first,
                   char *const *externals, char *constants16, char *constants32) {
  for (int k = 0; k < plan->region_count; k++) {
    const Region *region = &plan->regions[k];
    char *start = NULL;
    switch (region->kind) {
    case ARENA: start = arena->memory + region->offset * samples; break;
    case EXTERNAL: start = externals[region->offset] + first * region->size; break;
    case CONSTANTS16: start = constants16; break;
    case CONSTANTS32: start = constants32; break;
    case LOCAL: // in each thread's own memory
    case REGION_KINDS: break;
    }
    arena->regions[k] = start;
  }
}
