// Executes plans: blocks of positions one after another, on one thread or on several.
#ifndef ANACC_ENGINE_H
#define ANACC_ENGINE_H

#include "crew.h"
#include "plan.h"

// Work, in multiply-adds, that a block must be for it to be worth another thread: a few
// microseconds, where handing it over takes one.
enum { LEAST_WORK = 200000 };

// What a run executes; the same for all its threads.
typedef struct {
  const Plan *plan;
  const Isa *isa;
  const Tile *const *tiles;
  const Noise *noise;    // one for each tile; NULL: none
  char *const *regions;  // where each begins; of LOCAL ones, in the locals of a thread
  uint32_t first_sample; // what sample 0 of the run is to the noise
  int64_t least_work;    // of a block that another thread is given
} Job;

// What a thread needs for a block: memory of its own, and where it is in the plan. Pointers of an
// operand's positions are worked out for each operation anew, since a block in a time step of a
// recurrence has hundreds of operations, whose pointers together would not stay in a cache.
typedef struct {
  const Job *job;
  const Group *group;
  int64_t first; // position of the block's first
  int count;
  int64_t loops[MAX_DEPTH];
  char **starts; // for each operand of the group, where it is at the first position
  char *locals;
  void *scratch;
  TileBlock tile;
  char *targets[BLOCK];
  char *sources[MAX_SOURCES][BLOCK];
} Worker;

// Execute one block of a group.
void run_block(Worker *worker, const Job *job, const Group *group, int64_t first, int count);

// Copy `count` vectors of `copy->element` bytes and its dimensions.
void run_gather(const Copy *copy, int count, char *const *targets, char *const *sources);
void run_scatter(const Copy *copy, int count, char *const *targets, char *const *sources);
void run_fill(const Fill *fill, int count, char *const *targets);

// Execute all groups for `samples` samples. The blocks are for `threads` threads that may share
// them, the crew (NULL: this thread alone) being those that do.
void run_plan(const Job *job, Worker *worker, Crew *crew, int threads, int64_t samples);

#endif
