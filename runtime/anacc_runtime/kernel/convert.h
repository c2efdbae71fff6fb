// The converter: count(q) = min((q a + half) >> b, maximum), half = 2**(b-1) or 0 where b = 0.
//
// Three ways to the same bits, of which a tile's settings decide:
//
//   FUSED     One fused multiply-add. With a = a' 2**t, b' = b - t, charges are limited to the
//             least that gives the maximum, `enough`. If that and a' fit into the 24 bits of
//             binary32, both are exact; so is a' 2**-b', and the fused multiply-add of the two and
//             1.5 * 2**23 rounds the exact sum once. Sums near there are 1 apart, since counts are
//             small, so that it rounds q a / 2**b to the nearest integer. It rounds ties to even,
//             but there are none: q a' / 2**b' = k + 1/2 means that 2**(b'-1) divides q a', hence
//             q, as a' is odd; none does, for 0 < q <= enough < 2**(b'-1). With b' = 0 there is no
//             fraction. This holds for charges below 0 as well: count(-q) = -count(q). What is left
//             to check is that count(enough) does not leap over the maximum.
//   HIGH      The high half of a 64-bit product. If a 2**s fits into 32 bits and b + s >= 33, the
//             low 32 bits reach neither `half` nor the result, so that with q a 2**s =
//             high 2**32 + low, count = (high + 2**(b+s-33)) >> (b + s - 32).
//   SCALAR    As the formula says, one by one: for more than half a count a charge.
#ifndef ANACC_CONVERT_H
#define ANACC_CONVERT_H

#include "product.h"

typedef enum { FUSED, HIGH, SCALAR } Method;

// The largest count whose product with any binary16 number, of 11 bits, fits into the 24 bits of
// binary32. Chips have 12 bits; FUSED is not for more.
enum { MAX_EXACT_COUNT = (1 << 13) - 1 };

typedef struct {
  Method method;
  int64_t multiplier;
  int shift;         // of HIGH: b + s - 32
  int32_t half;      // of HIGH
  Ints enough, high; // the latter is the multiplier of HIGH
  Ints maximum;
  Floats factor; // of FUSED
} Conversion;

// The least charge that gives the maximum count; INT32_MAX where it is larger.
static int32_t enough_charge(int64_t multiplier, int shift, int maximum) {
  if (maximum > INT64_MAX >> shift) return INT32_MAX;
  int64_t missing = ((int64_t)maximum << shift) - ((int64_t)1 << shift >> 1);
  if (missing <= 0) return 0;
  int64_t charge = multiplier ? (missing - 1) / multiplier + 1 : INT32_MAX;
  return charge < INT32_MAX ? (int32_t)charge : INT32_MAX;
}

// Whether FUSED is exact; see above.
static int is_fused_exact(int64_t multiplier, int shift, int64_t enough, int maximum) {
  const int64_t exact = 1 << 24, half = (int64_t)1 << shift >> 1;
  if (multiplier > exact || enough > exact || maximum > MAX_EXACT_COUNT) return 0;
  int no_ties = shift == 0 || enough < half;
  return no_ties && (enough * multiplier + half) >> shift <= maximum;
}

// `fine`: charges count in units of 1/64 code.
static Conversion make_conversion(const Converter *converter, int fine) {
  int64_t multiplier = converter->multiplier;
  int shift = converter->shift + (fine ? 6 : 0), maximum = converter->maximum;
  // Charges and multipliers are below 2**31, and with half a count 2**62 they give none at all.
  if (shift > 62) multiplier = 0, shift = 0;
  while (multiplier && !(multiplier & 1) && shift > 0) multiplier >>= 1, shift--;
  int32_t enough = multiplier ? enough_charge(multiplier, shift, maximum) : 0;
  Conversion c = {.method = SCALAR, .multiplier = multiplier, .shift = shift};
  c.enough = i_set(enough);
  c.maximum = i_set(multiplier ? maximum : 0);
  c.factor = f_set(0);
  c.high = i_set(0);
  if (is_fused_exact(multiplier, shift, enough, maximum)) {
    c.method = FUSED;
    c.factor = f_set((float)((double)multiplier / (double)((int64_t)1 << shift)));
    return c;
  }
  while (shift < 33 && multiplier < (int64_t)1 << 31) multiplier <<= 1, shift++;
  if (shift < 33) return c;
  c.method = HIGH;
  c.high = i_set((int32_t)(uint32_t)multiplier);
  c.shift = shift - 32;
  c.half = (int32_t)(1u << (c.shift - 1));
  return c;
}

// Counts of charges >= 0; by FUSED they are binary32 numbers, with `integers` added.
static inline Floats fused_count(const Conversion *c, Ints charge, Floats integers) {
  return f_fma(f_from_ints(charge), c->factor, integers);
}

static inline Ints count_high(const Conversion *c, Ints charge) {
  Ints low, high;
  i_mul_wide(charge, c->high, &low, &high);
  return i_min(i_shr(i_add(high, i_set(c->half)), c->shift), c->maximum);
}

static inline Ints count_scalar(const Conversion *c, Ints charge) {
  int32_t q[LANES];
  int64_t half = (int64_t)1 << c->shift >> 1;
  i_store(q, i_min(charge, c->enough));
  for (int k = 0; k < LANES; k++) q[k] = (int32_t)((q[k] * c->multiplier + half) >> c->shift);
  return i_min(i_load(q), c->maximum);
}

static inline Ints count_exactly(const Conversion *c, Ints charge, const Method method) {
  return method == HIGH ? count_high(c, charge) : count_scalar(c, charge);
}

// 1-phase: sign(s_d) count(|s_d|).
static inline Floats convert_difference(const Conversion *c, Ints difference, const Method method) {
  if (method == FUSED) {
    const Floats integers = f_set(0x1.8p23f);
    Ints charge = i_max(i_min(difference, c->enough), i_sub(i_set(0), c->enough));
    return f_sub(fused_count(c, charge, integers), integers);
  }
  Ints sign = i_sar(difference, 31);
  Ints count = count_exactly(c, i_sub(i_xor(difference, sign), sign), method);
  return f_from_ints(i_sub(i_xor(count, sign), sign));
}

// 4-phase: count(q+) - count(q-).
static inline Floats convert_phases(const Conversion *c, Ints plus, Ints minus,
                                    const Method method) {
  if (method == FUSED) {
    const Floats integers = f_set(0x1.8p23f);
    return f_sub(fused_count(c, i_min(plus, c->enough), integers),
                 fused_count(c, i_min(minus, c->enough), integers));
  }
  return f_from_ints(i_sub(count_exactly(c, plus, method), count_exactly(c, minus, method)));
}

#endif
