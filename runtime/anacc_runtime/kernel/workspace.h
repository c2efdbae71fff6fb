// Memory of runs, kept by an engine from one run to the next.
#ifndef ANACC_WORKSPACE_H
#define ANACC_WORKSPACE_H

#include "engine.h"

// The memory of a run: all ARENA regions for some samples.
typedef struct Arena {
  struct Arena *next;
  size_t bytes;
  char *memory;
  char **regions; // of Job; filled by place_regions()
} Arena;

// A worker with its memory.
typedef struct Workspace {
  struct Workspace *next;
  Worker worker;
} Workspace;

// Memory aligned to 64 bytes, at least one byte of it; NULL where there is none. For free().
void *allocate_aligned(size_t bytes);

// NULL where there is no memory. `scratch_bytes` is what the largest tile needs.
Workspace *new_workspace(const Plan *plan, size_t scratch_bytes);
void free_workspaces(Workspace *first);

Arena *new_arena(const Plan *plan, int64_t samples);
void free_arenas(Arena *first);

// Whether an arena is large enough for so many samples.
bool holds(const Arena *arena, const Plan *plan, int64_t samples);

// Say where the regions of a plan are for `samples` samples from `first` on. `externals` are the
// arrays of the whole batch.
void place_regions(Arena *arena, const Plan *plan, int64_t samples, int64_t first,
                   char *const *externals, char *constants16, char *constants32);

#endif
