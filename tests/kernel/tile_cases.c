// run_tile: crossbar, converters and local digital unit.
#include "cases.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// A generated tile with all that the model needs: `rows` codes of each position one after another,
// differences and sums of conductances column after column.
typedef struct {
  Tile tile;
  TileBlock block;
  Noise noise;
  const int8_t *x;
  const int16_t *difference, *sum;
} TileCase;

enum { LARGEST_CONDUCTANCE = (1 << 14) - 1 };

static void generate_conductances(TileCase *c, Random *random, Memory *memory) {
  size_t cells = (size_t)c->tile.rows * (size_t)c->tile.columns;
  int16_t *difference = (int16_t *)aligned_block(memory, cells * sizeof *difference);
  int16_t *sum = (int16_t *)aligned_block(memory, cells * sizeof *sum);
  int largest = c->tile.cells == CODES ? 127 : LARGEST_CONDUCTANCE;
  int extreme = one_in(random, 4), sparse = one_in(random, 4);
  for (size_t k = 0; k < cells; k++) {
    int plus = (int)(extreme ? largest : between(random, 0, largest));
    int minus = (int)(extreme ? largest : between(random, 0, largest));
    if (c->tile.cells != TWO_SIDED || one_in(random, 3)) *(one_in(random, 2) ? &plus : &minus) = 0;
    if (sparse && one_in(random, 2)) plus = minus = 0;
    difference[k] = (int16_t)(plus - minus);
    sum[k] = (int16_t)(plus + minus);
  }
  c->difference = difference;
  c->sum = sum;
}

// The cells as `isa` packs them.
static const void *pack(const TileCase *c, const Isa *isa, Random *random, Memory *memory) {
  const Tile *tile = &c->tile;
  size_t width = tile->cells == CODES ? 1 : 2, stride = (size_t)tile->columns;
  stride += (size_t)between(random, 0, 3);
  size_t bytes = (((size_t)tile->rows - 1) * stride + (size_t)tile->columns) * width;
  char *difference = aligned_block(memory, bytes), *sum = aligned_block(memory, bytes);
  for (int row = 0; row < tile->rows; row++) {
    for (int column = 0; column < tile->columns; column++) {
      size_t cell = (size_t)column * (size_t)tile->rows + (size_t)row;
      size_t at = ((size_t)row * stride + (size_t)column) * width;
      int8_t weight = (int8_t)c->difference[cell];
      memcpy(difference + at, width == 1 ? (const void *)&weight : &c->difference[cell], width);
      memcpy(sum + at, &c->sum[cell], width);
    }
  }
  char *target = aligned_block(memory, isa->packed_bytes(tile->rows, tile->columns, tile->cells));
  isa->pack(tile->rows, tile->columns, tile->cells, difference,
            tile->cells == TWO_SIDED ? sum : NULL, (ptrdiff_t)stride, target);
  return target;
}

// Cuts the rows into pieces that lie in any order with gaps between them; returns their extent.
static int generate_runs(TileCase *c, Random *random, Memory *memory) {
  int rows = c->tile.rows;
  int count = (int)between(random, 1, rows < 9 ? rows : 9);
  Run *runs = (Run *)aligned_block(memory, (size_t)count * sizeof *runs);
  for (int k = 0, left = rows; k < count; k++) {
    runs[k].length = k == count - 1 ? left : (int32_t)between(random, 1, left - (count - 1 - k));
    left -= runs[k].length;
  }
  int end = 0, backwards = one_in(random, 2);
  for (int k = 0; k < count; k++) {
    Run *run = &runs[backwards ? count - 1 - k : k];
    run->offset = end + (int32_t)between(random, 0, 5);
    end = run->offset + run->length;
  }
  c->tile.run_count = count;
  c->tile.runs = runs;
  return end;
}

static void generate_inputs(TileCase *c, Random *random, Memory *memory) {
  int rows = c->tile.rows, extent = generate_runs(c, random, memory);
  int8_t *x = (int8_t *)aligned_block(memory, (size_t)(rows * c->block.count));
  int positive = one_in(random, 2), extreme = one_in(random, 4);
  for (int p = 0; p < c->block.count; p++) {
    int8_t *row = x + p * rows;
    char *place = input_block(memory, random, (size_t)extent);
    c->block.x[p] = place;
    for (int k = 0; k < rows; k++) {
      row[k] = (int8_t)(one_in(random, 5) ? 0 : extreme ? 127 : between(random, 0, 127));
      if (!positive && one_in(random, 2)) row[k] = (int8_t)-row[k];
    }
    for (int k = 0, row_at = 0; k < c->tile.run_count; row_at += c->tile.runs[k++].length)
      memcpy(place + c->tile.runs[k].offset, row + row_at, (size_t)c->tile.runs[k].length);
  }
  c->tile.nonnegative = positive && one_in(random, 2);
  c->x = x;
}

static Converter generate_converter(const TileCase *c, Random *random) {
  static const Converter settings[] = {
      {1, 9475433, 32, 427}, // 12 cells on at full input, 427 levels
      {1, 5, 9, 4095},       // with these two many charges lie half way between counts
      {1, 1, 1, 4095},
      {1, 1, 0, MAX_COUNT},
      {1, 7, 0, 100}, // some counts leap over the maximum
      {1, 9, 1, 200},
      {1, 3, 2, 0},
      {1, 0, 5, 100},
      {1, 1 << 20, 21, MAX_COUNT},
      {1, 1431655765, 43, 854},
      {1, INT32_MAX, 0, MAX_COUNT},
      {1, INT32_MAX, 47, MAX_COUNT},
      {1, INT32_MAX, 57, 9}, // in 1/64 code the shift is 63
      {1, INT32_MAX, MAX_SHIFT, 9},
      {1, 1, MAX_SHIFT, 7},
  };
  Converter converter = settings[between(random, 0, sizeof settings / sizeof *settings - 1)];
  if (one_in(random, 2)) {
    // The largest charges give counts around the maximum.
    converter.maximum = (int)between(random, 1, one_in(random, 2) ? 900 : MAX_COUNT);
    converter.multiplier = between(random, 1, INT32_MAX);
    double charge = 127.0 * 127 * sqrt(c->tile.rows) * (double)converter.multiplier;
    int more = (int)between(random, 0, 2);
    converter.shift = (int)fmax(0, ceil(log2(charge / converter.maximum)) - more);
  }
  converter.phases = one_in(random, 2) ? 1 : 4;
  return converter;
}

// Binary16 values as binary32, one a column, padded with zeros to whole panels.
static const float *generate_constants(const Tile *tile, Random *random, Memory *memory) {
  int padded = (tile->columns + PANEL - 1) / PANEL * PANEL;
  int exponent = (int)between(random, 0, 16); // some results are tiny, some saturate
  float *constants = (float *)aligned_block(memory, (size_t)padded * sizeof *constants);
  memset(constants, 0, (size_t)padded * sizeof *constants);
  for (int k = 0; k < tile->columns; k++)
    constants[k] = from_half(to_half(h(ldexpf(from_half(random_half(random)), -exponent))));
  return constants;
}

static void generate_addends(TileCase *c, Random *random, Memory *memory) {
  Tile *tile = &c->tile;
  tile->addend_count = (int)between(random, 0, one_in(random, 2) ? MAX_ADDENDS : 1);
  for (int k = 0; k < tile->addend_count; k++) {
    Addend *addend = &tile->addends[k];
    addend->format = one_in(random, 2) ? INT8 : BINARY16;
    addend->scale = one_in(random, 2) ? generate_constants(tile, random, memory) : NULL;
    for (int p = 0; p < c->block.count; p++) {
      size_t width = addend->format == INT8 ? 1 : 2;
      char *data = input_block(memory, random, (size_t)tile->columns * width);
      for (int column = 0; column < tile->columns; column++) {
        uint16_t half = random_half(random);
        int8_t element = random_code(random);
        memcpy(data + (size_t)column * width, width == 1 ? (void *)&element : &half, width);
      }
      c->block.addends[k][p] = data;
    }
  }
}

static void generate_outputs(TileCase *c, Random *random, Memory *memory) {
  TileBlock *block = &c->block;
  size_t columns = (size_t)c->tile.columns;
  int wanted = (int)between(random, 1, 3);
  for (int p = 0; p < block->count; p++) {
    block->value[p] = wanted & 1 ? output_block(memory, random, 2 * columns) : NULL;
    block->codes[p] = wanted & 2 ? output_block(memory, random, columns) : NULL;
  }
}

static void generate_noise(TileCase *c, Random *random) {
  c->noise.key[0] = random_bits(random);
  c->noise.key[1] = random_bits(random);
  c->noise.deviation = ldexpf((float)between(random, 1, 1000), (int)between(random, -3, 7));
  c->block.time = random_bits(random);
  for (int p = 0; p < c->block.count; p++) {
    c->block.sample[p] = random_bits(random);
    c->block.position[p] = random_bits(random);
  }
  // In 1/64 code the charges of more rows would not fit into 32 bits.
  c->block.noise = one_in(random, 4) && c->tile.rows <= MAX_NOISY_ROWS ? &c->noise : NULL;
}

static void generate(TileCase *c, Random *random, Memory *memory) {
  memset(c, 0, sizeof *c);
  Tile *tile = &c->tile;
  int tall = one_in(random, 50);
  tile->cells = (Cells)between(random, CODES, TWO_SIDED);
  tile->rows = !tall ? random_size(random, 300) : tile->cells == CODES ? MAX_ROWS : MAX_WIDE_ROWS;
  tile->columns = tall ? (int)between(random, 1, 2) : random_size(random, 300);
  c->block.count = tall                ? (int)between(random, 1, 4)
                   : one_in(random, 8) ? BLOCK
                                       : random_size(random, tile->rows > 64 ? 16 : BLOCK);
  generate_conductances(c, random, memory);
  generate_inputs(c, random, memory);
  tile->converter = generate_converter(c, random);
  tile->scale = generate_constants(tile, random, memory);
  tile->offset = one_in(random, 2) ? generate_constants(tile, random, memory) : NULL;
  tile->activation = (Activation)between(random, KEEP, CLAMP);
  random_bounds(random, &tile->low, &tile->high);
  generate_addends(c, random, memory);
  generate_outputs(c, random, memory);
  generate_noise(c, random);
}

static float expected(const TileCase *c, int p, int column) {
  const Tile *tile = &c->tile;
  const TileBlock *block = &c->block;
  size_t cell = (size_t)column * (size_t)tile->rows;
  int64_t s_d, s_m;
  crossbar_sums(tile->rows, c->x + p * tile->rows, c->difference + cell, c->sum + cell, &s_d, &s_m);
  int32_t noise[2] = {0, 0};
  int fraction = tile->cells == CODES ? 0 : 6;
  if (block->noise) {
    for (int phase = 0; phase < 2; phase++)
      isa_portable.draw(block->noise, phase, block->sample[p], block->position[p], block->time,
                        (uint32_t)column, 1, &noise[phase]);
    if (!fraction) s_d *= 64, s_m *= 64;
    fraction = 6;
  }
  const char *addends[MAX_ADDENDS];
  for (int k = 0; k < tile->addend_count; k++) addends[k] = block->addends[k][p];
  return finish(tile, addends, column, convert(&tile->converter, s_d, s_m, fraction, noise));
}

static void describe(const TileCase *c, int p, int column) {
  static const char *const cells[] = {"codes", "one-sided", "two-sided"};
  const Tile *tile = &c->tile;
  const Converter *v = &tile->converter;
  fprintf(stderr,
          "  %d rows, %d columns, %s; %d positions, %d runs, %s inputs%s\n"
          "  %d-phase converter, multiplier %lld, shift %d, maximum %d; %s offset, %d addends, "
          "activation %d\n  position %d, column %d: ",
          tile->rows, tile->columns, cells[tile->cells], c->block.count, tile->run_count,
          tile->nonnegative ? "nonnegative" : "any", c->block.noise ? ", noise" : "", v->phases,
          (long long)v->multiplier, v->shift, v->maximum, tile->offset ? "an" : "no",
          tile->addend_count, (int)tile->activation, p, column);
}

static int same_element(const TileCase *c, int p, int column) {
  float y = expected(c, p, column);
  if (c->block.value[0]) {
    uint16_t value, right = to_half(y);
    memcpy(&value, c->block.value[p] + 2 * column, sizeof value);
    if (value != right) {
      describe(c, p, column);
      fprintf(stderr, "value %04x (%g), expected %04x (%g)\n", value, (double)from_half(value),
              right, (double)y);
      return 0;
    }
  }
  if (c->block.codes[0] && (int8_t)c->block.codes[p][column] != code(y)) {
    describe(c, p, column);
    fprintf(stderr, "code %d, expected %d\n", (int8_t)c->block.codes[p][column], code(y));
    return 0;
  }
  return 1;
}

int check_tile(const Isa *isa, Random random, Memory *memory) {
  TileCase c;
  generate(&c, &random, memory);
  c.tile.weights = pack(&c, isa, &random, memory);
  char *scratch = aligned_block(memory, isa->scratch_bytes(&c.tile));
  isa->run_tile(&c.tile, &c.block, scratch);
  for (int p = 0; p < c.block.count; p++)
    for (int column = 0; column < c.tile.columns; column++)
      if (!same_element(&c, p, column)) return 0;
  if (guards_are_whole(memory)) return 1;
  describe(&c, 0, 0);
  fputs("a byte beside an output was written\n", stderr);
  return 0;
}
