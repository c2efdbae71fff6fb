// Operands of a plan: addresses that stay inside their regions.
#include "reader.h"

#include <stdlib.h>
#include <string.h>

// Memory of a plan comes in chunks, which are given back together.
typedef struct Chunk {
  struct Chunk *next;
  size_t used, size;
  _Alignas(16) char bytes[];
} Chunk;

enum { CHUNK_BYTES = 1 << 16 };

void fail(Reader *reader, const char *error) {
  if (!reader->error) reader->error = error;
  reader->next = reader->end;
}

void *allocate(Reader *reader, int64_t count, size_t size) {
  if (reader->error) return NULL;
  size_t bytes = ((size_t)count * size + 15) / 16 * 16;
  Chunk *chunk = reader->plan->memory;
  if (!chunk || chunk->size - chunk->used < bytes) {
    size_t fresh = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    chunk = calloc(1, sizeof *chunk + fresh);
    if (!chunk) return fail(reader, "there is no memory for the plan"), NULL;
    chunk->next = reader->plan->memory;
    chunk->size = fresh;
    reader->plan->memory = chunk;
  }
  void *result = chunk->bytes + chunk->used;
  chunk->used += bytes;
  return result;
}

void free_plan(Plan *plan) {
  while (plan->memory) {
    Chunk *chunk = plan->memory;
    plan->memory = chunk->next;
    free(chunk);
  }
}

int64_t read_word(Reader *reader, int64_t low, int64_t high, const char *error) {
  if (reader->next == reader->end) return fail(reader, "the plan ends too early"), 0;
  int64_t word = *reader->next++;
  if (word < low || word > high) return fail(reader, error), 0;
  return word;
}

int64_t read_count(Reader *reader) {
  // Each thing takes a word at least: no plan makes us allocate much more than its own size.
  return read_word(reader, 0, reader->end - reader->next, "a count in the plan is impossible");
}

// Add the offsets of `count` steps of `stride` to an interval.
static void widen(Reader *reader, int64_t count, int64_t stride, int64_t *lowest,
                  int64_t *highest) {
  int64_t *end = stride < 0 ? lowest : highest, distance;
  if (__builtin_mul_overflow(count - 1, stride, &distance) ||
      __builtin_add_overflow(*end, distance, end))
    fail(reader, "an address of the plan does not fit in 64 bits");
}

const Dim *read_dims(Reader *reader, int *count, int64_t *lowest, int64_t *highest) {
  *count = (int)read_word(reader, 0, MAX_DIMS, "a copy has too many dimensions");
  Dim *dims = allocate(reader, *count, sizeof *dims);
  for (int k = 0; k < *count && !reader->error; k++) {
    dims[k].count = read_word(reader, 1, INT32_MAX, "a dimension of a copy is out of range");
    dims[k].stride = read_word(reader, INT64_MIN, INT64_MAX, "");
    widen(reader, dims[k].count, dims[k].stride, lowest, highest);
  }
  return dims;
}

// Read base and loop strides; the interval of the numbers is added to [*lowest, *highest].
static void read_loops(Reader *reader, Affine *affine, int64_t *lowest, int64_t *highest) {
  affine->base = read_word(reader, INT64_MIN, INT64_MAX, "");
  if (__builtin_add_overflow(*lowest, affine->base, lowest) ||
      __builtin_add_overflow(*highest, affine->base, highest))
    fail(reader, "an address of the plan does not fit in 64 bits");
  int64_t *loops = allocate(reader, reader->depth, sizeof *loops);
  affine->loops = loops;
  for (int k = 0; k < reader->depth && !reader->error; k++) {
    loops[k] = read_word(reader, INT64_MIN, INT64_MAX, "");
    widen(reader, reader->loops[k], loops[k], lowest, highest);
    if (loops[k]) affine->depth = k + 1;
  }
}

// Read axis strides and make `dims` of them and of the stride from sample to sample: a dimension is
// merged with the one inside it where both together are one with more steps.
static void read_axes(Reader *reader, Affine *affine, int64_t sample_stride, int64_t *lowest,
                      int64_t *highest) {
  Dim dims[MAX_AXES + 1] = {{.count = 0, .stride = sample_stride}};
  int count = 1;
  for (int k = 0; k < reader->axis_count; k++) {
    Dim next = {reader->axes[k], read_word(reader, INT64_MIN, INT64_MAX, "")};
    if (reader->error) return;
    widen(reader, next.count, next.stride, lowest, highest);
    if (next.count == 1) continue;
    int64_t span;
    if (!__builtin_mul_overflow(next.count, next.stride, &span) && span == dims[count - 1].stride) {
      dims[count - 1].count *= next.count;
      dims[count - 1].stride = next.stride;
    } else {
      dims[count++] = next;
    }
  }
  Dim *kept = allocate(reader, count, sizeof *kept);
  if (!kept) return;
  memcpy(kept, dims, (size_t)count * sizeof *kept);
  affine->dims = kept;
  affine->dim_count = count;
}

// Read axis strides that must all be 0, so that only the stride of the samples, or of the positions
// of a block, is left.
static void read_no_axes(Reader *reader, Affine *affine, int64_t stride, const char *error) {
  for (int k = 0; k < reader->axis_count; k++) read_word(reader, 0, 0, error);
  Dim *dim = allocate(reader, 1, sizeof *dim);
  if (!dim) return;
  dim->stride = stride;
  affine->dims = dim;
  affine->dim_count = 1;
}

static void use_table(Reader *reader, Affine *affine, int64_t number, int64_t *lowest,
                      int64_t *highest) {
  const Table *table = &reader->tables[number];
  if (table->count != reader->group->positions)
    return fail(reader, "a table does not have an offset for each position of its group");
  affine->table = table->offsets;
  if (__builtin_add_overflow(*lowest, table->lowest, lowest) ||
      __builtin_add_overflow(*highest, table->highest, highest))
    fail(reader, "an address of the plan does not fit in 64 bits");
}

Operand *read_operand(Reader *reader, int64_t lowest, int64_t highest, bool written) {
  Operand *operand = allocate(reader, 1, sizeof *operand);
  int64_t number = read_word(reader, 0, (int64_t)reader->plan->region_count - 1,
                             "an operand has an unknown region");
  int64_t table = read_word(reader, -1, reader->table_count - 1, "an operand has an unknown table");
  if (reader->error) return NULL;
  Region *region = &reader->plan->regions[number];
  operand->region = (int)number;
  operand->local = region->kind == LOCAL;
  operand->written = written;
  operand->low = lowest;
  operand->high = highest;
  int64_t stride = region->kind <= EXTERNAL ? region->size : 0;
  read_loops(reader, &operand->offset, &lowest, &highest);
  if (operand->local && table >= 0) fail(reader, "an operand in a local region has a table");
  if (operand->local || table >= 0)
    read_no_axes(reader, &operand->offset, stride, "a local operand or a table moves with an axis");
  else
    read_axes(reader, &operand->offset, stride, &lowest, &highest);
  if (table >= 0 && !reader->error) use_table(reader, &operand->offset, table, &lowest, &highest);
  if (reader->error) return NULL;
  if (lowest < 0 || highest > region->size)
    return fail(reader, "an operand leaves its region"), NULL;
  if (written && region->kind >= CONSTANTS16)
    return fail(reader, "an operation writes to constants"), NULL;
  region->written |= written;
  operand->slot = reader->group->operand_count++;
  *reader->last_operand = operand;
  reader->last_operand = &operand->next;
  return operand;
}

Operand *read_optional(Reader *reader, int64_t extent, bool written) {
  bool present = read_word(reader, 0, 1, "an optional operand is neither there nor missing");
  return present ? read_operand(reader, 0, extent, written) : NULL;
}

void read_index(Reader *reader, Affine *index, bool still) {
  int64_t lowest = 0, highest = 0;
  read_loops(reader, index, &lowest, &highest);
  if (still)
    read_no_axes(reader, index, 0, "the time of a tile moves with an axis");
  else
    read_axes(reader, index, 0, &lowest, &highest);
  if (lowest < 0 || highest > UINT32_MAX) fail(reader, "an index of the plan is out of range");
}
