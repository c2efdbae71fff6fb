// Vectors of numbers in plain C, and the definition of what the functions of every lanes_*.h do.
//
// Names begin with what they return or work on: f_ for Floats, LANES binary32 numbers, and i_ for
// Ints, LANES int32 numbers, whose sums and differences wrap around. A mask is Ints of which each
// lane has all bits set or none. Pointers need not be aligned.
#ifndef ANACC_LANES_H
#define ANACC_LANES_H

#include "kernel.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

typedef struct {
  float lane[LANES];
} Floats;

typedef struct {
  int32_t lane[LANES];
} Ints;

// Numbers that binary16 has, in whatever form is the fastest to store.
typedef Floats Halves;

// Compilers make vector instructions of these loops.
#define EACH_LANE(type, expression)                                                                \
  type result;                                                                                     \
  for (int k = 0; k < LANES; k++) result.lane[k] = (expression);                                   \
  return result

static inline Floats f_set(float a) { EACH_LANE(Floats, a); }
static inline Floats f_load(const float *source) { EACH_LANE(Floats, source[k]); }
static inline Floats f_add(Floats a, Floats b) { EACH_LANE(Floats, a.lane[k] + b.lane[k]); }
static inline Floats f_sub(Floats a, Floats b) { EACH_LANE(Floats, a.lane[k] - b.lane[k]); }
static inline Floats f_mul(Floats a, Floats b) { EACH_LANE(Floats, a.lane[k] * b.lane[k]); }
static inline Floats f_sqrt(Floats a) { EACH_LANE(Floats, sqrtf(a.lane[k])); }
static inline Floats f_abs(Floats a) { EACH_LANE(Floats, fabsf(a.lane[k])); }

// a * b + c, rounded once.
static inline Floats f_fma(Floats a, Floats b, Floats c) {
  EACH_LANE(Floats, fmaf(a.lane[k], b.lane[k], c.lane[k]));
}

// The second of two zeros, and where one is not a number, as on x86.
static inline Floats f_min(Floats a, Floats b) {
  EACH_LANE(Floats, a.lane[k] < b.lane[k] ? a.lane[k] : b.lane[k]);
}
static inline Floats f_max(Floats a, Floats b) {
  EACH_LANE(Floats, a.lane[k] > b.lane[k] ? a.lane[k] : b.lane[k]);
}

static inline Ints i_set(int32_t a) { EACH_LANE(Ints, a); }
static inline Ints i_load(const int32_t *source) { EACH_LANE(Ints, source[k]); }
static inline void i_store(int32_t *target, Ints a) { memcpy(target, &a, sizeof a); }
static inline Ints i_add(Ints a, Ints b) {
  EACH_LANE(Ints, (int32_t)((uint32_t)a.lane[k] + (uint32_t)b.lane[k]));
}
static inline Ints i_sub(Ints a, Ints b) {
  EACH_LANE(Ints, (int32_t)((uint32_t)a.lane[k] - (uint32_t)b.lane[k]));
}
static inline Ints i_min(Ints a, Ints b) {
  EACH_LANE(Ints, a.lane[k] < b.lane[k] ? a.lane[k] : b.lane[k]);
}
static inline Ints i_max(Ints a, Ints b) {
  EACH_LANE(Ints, a.lane[k] > b.lane[k] ? a.lane[k] : b.lane[k]);
}
static inline Ints i_and(Ints a, Ints b) { EACH_LANE(Ints, a.lane[k] & b.lane[k]); }
static inline Ints i_or(Ints a, Ints b) { EACH_LANE(Ints, a.lane[k] | b.lane[k]); }
static inline Ints i_xor(Ints a, Ints b) { EACH_LANE(Ints, a.lane[k] ^ b.lane[k]); }

// Shifts by a constant from 0 to 31; i_shr shifts zeros in, i_sar copies of the sign.
static inline Ints i_shl(Ints a, int n) { EACH_LANE(Ints, (int32_t)((uint32_t)a.lane[k] << n)); }
static inline Ints i_shr(Ints a, int n) { EACH_LANE(Ints, (int32_t)((uint32_t)a.lane[k] >> n)); }
static inline Ints i_sar(Ints a, int n) { EACH_LANE(Ints, a.lane[k] >> n); }

// To the nearest number, ties to even.
static inline Floats f_from_ints(Ints a) { EACH_LANE(Floats, (float)a.lane[k]); }

// The same bits as another type.
static inline Floats f_bits(Ints a) {
  Floats result;
  memcpy(&result, &a, sizeof result);
  return result;
}
static inline Ints i_bits(Floats a) {
  Ints result;
  memcpy(&result, &a, sizeof result);
  return result;
}

// Masks of comparisons; false where a number is not one.
static inline Ints i_less_f(Floats a, Floats b) { EACH_LANE(Ints, -(a.lane[k] < b.lane[k])); }

// a where the mask is set, else b.
static inline Floats f_select(Ints mask, Floats a, Floats b) {
  Ints one = i_bits(a), other = i_bits(b);
  return f_bits(i_xor(other, i_and(i_xor(one, other), mask)));
}

// To the nearest integer, ties to even, keeping the sign of zero. 2**23 and above are integers, and
// adding 2**23 to what is below leaves no bits for a fraction.
static inline Floats f_round(Floats a) {
  const Ints sign = i_set(INT32_MIN);
  Floats magnitude = f_abs(a), integers = f_set(0x1p23f);
  Floats rounded = f_sub(f_add(magnitude, integers), integers);
  rounded = f_select(i_less_f(magnitude, integers), rounded, magnitude);
  return f_bits(i_or(i_bits(rounded), i_and(i_bits(a), sign)));
}

// To an integer, which must fit into 32 bits: nearest, ties to even; and towards zero.
static inline Ints i_from_floats(Floats a) {
  a = f_round(a);
  EACH_LANE(Ints, (int32_t)a.lane[k]);
}
static inline Ints i_truncate(Floats a) { EACH_LANE(Ints, (int32_t)a.lane[k]); }

// table[index].
static inline Floats f_gather(const float *table, Ints index) {
  EACH_LANE(Floats, table[index.lane[k]]);
}

// table[index] and table[index + 1] where no index is below 0.
static inline void f_gather_pairs(const float *table, Ints index, Floats *left, Floats *right) {
  *left = f_gather(table, index);
  *right = f_gather(table + 1, index);
}

// For random numbers, in which a pair of lanes 2 k and 2 k + 1 holds 64 bits: the unsigned products of
// the even lanes, low half first; the lanes of each pair exchanged; odd lanes set to 0.
static inline Ints i_mul_even(Ints a, Ints b) {
  Ints result;
  for (int k = 0; k < LANES; k += 2) {
    uint64_t product = (uint64_t)(uint32_t)a.lane[k] * (uint32_t)b.lane[k];
    result.lane[k] = (int32_t)(uint32_t)product;
    result.lane[k + 1] = (int32_t)(uint32_t)(product >> 32);
  }
  return result;
}
static inline Ints i_swap(Ints a) {
  Ints result;
  for (int k = 0; k < LANES; k += 2) {
    result.lane[k] = a.lane[k + 1];
    result.lane[k + 1] = a.lane[k];
  }
  return result;
}
static inline Ints i_even(Ints a) { EACH_LANE(Ints, k % 2 ? 0 : a.lane[k]); }

// The low and high halves of unsigned products.
static inline void i_mul_wide(Ints a, Ints b, Ints *low, Ints *high) {
  for (int k = 0; k < LANES; k++) {
    uint64_t product = (uint64_t)(uint32_t)a.lane[k] * (uint32_t)b.lane[k];
    low->lane[k] = (int32_t)(uint32_t)product;
    high->lane[k] = (int32_t)(product >> 32);
  }
}

// To binary16: nearest even, subnormals kept; of numbers from -65504 to 65504. Normal numbers lose
// 13 bits of the mantissa; below 2**-14 a unit is 2**-24, like that of binary32 from 0.5 on.
static inline Halves h_narrow(Floats a) {
  const Ints sign = i_set(INT32_MIN);
  Floats magnitude = f_abs(a);
  Ints bits = i_bits(magnitude), odd = i_and(i_shr(bits, 13), i_set(1));
  Ints normal = i_and(i_add(bits, i_add(i_set(0xfff), odd)), i_set(~0x1fff));
  Floats subnormal = f_sub(f_add(magnitude, f_set(0.5f)), f_set(0.5f));
  Floats rounded = f_select(i_less_f(magnitude, f_set(0x1p-14f)), subnormal, f_bits(normal));
  return f_bits(i_or(i_bits(rounded), i_and(i_bits(a), sign)));
}

static inline Floats f_from_halves(Halves a) { return a; }

// h(): the same, saturating at +-65504.
static inline Halves h_round(Floats a) {
  return h_narrow(f_min(f_set(65504), f_max(f_set(-65504), a)));
}
static inline Floats f_round_half(Floats a) { return f_from_halves(h_round(a)); }

// The first n of LANES elements and zeros beyond: n may be larger than LANES, or less than 0. No
// element is read or written beyond them.
static inline size_t some_lanes(int n) { return n >= LANES ? LANES : n > 0 ? (size_t)n : 0; }

// The finite numbers of binary16: exponent and mantissa at their places in binary32 give a number
// that is too small by the difference of the two biases of the exponent.
static inline Floats f_load_halves(const void *source, int n) {
  uint16_t halves[LANES] = {0};
  memcpy(halves, source, some_lanes(n) * sizeof *halves);
  Ints magnitude, sign;
  for (int k = 0; k < LANES; k++) {
    magnitude.lane[k] = (halves[k] & 0x7fff) << 13;
    sign.lane[k] = (int32_t)((uint32_t)(halves[k] & 0x8000) << 16);
  }
  return f_bits(i_or(i_bits(f_mul(f_bits(magnitude), f_set(0x1p112f))), sign));
}

static inline void h_store(void *target, Halves a, int n) {
  Floats magnitude = f_abs(a);
  Ints normal = i_shr(i_sub(i_bits(magnitude), i_set(112 << 23)), 13);
  Ints subnormal = i_sub(i_bits(f_add(magnitude, f_set(0.5f))), i_bits(f_set(0.5f)));
  Ints small = i_less_f(magnitude, f_set(0x1p-14f));
  uint16_t halves[LANES];
  for (int k = 0; k < LANES; k++) {
    int32_t bits = small.lane[k] ? subnormal.lane[k] : normal.lane[k];
    halves[k] = (uint16_t)(bits | (signbit(a.lane[k]) ? 0x8000 : 0));
  }
  memcpy(target, halves, some_lanes(n) * sizeof *halves);
}

// Of numbers that binary16 has.
static inline void f_store_halves(void *target, Floats a, int n) { h_store(target, a, n); }

// int8, int16 and int32; the last rounds to nearest even.
static inline Floats f_load_codes(const void *source, int n) {
  int8_t some[LANES] = {0};
  memcpy(some, source, some_lanes(n) * sizeof *some);
  EACH_LANE(Floats, some[k]);
}
static inline Floats f_load_words(const void *source, int n) {
  int16_t some[LANES] = {0};
  memcpy(some, source, some_lanes(n) * sizeof *some);
  EACH_LANE(Floats, some[k]);
}
static inline Floats f_load_ints(const void *source, int n) {
  int32_t some[LANES] = {0};
  memcpy(some, source, some_lanes(n) * sizeof *some);
  EACH_LANE(Floats, (float)some[k]);
}

// int8: clamp(rint(a), -127, 127), ties to even; of numbers whose integers fit into 32 bits.
static inline void f_store_codes(void *target, Floats a, int n) {
  Ints wide = i_from_floats(f_min(f_set(127), f_max(f_set(-127), a)));
  int8_t codes[LANES];
  for (int k = 0; k < LANES; k++) codes[k] = (int8_t)wide.lane[k];
  memcpy(target, codes, some_lanes(n));
}

#undef EACH_LANE

#endif
