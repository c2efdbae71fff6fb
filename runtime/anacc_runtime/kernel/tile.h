// A tile of a crossbar with its converters and its local digital unit, for a block of positions.
//
// The sums of the whole block for one panel of columns are made first and then converted: so the
// weights of the panel and the sums stay in the first-level cache. Needs lanes_*.h and product_*.h.
#ifndef ANACC_TILE_H
#define ANACC_TILE_H

#include "finish.h"
#include "pack.h"

#include <string.h>

// Memory of run_tile.
typedef struct {
  Sums sums;
  Inputs inputs;
  BlockNoise noise;
} Sections;

static size_t round_up(size_t size) {
  return (size + INPUT_ALIGNMENT - 1) / INPUT_ALIGNMENT * INPUT_ALIGNMENT;
}

// Bytes of the codes of one position, and of what the products read of it.
static size_t code_bytes(const Tile *tile) { return round_up((size_t)tile->rows); }
static size_t input_bytes(const Tile *tile) {
  return code_bytes(tile) * (size_t)cell_bytes(tile->cells);
}

// The sections, and what gather_inputs writes; and what aligns them.
static size_t scratch_bytes(const Tile *tile) {
  size_t codes = tile->cells == CODES ? 0 : code_bytes(tile);
  return INPUT_ALIGNMENT + round_up(sizeof(Sections)) + BLOCK * (2 * input_bytes(tile) + codes);
}

// memcpy of a few bytes, without a call.
static inline void copy_run(int8_t *target, const char *source, size_t length) {
  for (; length >= 32; length -= 32, source += 32, target += 32) memcpy(target, source, 32);
  if (length & 16) memcpy(target, source, 16), source += 16, target += 16;
  if (length & 8) memcpy(target, source, 8), source += 8, target += 8;
  if (length & 4) memcpy(target, source, 4), source += 4, target += 4;
  for (length &= 3; length; length--) *target++ = *source++;
}

// The codes of one position, padded with zeros to `length`.
static void gather_codes(const Tile *tile, const char *x, size_t length, int8_t *codes) {
  const size_t padding = length - (size_t)tile->rows;
  if (padding) memset(codes + tile->rows, 0, padding);
  for (const Run *run = tile->runs, *end = run + tile->run_count; run < end; run++) {
    copy_run(codes, x + run->offset, (size_t)run->length);
    codes += run->length;
  }
}

enum { AHEAD = 8 }; // positions

// Brings a long piece of an input vector into the cache. Where pieces are short, they overlap with
// those of other positions.
static inline void prefetch_codes(const Tile *tile, const char *x) {
  if (tile->run_count > 1) return;
  for (int k = 0; k < tile->rows; k += 64) __builtin_prefetch(x + tile->runs[0].offset + k);
}

static void widen_codes(const int8_t *codes, size_t length, int16_t *target) {
  for (size_t k = 0; k < length; k++) target[k] = codes[k];
}

// Absolute values of codes.
static void take_magnitudes(const int8_t *codes, size_t length, int8_t *target) {
  for (size_t k = 0; k < length; k++) target[k] = (int8_t)(codes[k] < 0 ? -codes[k] : codes[k]);
}

// Whether any of the codes is below 0.
static int has_negatives(const int8_t *codes, size_t length) {
  int8_t all = 0;
  for (size_t k = 0; k < length; k++) all |= codes[k];
  return all < 0;
}

// Copies the inputs of a block to `memory`: as the products read them, their magnitudes, and, where
// cells are 16 bits, the codes that they are made from. A row is worked on only after all are
// copied, since reading at once what was written in other pieces has to wait.
static void gather_inputs(const Tile *tile, const TileBlock *block, char *memory, Inputs *in) {
  const size_t length = code_bytes(tile), stride = input_bytes(tile);
  const int words = tile->cells != CODES;
  char *x = memory, *magnitudes = x + BLOCK * stride;
  int8_t *rows = (int8_t *)(words ? magnitudes + BLOCK * stride : x);
  for (int p = 0; p < block->count; p++) {
    if (p + AHEAD < block->count) prefetch_codes(tile, block->x[p + AHEAD]);
    gather_codes(tile, block->x[p], length, rows + (size_t)p * length);
  }
  int negatives = !tile->nonnegative && has_negatives(rows, (size_t)block->count * length);
  for (int p = 0; p < block->count; p++) {
    int8_t *row = rows + (size_t)p * length;
    char *target = x + (size_t)p * stride, *magnitude = magnitudes + (size_t)p * stride;
    in->first[p] = words ? 0 : first_sum(row, length);
    if (words) widen_codes(row, length, (int16_t *)target);
    if (negatives) take_magnitudes(row, length, words ? row : (int8_t *)magnitude);
    if (negatives && words) widen_codes(row, length, (int16_t *)magnitude);
  }
  in->x = x;
  in->magnitude = negatives ? magnitudes : x;
  in->stride = stride;
  in->count = block->count;
  in->groups = group_count(tile->rows, tile->cells);
}

static void run_tile(const Tile *tile, const TileBlock *block, void *scratch) {
  uintptr_t start = ((uintptr_t)scratch + INPUT_ALIGNMENT - 1) & ~(uintptr_t)(INPUT_ALIGNMENT - 1);
  Sections *work = (Sections *)start;
  const Finish finish = make_finish(tile, block, &work->sums, &work->noise);
  gather_inputs(tile, block, (char *)start + round_up(sizeof *work), &work->inputs);
  const char *weights = tile->weights;
  for (int column = 0; column < tile->columns; column += PANEL) {
    const int phases = tile->converter.phases, used = tile->columns - column;
    const char *total =
        tile->cells == TWO_SIDED ? weights + plane_bytes(tile->rows, tile->cells) : NULL;
    if (tile->cells == CODES)
      sum_codes(&work->inputs, weights, phases, used, &work->sums);
    else
      sum_words(&work->inputs, weights, total, phases, used, &work->sums);
    if (block->noise && column % NOISE_GROUP == 0) draw_noise(tile, block, column, work->noise);
    finish_panel(&finish, column);
    weights += panel_bytes(tile->rows, tile->cells);
  }
}

#endif
