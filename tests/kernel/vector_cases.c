// run_vector: the instructions of the global digital units and of the bridge.
#include "cases.h"
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const names[VECTOR_OPS] = {
    "scale",  "affine",   "add",     "multiply", "relu",    "clamp",
    "lookup", "quantise", "maximum", "sum",      "average",
};

typedef struct {
  VectorInstr instr;
  Curve curve;
  int count, source_count;
  char *dst[BLOCK];
  const char *place[3][BLOCK];    // sources
  const char *original[3][BLOCK]; // the same numbers where a source is overwritten
} VectorCase;

static Format target_format(VectorOp op) {
  return op == QUANTISE || op == MAXIMUM ? INT8 : op == SUM ? INT32 : BINARY16;
}

static Format source_format(const VectorInstr *instr, int source) {
  VectorOp op = instr->op;
  if (op == MAXIMUM || op == SUM) return INT8;
  if (op == AVERAGE) return INT32; // the second one is binary32
  return source == 0 && (op == SCALE || op == AFFINE) ? instr->format : BINARY16;
}

static size_t width(Format format) { return format == INT8 ? 1 : format == INT32 ? 4 : 2; }

static void generate_curve(VectorCase *c, Random *random, Memory *memory) {
  static const uint16_t limits[] = {0x0001, 0x3c00, 0x4400, 0x4880, 0x5640, 0x7bff};
  int count = one_in(random, 3) ? 2 : (int)between(random, 2, one_in(random, 2) ? 40 : 1025);
  float *samples = (float *)aligned_block(memory, (size_t)count * sizeof *samples);
  for (int k = 0; k < count; k++) samples[k] = from_half(random_half(random));
  c->curve.samples = samples;
  c->curve.count = count;
  c->curve.limit = from_half(limits[between(random, 0, 5)]);
  c->curve.odd = one_in(random, 2);
  c->curve.interpolate = one_in(random, 2);
  c->instr.curve = &c->curve;
}

static float random_factor(Random *random) {
  if (one_in(random, 4)) return one_in(random, 2) ? 3e38f : -1e-30f; // saturates, or vanishes
  return ldexpf((float)between(random, 1, 1 << 24), (int)between(random, -40, -15));
}

static void put_element(const VectorCase *c, int source, Random *random, char *target) {
  Format format = source_format(&c->instr, source);
  uint16_t half = random_half(random);
  int8_t element = random_code(random);
  int16_t word = (int16_t)random_bits(random);
  int32_t integer = (int32_t)random_bits(random) >> between(random, 0, 24);
  float limit = c->instr.op == LOOKUP ? c->curve.limit : 0;
  float factor = random_factor(random);
  if (limit && one_in(random, 2)) // around the range of the table
    half = to_half(h(limit * (float)between(random, -72, 72) / 64));
  if (c->instr.op == AVERAGE && source == 1) memcpy(target, &factor, sizeof factor);
  else if (format == INT8) memcpy(target, &element, sizeof element);
  else if (format == INT16) memcpy(target, &word, sizeof word);
  else if (format == INT32) memcpy(target, &integer, sizeof integer);
  else memcpy(target, &half, sizeof half);
}

// The sources of a position. One of them may be where the result goes.
static void generate_sources(VectorCase *c, int p, int in_place, Random *random, Memory *memory) {
  const VectorInstr *instr = &c->instr;
  for (int s = 0; s < c->source_count; s++) {
    size_t step = width(source_format(instr, s));
    size_t bytes = step * (instr->broadcast[s] ? 1 : (size_t)(instr->length * instr->vectors));
    char *data = input_block(memory, random, bytes);
    for (size_t at = 0; at < bytes; at += step) put_element(c, s, random, data + at);
    c->original[s][p] = c->place[s][p] = data;
    if (s != in_place) continue;
    memcpy(c->dst[p], data, bytes);
    c->place[s][p] = c->dst[p];
  }
}

static void generate(VectorCase *c, Random *random, Memory *memory) {
  memset(c, 0, sizeof *c);
  VectorInstr *instr = &c->instr;
  VectorOp op = (VectorOp)between(random, 0, VECTOR_OPS - 1);
  instr->op = op;
  instr->format = (Format)between(random, INT8, BINARY16);
  instr->length = random_size(random, 300);
  instr->vectors = op == MAXIMUM || op == SUM ? (int)between(random, 1, 12) : 1;
  random_bounds(random, &instr->low, &instr->high);
  if (op == LOOKUP) generate_curve(c, random, memory);
  c->count = one_in(random, 3) ? random_size(random, BLOCK) : 1;
  c->source_count = op == AFFINE ? 3
                    : op == SCALE || op == ADD || op == MULTIPLY || op == AVERAGE ? 2 : 1;
  for (int s = 0; s < c->source_count && op != MAXIMUM && op != SUM; s++)
    instr->broadcast[s] = one_in(random, 3);
  int in_place = (int)between(random, 0, 5);
  if (in_place >= c->source_count || instr->broadcast[in_place] || instr->vectors > 1 ||
      source_format(instr, in_place) != target_format(op))
    in_place = -1;
  for (int p = 0; p < c->count; p++) {
    c->dst[p] = output_block(memory, random, (size_t)instr->length * width(target_format(op)));
    generate_sources(c, p, in_place, random, memory);
  }
}

static int32_t actual_element(const VectorCase *c, int p, int k) {
  uint16_t half;
  int32_t integer;
  switch (target_format(c->instr.op)) {
    case INT8: return (int8_t)c->dst[p][k];
    case INT32: return memcpy(&integer, c->dst[p] + 4 * k, sizeof integer), integer;
    default: return memcpy(&half, c->dst[p] + 2 * k, sizeof half), half;
  }
}

static void describe(const VectorCase *c) {
  const VectorInstr *instr = &c->instr;
  fprintf(stderr, "  %s, format %d, %d elements, %d vectors, one element for all: %d %d %d\n",
          names[instr->op], (int)instr->format, instr->length, instr->vectors, instr->broadcast[0],
          instr->broadcast[1], instr->broadcast[2]);
  if (instr->op == LOOKUP)
    fprintf(stderr, "  %d samples, limit %g, odd %d, interpolated %d\n", c->curve.count,
            (double)c->curve.limit, c->curve.odd, c->curve.interpolate);
}

int check_vector(const Isa *isa, Random random, Memory *memory) {
  VectorCase c;
  generate(&c, &random, memory);
  const char *const *sources[3] = {c.place[0], c.place[1], c.place[2]};
  isa->run_vector(&c.instr, c.count, c.dst, sources);
  for (int p = 0; p < c.count; p++) {
    const char *const original[3] = {c.original[0][p], c.original[1][p], c.original[2][p]};
    for (int k = 0; k < c.instr.length; k++) {
      int32_t actual = actual_element(&c, p, k), right = vector_element(&c.instr, original, k);
      if (actual == right) continue;
      describe(&c);
      fprintf(stderr, "  position %d of %d, element %d: %x, expected %x\n", p, c.count, k,
              (unsigned)actual, (unsigned)right);
      return 0;
    }
  }
  if (guards_are_whole(memory)) return 1;
  describe(&c);
  fputs("  a byte beside a result was written\n", stderr);
  return 0;
}
