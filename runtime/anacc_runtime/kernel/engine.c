// Executes the groups of a plan.
#include "engine.h"

// Blocks are whole multiples of this where possible: the kernels do so many positions at a time, or
// a divisor of it.
enum { STEP = 12 };

typedef struct {
  const Job *job;
  const Group *group;
  int64_t positions;
  int size; // of a block
} Blocks;

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How long `threads` threads take, in positions, for blocks of `size`.
static int64_t rounds(int64_t positions, int size, int threads) {
  int64_t blocks = divide_up(positions, size), full = divide_up(blocks, threads) * size;
  bool alone = blocks % threads == 1 && threads > 1; // in the last round only the last block is left
  return alone ? full - size + (positions - (blocks - 1) * size) : full;
}

// The size of blocks of one thread: even ones.
static int even_size(int64_t positions) {
  int64_t blocks = divide_up(positions, BLOCK);
  int size = (int)(divide_up(divide_up(positions, blocks), STEP) * STEP);
  return size < BLOCK ? size : BLOCK;
}

// The size of blocks for several threads: what keeps all of them busy, as large as may be, and not
// so small that it is not worth it.
static int shared_size(int64_t positions, double work, int threads, double least_work) {
  if (positions >= (int64_t)threads * BLOCK) {
    int best = BLOCK;
    for (int size = BLOCK - STEP; size >= BLOCK / 2; size -= STEP)
      if (rounds(positions, size, threads) < rounds(positions, best, threads)) best = size;
    return best;
  }
  int64_t size = divide_up(positions, threads);
  if (size >= STEP) size = divide_up(size, STEP) * STEP;
  if ((double)size * work < least_work) size = (int64_t)(least_work / work) + 1;
  return size < BLOCK ? (int)size : BLOCK;
}

static void run_one(const void *argument, void *worker, int64_t block) {
  const Blocks *blocks = argument;
  int64_t first = block * blocks->size, left = blocks->positions - first;
  int count = left < blocks->size ? (int)left : blocks->size;
  run_block(worker, blocks->job, blocks->group, first, count);
}

static void run_group(const Job *job, const Group *group, Worker *worker, Crew *crew, int threads,
                      int64_t samples) {
  int64_t positions = samples * group->positions;
  double work = group->work ? (double)group->work : 1;
  double least_work = (double)job->least_work;
  bool shared = threads > 1 && (double)positions * work >= 2 * least_work;
  int size = shared ? shared_size(positions, work, threads, least_work) : even_size(positions);
  int64_t count = divide_up(positions, size);
  Blocks blocks = {job, group, positions, size};
  if (crew && shared && count > 1 && count <= UINT32_MAX) {
    Task task = {run_one, &blocks, (uint32_t)count};
    share_task(crew, &task, worker);
  } else {
    for (int64_t block = 0; block < count; block++) run_one(&blocks, worker, block);
  }
}

void run_plan(const Job *job, Worker *worker, Crew *crew, int threads, int64_t samples) {
  for (int64_t k = 0; k < job->plan->group_count; k++)
    run_group(job, &job->plan->groups[k], worker, crew, threads, samples);
}
