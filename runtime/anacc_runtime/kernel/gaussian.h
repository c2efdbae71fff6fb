// Gaussian noise of conversions: noise.py says what it is and gives the same bits.
//
// A counter of Philox belongs to 8 of the 64 columns of a group and gives four words, a word two
// Gaussians. Each pair of lanes works on one counter: the low half of a product is in the even
// lane, the high half in the odd one, and at the end the words are where the columns want them.
#ifndef ANACC_GAUSSIAN_H
#define ANACC_GAUSSIAN_H

#include "kernel.h"

enum { NOISE_GROUP = 64, ROUNDS = 10 };

// The vectors that a group's eight counters take.
enum { COUNTER_VECTORS = 16 / LANES };

// Positions that are worked on side by side, and the vectors of all of them: each step of a vector
// waits for the one before, so that one vector alone leaves a CPU without enough to do.
enum { POSITIONS = LANES < 16 ? 1 : 2, CHAINS = POSITIONS * COUNTER_VECTORS };
#define EACH for (int n = 0; n < CHAINS; n++)

#define MULTIPLIER_0 0xd2511f53u
#define MULTIPLIER_1 0xcd9e8d57u

// The polynomials of noise.py.
enum { COEFFICIENTS = 6 };
#define LOGARITHM 0.11516897f, -0.90856004f, 2.9759662f, -4.2955127f, -1.6525917e-07f, 222.53397f
#define SINE_0 1.57032f
#define SINE_1 -0.64211315f
#define SINE_2 0.07186088f
#define COSINE_0 0.9999933f
#define COSINE_1 -1.2334845f
#define COSINE_2 0.25258026f
#define COSINE_3 -0.019095743f

// What makes the random words of one group of columns. A counter is (sample, column, time,
// position): column and position are in the words that are not multiplied, so that they do not meet
// in the first three of the rounds. What these make of the columns is done once for a sample, and
// what they make of a position once for all columns.
typedef struct {
  Ints key[ROUNDS][2];
  uint32_t position_key[2];    // what is constant in position_part, of rounds 1 and 2
  Ints c2_2[COUNTER_VECTORS];  // c2 after two rounds, but for what the sample makes of it
  Ints c2[COUNTER_VECTORS];    // after three rounds, but for the position
  uint32_t sample[POSITIONS];  // the ones at hand, of which are
  Ints c0[CHAINS], c1[CHAINS]; // after three rounds, c0 but for the position
  Floats logarithm[COEFFICIENTS];
} ColumnPart;

// The parts of the counter after three rounds that all columns share: exclusive or with c0 and c2
// of the columns, and c3.
typedef struct {
  uint32_t c0, c2, c3;
} PositionPart;

static inline uint64_t multiply(uint32_t a, uint32_t b) { return (uint64_t)a * b; }

static ColumnPart column_part(const Noise *noise, int phase, uint32_t time, uint32_t group) {
  ColumnPart columns;
  uint32_t key0 = noise->key[0], key1 = noise->key[1];
  for (uint32_t round = 0; round < ROUNDS; round++) {
    columns.key[round][0] = i_set((int32_t)(key0 + round * 0x9e3779b9u));
    columns.key[round][1] = i_set((int32_t)(key1 + round * 0xbb67ae85u));
  }
  uint64_t product = multiply(time, MULTIPLIER_1);
  columns.position_key[0] = key1;
  columns.position_key[1] = (uint32_t)product ^ (key0 + 0x9e3779b9u);
  uint32_t rest = (uint32_t)(product >> 32) ^ key0;
  for (int v = 0; v < COUNTER_VECTORS; v++) {
    int32_t c0[LANES];
    for (int k = 0; k < LANES; k++) {
      uint32_t column = 8 * group + (uint32_t)((v * LANES + k) / 2) + ((uint32_t)phase << 31);
      c0[k] = (int32_t)(column ^ rest);
    }
    Ints left = i_mul_even(i_load(c0), i_set((int32_t)MULTIPLIER_0));
    columns.c2_2[v] = i_xor(i_swap(left), columns.key[1][1]);
    columns.c2[v] = i_xor(left, columns.key[2][1]);
  }
  const float polynomial[] = {LOGARITHM};
  float variance = noise->deviation * noise->deviation;
  for (int k = 0; k < COEFFICIENTS; k++) columns.logarithm[k] = f_set(polynomial[k] * variance);
  return columns;
}

// Go on to a sample.
static inline void set_sample(ColumnPart *columns, int position, uint32_t sample) {
  Ints low = i_set((int32_t)(uint32_t)multiply(sample, MULTIPLIER_0));
  columns->sample[position] = sample;
  for (int v = 0; v < COUNTER_VECTORS; v++) {
    int n = position * COUNTER_VECTORS + v;
    columns->c1[n] = i_mul_even(i_xor(columns->c2_2[v], low), i_set((int32_t)MULTIPLIER_1));
    columns->c0[n] = i_xor(i_swap(columns->c1[n]), columns->key[2][0]);
  }
}

static inline PositionPart position_part(const ColumnPart *columns, uint32_t sample,
                                         uint32_t position) {
  uint32_t high = (uint32_t)(multiply(sample, MULTIPLIER_0) >> 32);
  uint32_t c2 = high ^ position ^ columns->position_key[0];
  uint64_t right = multiply(c2, MULTIPLIER_1);
  uint32_t c0 = (uint32_t)(right >> 32) ^ columns->position_key[1];
  uint64_t left = multiply(c0, MULTIPLIER_0);
  return (PositionPart){(uint32_t)right, (uint32_t)(left >> 32), (uint32_t)left};
}

// The words of CHAINS * LANES / 2 counters: words 0 and 1 of each in a pair of lanes, and words 2
// and 3.
static inline void random_words(const ColumnPart *columns, const PositionPart *position,
                                Ints words[2][CHAINS]) {
  const Ints multiplier_0 = i_set((int32_t)MULTIPLIER_0);
  const Ints multiplier_1 = i_set((int32_t)MULTIPLIER_1);
  Ints c0[CHAINS], c1[CHAINS], c2[CHAINS], c3[CHAINS], left[CHAINS], right[CHAINS];
  EACH {
    const PositionPart *part = &position[n / COUNTER_VECTORS];
    c0[n] = i_xor(columns->c0[n], i_set((int32_t)part->c0));
    c1[n] = columns->c1[n];
    c2[n] = i_xor(columns->c2[n % COUNTER_VECTORS], i_set((int32_t)part->c2));
    c3[n] = i_set((int32_t)part->c3);
  }
  // What odd lanes hold is of no use before the last round.
  for (int round = 3; round < ROUNDS - 1; round++) {
    EACH left[n] = i_mul_even(c0[n], multiplier_0);
    EACH right[n] = i_mul_even(c2[n], multiplier_1);
    EACH c0[n] = i_xor(i_xor(c1[n], columns->key[round][0]), i_swap(right[n]));
    EACH c2[n] = i_xor(i_xor(c3[n], columns->key[round][1]), i_swap(left[n]));
    EACH c1[n] = right[n];
    EACH c3[n] = left[n];
  }
  EACH left[n] = i_mul_even(c0[n], multiplier_0);
  EACH right[n] = i_mul_even(c2[n], multiplier_1);
  EACH words[0][n] = i_xor(i_even(i_xor(c1[n], columns->key[ROUNDS - 1][0])), i_swap(right[n]));
  EACH words[1][n] = i_xor(i_even(i_xor(c3[n], columns->key[ROUNDS - 1][1])), i_swap(left[n]));
}

// Two Gaussians of each word, times the deviation, rounded.
static inline void gaussians(const ColumnPart *columns, const Ints words[CHAINS],
                             Ints cosines[CHAINS], Ints sines[CHAINS]) {
  const Floats *c = columns->logarithm;
  Floats u[CHAINS], m[CHAINS], curve[CHAINS], line[CHAINS], radius[CHAINS];
  Floats angle[CHAINS], z[CHAINS], sine[CHAINS], cosine[CHAINS];
  EACH u[n] = f_add(f_from_ints(words[n]), f_set(2147516416.0f));
  EACH m[n] = f_bits(i_or(i_and(i_bits(u[n]), i_set(0x7fffff)), i_set(0x3f800000)));
  EACH curve[n] = f_add(f_mul(m[n], c[0]), c[1]);
  EACH line[n] = f_add(f_mul(f_from_ints(i_bits(u[n])), c[4]), c[5]);
  EACH curve[n] = f_add(f_mul(curve[n], m[n]), c[2]);
  EACH curve[n] = f_add(f_mul(curve[n], m[n]), c[3]);
  EACH radius[n] = f_sqrt(f_add(line[n], f_mul(m[n], curve[n])));

  // 512 has a last bit of 2**-14: this is 512 and the angle's bits, less 513.
  EACH angle[n] = f_bits(i_or(i_and(words[n], i_set(0x7fff)), i_set(0x44000000)));
  EACH angle[n] = f_sub(angle[n], f_set(513));
  EACH z[n] = f_mul(angle[n], angle[n]);
  EACH sine[n] = f_add(f_mul(z[n], f_set(SINE_2)), f_set(SINE_1));
  EACH cosine[n] = f_add(f_mul(z[n], f_set(COSINE_3)), f_set(COSINE_2));
  EACH sine[n] = f_add(f_mul(sine[n], z[n]), f_set(SINE_0));
  EACH cosine[n] = f_add(f_mul(cosine[n], z[n]), f_set(COSINE_1));
  EACH sine[n] = f_mul(sine[n], angle[n]);
  EACH cosine[n] = f_add(f_mul(cosine[n], z[n]), f_set(COSINE_0));
  EACH radius[n] =
      f_bits(i_xor(i_bits(radius[n]), i_and(i_shl(words[n], 16), i_set(INT32_MIN))));
  EACH cosines[n] = i_from_floats(f_mul(radius[n], cosine[n]));
  EACH sines[n] = i_from_floats(f_mul(radius[n], sine[n]));
}

// The first 32 columns of a group or, where `words` is 2, all 64.
static inline void draw_group(ColumnPart *columns, const uint32_t *sample, const uint32_t *position,
                              int count, int32_t *target, size_t stride, const int words) {
  for (int p = 0; p < count; p += POSITIONS) {
    PositionPart parts[POSITIONS];
    int at[POSITIONS]; // the last position twice where their number is odd
    for (int k = 0; k < POSITIONS; k++) {
      at[k] = p + k < count ? p + k : p;
      if (p == 0 || sample[at[k]] != columns->sample[k]) set_sample(columns, k, sample[at[k]]);
      parts[k] = position_part(columns, sample[at[k]], position[at[k]]);
    }
    Ints random[2][CHAINS], cosines[CHAINS], sines[CHAINS];
    random_words(columns, parts, random);
    for (int k = 0; k < words; k++) {
      gaussians(columns, random[k], cosines, sines);
      EACH {
        int32_t *row = target + (size_t)at[n / COUNTER_VECTORS] * stride + 32 * k;
        i_store(row + n % COUNTER_VECTORS * LANES, cosines[n]);
        i_store(row + 16 + n % COUNTER_VECTORS * LANES, sines[n]);
      }
    }
  }
}

// The noise of `count` conversions for columns [64 group, 64 group + used) with `used` at most 64.
// Whole vectors are written, so that a target has room for 64 columns. `stride`: elements from one
// conversion to the next.
static void draw_block(const Noise *noise, int phase, const uint32_t *sample,
                       const uint32_t *position, uint32_t time, int count, uint32_t group, int used,
                       int32_t *target, size_t stride) {
  ColumnPart columns = column_part(noise, phase, time, group);
  if (used <= NOISE_GROUP / 2)
    draw_group(&columns, sample, position, count, target, stride, 1);
  else
    draw_group(&columns, sample, position, count, target, stride, 2);
}

// See Isa.
static void draw(const Noise *noise, int phase, uint32_t sample, uint32_t position, uint32_t time,
                 uint32_t first, int count, int32_t *target) {
  while (count > 0) {
    int32_t group[NOISE_GROUP];
    int skip = (int)(first % NOISE_GROUP);
    int some = count < NOISE_GROUP - skip ? count : NOISE_GROUP - skip;
    draw_block(noise, phase, &sample, &position, time, 1, first / NOISE_GROUP, skip + some, group,
               NOISE_GROUP);
    memcpy(target, group + skip, (size_t)some * sizeof *target);
    first += (uint32_t)some;
    target += some;
    count -= some;
  }
}

#undef MULTIPLIER_0
#undef MULTIPLIER_1
#undef LOGARITHM
#undef EACH

#endif
