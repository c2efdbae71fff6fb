// Converters and local digital unit: from the sums of a crossbar to values and codes.
//
// Needs lanes_*.h and gaussian.h.
#ifndef ANACC_FINISH_H
#define ANACC_FINISH_H

#include "convert.h"

// Noise of a block for two panels, by phase.
typedef int32_t BlockNoise[2][BLOCK][NOISE_GROUP];

// The row tiles of a layer look alike: each adds at most one partial sum, as binary16 without a
// scale. All but the last pass a PARTIAL sum on, the last one gives CODES_ONLY after a ReLU. Loops
// without branches serve these, where there is no noise.
typedef enum { GENERAL, PARTIAL, CODES_ONLY } Shape;

// What turns sums into results. What a tile and a block say is copied: compilers must assume that
// results which are written may overlap with what pointers lead to.
typedef struct {
  const Tile *tile;
  const TileBlock *block;
  const Sums *sums;
  const BlockNoise *noise; // NULL: none
  int finer;               // with noise: by what charges are shifted to be in 1/64 code
  Conversion conversion;
  const float *scale, *offset;
  Floats low, high;
  Activation activation;
  int addend_count, has_value, has_codes;
  Shape shape;
  int columns;          // of the tile
} Finish;

// Draws the noise of all positions for two panels, the first of which begins with `column`.
static void draw_noise(const Tile *tile, const TileBlock *block, int column, BlockNoise noise) {
  const int left = tile->columns - column, phases = tile->converter.phases == 1 ? 1 : 2;
  for (int phase = 0; phase < phases; phase++)
    draw_block(block->noise, phase, block->sample, block->position, block->time, block->count,
               (uint32_t)column / NOISE_GROUP, left < NOISE_GROUP ? left : NOISE_GROUP,
               noise[phase][0], NOISE_GROUP);
}

static Shape find_shape(const Tile *tile, const TileBlock *block) {
  const Addend *addend = tile->addends;
  const int value = block->value[0] != NULL, codes = block->codes[0] != NULL;
  const int one = tile->addend_count == 1 && addend->format == BINARY16 && !addend->scale;
  if (block->noise || (tile->addend_count && !one)) return GENERAL;
  if (tile->activation == KEEP && value && !codes) return PARTIAL;
  return tile->activation == RELU && codes && !value ? CODES_ONLY : GENERAL;
}

static Finish make_finish(const Tile *tile, const TileBlock *block, const Sums *sums,
                          const BlockNoise *noise) {
  return (Finish){
      .tile = tile,
      .block = block,
      .sums = sums,
      .noise = block->noise ? noise : NULL,
      .finer = tile->cells == CODES ? 6 : 0,
      .conversion =
          make_conversion(&tile->converter, tile->cells != CODES || block->noise != NULL),
      .scale = tile->scale,
      .offset = tile->offset,
      .activation = tile->activation,
      .low = f_set(tile->low),
      .high = f_set(tile->high),
      .addend_count = tile->addend_count,
      .has_value = block->value[0] != NULL,
      .has_codes = block->codes[0] != NULL,
      .shape = find_shape(tile, block),
      .columns = tile->columns,
  };
}

INLINE Floats one_phase(const Finish *f, int p, int column, const Method method,
                        const Shape shape) {
  Ints difference = i_load(f->sums->difference[p] + column % PANEL);
  if (shape == GENERAL && f->noise) {
    Ints noise = i_load((*f->noise)[0][p] + column % NOISE_GROUP);
    difference = i_add(i_shl(difference, f->finer), noise);
  }
  return convert_difference(&f->conversion, difference, method);
}

// The charge of a phase is not negative, with noise neither: a converter does not count below 0.
// Twice a charge may need all 32 bits.
INLINE Floats four_phases(const Finish *f, int p, int column, const Method method,
                          const Shape shape) {
  Ints difference = i_load(f->sums->difference[p] + column % PANEL);
  Ints magnitude = i_load(f->sums->magnitude[p] + column % PANEL);
  Ints plus = i_shr(i_add(magnitude, difference), 1);
  Ints minus = i_shr(i_sub(magnitude, difference), 1);
  if (shape == GENERAL && f->noise) {
    const int inner = column % NOISE_GROUP;
    plus = i_add(i_shl(plus, f->finer), i_load((*f->noise)[0][p] + inner));
    minus = i_add(i_shl(minus, f->finer), i_load((*f->noise)[1][p] + inner));
    plus = i_max(plus, i_set(0)), minus = i_max(minus, i_set(0));
  }
  return convert_phases(&f->conversion, plus, minus, method);
}

INLINE Halves add_addends(const Finish *f, int p, int column, const int n, Halves y) {
  for (int k = 0; k < f->addend_count; k++) {
    const Addend *addend = &f->tile->addends[k];
    const char *source = f->block->addends[k][p];
    Floats value = addend->format == INT8 ? f_load_codes(source + column, n)
                                          : f_load_halves(source + 2 * (ptrdiff_t)column, n);
    if (addend->scale) value = f_round_half(f_mul(value, f_load(addend->scale + column)));
    y = h_round(f_add(f_from_halves(y), value));
  }
  return y;
}

INLINE Halves add_partial(const Finish *f, int p, int column, const int n, Halves y) {
  Floats partial = f_load_halves(f->block->addends[0][p] + 2 * (ptrdiff_t)column, n);
  return h_round(f_add(f_from_halves(y), partial));
}

INLINE Floats activate(const Finish *f, Floats y) {
  if (f->activation == RELU) return f_max(y, f_set(0));
  // Bounds come first so that of two zeros y stays.
  if (f->activation == CLAMP) return f_min(f->high, f_max(f->low, y));
  return y;
}

// The results of one position for LANES columns from `column` on, of which n are there. All that is
// const is known to the compiler; `partial` says whether a shape that is not GENERAL adds one.
INLINE void finish_vector(const Finish *f, int p, int column, const int n, const int phases,
                          const Method method, const Shape shape, const int partial) {
  const Floats counts = phases == 1 ? one_phase(f, p, column, method, shape)
                                    : four_phases(f, p, column, method, shape);
  const Floats scale = f_load(f->scale + column);
  // Without an offset -0 is added, which changes no number, not even -0.
  const Floats offset = f->offset ? f_load(f->offset + column) : f_set(-0.0f);
  // Where the product is exact, a fused multiply-add rounds no less often.
  Halves y = h_round(method == FUSED ? f_fma(counts, scale, offset)
                                     : f_add(f_mul(counts, scale), offset));
  if (shape == GENERAL)
    y = add_addends(f, p, column, n, y);
  else if (partial)
    y = add_partial(f, p, column, n, y);
  if (shape == PARTIAL || (f->activation == KEEP && !f->has_codes)) {
    h_store(f->block->value[p] + 2 * (ptrdiff_t)column, y, n);
    return;
  }
  Floats active = f_from_halves(y);
  if (shape == CODES_ONLY) {
    f_store_codes(f->block->codes[p] + column, f_max(active, f_set(0)), n);
    return;
  }
  active = activate(f, active);
  if (f->has_value) f_store_halves(f->block->value[p] + 2 * (ptrdiff_t)column, active, n);
  if (f->has_codes) f_store_codes(f->block->codes[p] + column, active, n);
}

// Results of all positions for the columns [first, end).
INLINE void finish_columns(const Finish *f, int first, int end, const int phases,
                           const Method method, const Shape shape, const int partial) {
  const Finish local = *f;
  const int count = local.block->count;
  int column = first;
  for (; column + LANES <= end; column += LANES)
    for (int p = 0; p < count; p++)
      finish_vector(&local, p, column, LANES, phases, method, shape, partial);
  if (column == end) return;
  for (int p = 0; p < count; p++)
    finish_vector(&local, p, column, end - column, phases, method, shape, partial);
}

INLINE void finish_phases(const Finish *f, int first, int end, const int phases) {
  const int partial = f->addend_count > 0;
  if (f->conversion.method == HIGH)
    finish_columns(f, first, end, phases, HIGH, GENERAL, 0);
  else if (f->conversion.method == SCALAR)
    finish_columns(f, first, end, phases, SCALAR, GENERAL, 0);
  else if (f->shape == GENERAL)
    finish_columns(f, first, end, phases, FUSED, GENERAL, 0);
  else if (f->shape == PARTIAL && partial)
    finish_columns(f, first, end, phases, FUSED, PARTIAL, 1);
  else if (f->shape == PARTIAL)
    finish_columns(f, first, end, phases, FUSED, PARTIAL, 0);
  else if (partial)
    finish_columns(f, first, end, phases, FUSED, CODES_ONLY, 1);
  else
    finish_columns(f, first, end, phases, FUSED, CODES_ONLY, 0);
}

// Converters and local digital unit for the panel whose first column is `first`.
static void finish_panel(const Finish *f, int first) {
  const int end = first + PANEL < f->columns ? first + PANEL : f->columns;
  if (f->tile->converter.phases == 4)
    finish_phases(f, first, end, 4);
  else
    finish_phases(f, first, end, 1);
}

#endif
