// Executes one block of positions of a group.
#include "engine.h"

// Work out a number for `count` positions from `first` on, without its base and loops. Pointers are
// worked out with the same code, as numbers of bytes.
static void spread(const Affine *affine, int64_t positions, int64_t first, int count,
                   int64_t *offsets) {
  const Dim *dims = affine->dims;
  if (affine->table) {
    int64_t sample = first / positions, position = first % positions;
    for (int p = 0; p < count; p++) {
      offsets[p] = sample * dims[0].stride + affine->table[position];
      if (++position == positions) position = 0, sample++;
    }
    return;
  }
  int last = affine->dim_count - 1;
  int64_t index[MAX_AXES + 1], start = 0;
  for (int k = last; k > 0; k--) {
    index[k] = first % dims[k].count;
    first /= dims[k].count;
    start += index[k] * dims[k].stride;
  }
  start += first * dims[0].stride;
  for (int p = 0;;) {
    // A run along the innermost dimension, then a step of those outside.
    int64_t left = last ? dims[last].count - index[last] : count;
    int end = left < count - p ? p + (int)left : count;
    for (; p < end; p++, start += dims[last].stride) offsets[p] = start;
    if (p == count) return;
    index[last] = 0;
    start -= dims[last].count * dims[last].stride;
    int k = last - 1;
    while (k > 0 && ++index[k] == dims[k].count) {
      start -= (dims[k].count - 1) * dims[k].stride;
      index[k--] = 0;
    }
    start += dims[k].stride;
  }
}

static inline int64_t loop_offset(const Worker *worker, const Affine *affine) {
  int64_t offset = 0;
  for (int k = 0; k < affine->depth; k++) offset += affine->loops[k] * worker->loops[k];
  return offset;
}

// Work out where the positions of the block after the first are.
static void locate_rest(const Worker *worker, const Affine *affine, char **pointers) {
  char *start = pointers[0];
  if (affine->dim_count == 1 && !affine->table) {
    int64_t stride = affine->dims[0].stride;
    for (int p = 1; p < worker->count; p++) pointers[p] = start + p * stride;
    return;
  }
  int64_t offsets[BLOCK];
  spread(affine, worker->group->positions, worker->first, worker->count, offsets);
  for (int p = 1; p < worker->count; p++) pointers[p] = start + (offsets[p] - offsets[0]);
}

// Where an operand is at the positions of the block, in the present iteration.
static inline void locate(const Worker *worker, const Operand *operand, char **pointers) {
  pointers[0] = worker->starts[operand->slot] + loop_offset(worker, &operand->offset);
  if (worker->count > 1) locate_rest(worker, &operand->offset, pointers);
}

// Say which sample, position and time the draws of noise are of.
static void locate_noise(Worker *worker, const TileCall *call) {
  TileBlock *block = &worker->tile;
  int64_t positions = worker->group->positions, offsets[BLOCK];
  int64_t sample = worker->first / positions, next = (sample + 1) * positions - worker->first;
  int64_t base = call->position.base + loop_offset(worker, &call->position);
  spread(&call->position, positions, worker->first, worker->count, offsets);
  for (int p = 0; p < worker->count; p++) {
    if (p == next) sample++, next += positions;
    block->sample[p] = worker->job->first_sample + (uint32_t)sample;
    block->position[p] = (uint32_t)(base + offsets[p]);
  }
  block->time = (uint32_t)(call->time.base + loop_offset(worker, &call->time));
}

static void run_tile_call(Worker *worker, const TileCall *call) {
  const Job *job = worker->job;
  const Tile *tile = job->tiles[call->tile];
  if (!call->value && !call->codes) return; // run_tile wants one of them at least
  TileBlock *block = &worker->tile;
  block->count = worker->count;
  locate(worker, call->x, (char **)block->x);
  for (int k = 0; k < tile->addend_count; k++)
    locate(worker, call->addends[k], (char **)block->addends[k]);
  block->value[0] = block->codes[0] = NULL;
  if (call->value) locate(worker, call->value, block->value);
  if (call->codes) locate(worker, call->codes, block->codes);
  block->noise = NULL;
  if (job->noise && job->noise[call->tile].deviation > 0) {
    block->noise = &job->noise[call->tile];
    locate_noise(worker, call);
  }
  job->isa->run_tile(tile, block, worker->scratch);
}

static void run_vector_call(Worker *worker, const Vector *vector) {
  const char *const *sources[MAX_SOURCES];
  for (int k = 0; k < vector->source_count; k++) {
    locate(worker, vector->sources[k], worker->sources[k]);
    sources[k] = (const char *const *)worker->sources[k];
  }
  locate(worker, vector->target, worker->targets);
  worker->job->isa->run_vector(&vector->instr, worker->count, worker->targets, sources);
}

static void run_body(Worker *worker, const Body *body);

// The independent parts of a body are run forwards and backwards by turns. A recurrence reads the
// same weights in each iteration, and where a cache is too small for all of them, those that were
// used last are in it: going round in one direction they would be gone when their turn comes.
static void run_loop(Worker *worker, const Loop *loop) {
  for (int64_t i = 0; i < loop->count; i++) {
    worker->loops[loop->depth] = i;
    if (i % 2 && loop->part_count)
      for (int64_t k = 0; k < loop->part_count; k++) run_body(worker, &loop->parts[k]);
    else
      run_body(worker, &loop->body);
  }
}

static void run_body(Worker *worker, const Body *body) {
  for (int64_t k = 0; k < body->count; k++) {
    const Node *node = &body->nodes[k];
    switch (node->kind) {
    case LOOP: run_loop(worker, &node->loop); break;
    case GATHER:
      locate(worker, node->copy.target, worker->targets);
      locate(worker, node->copy.source, worker->sources[0]);
      run_gather(&node->copy, worker->count, worker->targets, worker->sources[0]);
      break;
    case SCATTER:
      locate(worker, node->copy.target, worker->targets);
      locate(worker, node->copy.source, worker->sources[0]);
      run_scatter(&node->copy, worker->count, worker->targets, worker->sources[0]);
      break;
    case FILL:
      locate(worker, node->fill.target, worker->targets);
      run_fill(&node->fill, worker->count, worker->targets);
      break;
    case TILE_CALL: run_tile_call(worker, &node->tile); break;
    case VECTOR: run_vector_call(worker, &node->vector); break;
    case NODE_KINDS: break;
    }
  }
}

// Where the operands of the group are at the first position of the block, in the first iteration.
static void start_operands(Worker *worker) {
  const Plan *plan = worker->job->plan;
  for (const Operand *operand = worker->group->operands; operand; operand = operand->next) {
    char *region = worker->job->regions[operand->region];
    int64_t offset = 0;
    if (operand->local)
      region = worker->locals + plan->regions[operand->region].offset * BLOCK;
    else
      spread(&operand->offset, worker->group->positions, worker->first, 1, &offset);
    worker->starts[operand->slot] = region + (operand->offset.base + offset);
  }
}

void run_block(Worker *worker, const Job *job, const Group *group, int64_t first, int count) {
  worker->job = job;
  worker->group = group;
  worker->first = first;
  worker->count = count;
  start_operands(worker);
  run_body(worker, &group->body);
}
