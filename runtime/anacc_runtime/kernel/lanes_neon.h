// Vectors of four binary32 or int32 numbers: the Advanced SIMD that every AArch64 has.
// lanes_portable.h says what each function does.
//
// Conversions from and to binary16 need the default FPCR: nearest even, IEEE format, no flush to
// zero.
#ifndef ANACC_LANES_H
#define ANACC_LANES_H

#include "kernel.h"

#include <arm_neon.h>
#include <string.h>

enum { LANES = 4 };

typedef float32x4_t Floats;
typedef int32x4_t Ints;
typedef float16x4_t Halves;

static inline Floats f_set(float a) { return vdupq_n_f32(a); }
static inline Floats f_load(const float *source) {
  Floats result;
  memcpy(&result, source, sizeof result);
  return result;
}
static inline Floats f_add(Floats a, Floats b) { return vaddq_f32(a, b); }
static inline Floats f_sub(Floats a, Floats b) { return vsubq_f32(a, b); }
static inline Floats f_mul(Floats a, Floats b) { return vmulq_f32(a, b); }
static inline Floats f_fma(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
static inline Floats f_sqrt(Floats a) { return vsqrtq_f32(a); }
static inline Floats f_abs(Floats a) { return vabsq_f32(a); }
// FMIN and FMAX order the zeros.
static inline Floats f_min(Floats a, Floats b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline Floats f_max(Floats a, Floats b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

static inline Ints i_set(int32_t a) { return vdupq_n_s32(a); }
static inline Ints i_load(const int32_t *source) {
  Ints result;
  memcpy(&result, source, sizeof result);
  return result;
}
static inline void i_store(int32_t *target, Ints a) { memcpy(target, &a, sizeof a); }
static inline Ints i_add(Ints a, Ints b) { return vaddq_s32(a, b); }
static inline Ints i_sub(Ints a, Ints b) { return vsubq_s32(a, b); }
static inline Ints i_min(Ints a, Ints b) { return vminq_s32(a, b); }
static inline Ints i_max(Ints a, Ints b) { return vmaxq_s32(a, b); }
static inline Ints i_and(Ints a, Ints b) { return vandq_s32(a, b); }
static inline Ints i_or(Ints a, Ints b) { return vorrq_s32(a, b); }
static inline Ints i_xor(Ints a, Ints b) { return veorq_s32(a, b); }
// Shifts by a negative count go to the right.
static inline Ints i_shl(Ints a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
static inline Ints i_shr(Ints a, int n) {
  return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-n)));
}
static inline Ints i_sar(Ints a, int n) { return vshlq_s32(a, vdupq_n_s32(-n)); }

static inline Floats f_from_ints(Ints a) { return vcvtq_f32_s32(a); }
static inline Ints i_from_floats(Floats a) { return vcvtnq_s32_f32(a); }
static inline Ints i_truncate(Floats a) { return vcvtq_s32_f32(a); }
static inline Floats f_bits(Ints a) { return vreinterpretq_f32_s32(a); }
static inline Ints i_bits(Floats a) { return vreinterpretq_s32_f32(a); }

static inline Floats f_select(Ints mask, Floats a, Floats b) {
  return vbslq_f32(vreinterpretq_u32_s32(mask), a, b);
}
static inline Ints i_less_f(Floats a, Floats b) { return vreinterpretq_s32_u32(vcltq_f32(a, b)); }

static inline Floats f_gather(const float *table, Ints index) {
  Floats result = vdupq_n_f32(table[vgetq_lane_s32(index, 0)]);
  result = vsetq_lane_f32(table[vgetq_lane_s32(index, 1)], result, 1);
  result = vsetq_lane_f32(table[vgetq_lane_s32(index, 2)], result, 2);
  return vsetq_lane_f32(table[vgetq_lane_s32(index, 3)], result, 3);
}
static inline void f_gather_pairs(const float *table, Ints index, Floats *left, Floats *right) {
  float32x4_t a = vcombine_f32(vld1_f32(table + vgetq_lane_s32(index, 0)),
                               vld1_f32(table + vgetq_lane_s32(index, 1)));
  float32x4_t b = vcombine_f32(vld1_f32(table + vgetq_lane_s32(index, 2)),
                               vld1_f32(table + vgetq_lane_s32(index, 3)));
  *left = vuzp1q_f32(a, b);
  *right = vuzp2q_f32(a, b);
}

static inline Ints i_mul_even(Ints a, Ints b) {
  uint32x2_t x = vmovn_u64(vreinterpretq_u64_s32(a)), y = vmovn_u64(vreinterpretq_u64_s32(b));
  return vreinterpretq_s32_u64(vmull_u32(x, y));
}
static inline Ints i_swap(Ints a) { return vrev64q_s32(a); }
static inline Ints i_even(Ints a) {
  return vandq_s32(a, vreinterpretq_s32_u64(vdupq_n_u64(UINT32_MAX)));
}

static inline void i_mul_wide(Ints a, Ints b, Ints *low, Ints *high) {
  uint32x4_t x = vreinterpretq_u32_s32(a), y = vreinterpretq_u32_s32(b);
  int32x4_t first = vreinterpretq_s32_u64(vmull_u32(vget_low_u32(x), vget_low_u32(y)));
  int32x4_t second = vreinterpretq_s32_u64(vmull_high_u32(x, y));
  *low = vuzp1q_s32(first, second);
  *high = vuzp2q_s32(first, second);
}

static inline Floats f_clamp(Floats a, float bound) {
  return vminq_f32(vdupq_n_f32(bound), vmaxq_f32(vdupq_n_f32(-bound), a));
}

static inline Halves h_narrow(Floats a) { return vcvt_f16_f32(a); }
static inline Floats f_from_halves(Halves a) { return vcvt_f32_f16(a); }

// h(). Saturating before the conversion is the same as after it: what lies between 65504 and the
// point where infinity begins rounds to 65504.
static inline Halves h_round(Floats a) { return h_narrow(f_clamp(a, 65504)); }
static inline Floats f_round_half(Floats a) { return f_from_halves(h_round(a)); }

static inline size_t some_lanes(int n) { return n >= LANES ? LANES : n > 0 ? (size_t)n : 0; }

static inline Floats f_load_halves(const void *source, int n) {
  uint64_t halves = 0;
  memcpy(&halves, source, some_lanes(n) * 2);
  return vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(halves)));
}

static inline void h_store(void *target, Halves a, int n) {
  memcpy(target, &a, some_lanes(n) * 2);
}

static inline void f_store_halves(void *target, Floats a, int n) {
  h_store(target, h_narrow(a), n);
}

static inline Floats f_load_codes(const void *source, int n) {
  uint64_t codes = 0;
  memcpy(&codes, source, some_lanes(n));
  int16x8_t words = vmovl_s8(vreinterpret_s8_u64(vcreate_u64(codes)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
}

static inline void f_store_codes(void *target, Floats a, int n) {
  // The bounds are integers, so that clamping first is the same.
  int16x4_t words = vmovn_s32(vcvtnq_s32_f32(f_clamp(a, 127)));
  int8x8_t codes = vmovn_s16(vcombine_s16(words, words));
  memcpy(target, &codes, some_lanes(n));
}

static inline Floats f_load_words(const void *source, int n) {
  uint64_t words = 0;
  memcpy(&words, source, some_lanes(n) * 2);
  return vcvtq_f32_s32(vmovl_s16(vreinterpret_s16_u64(vcreate_u64(words))));
}

static inline Floats f_load_ints(const void *source, int n) {
  int32_t some[LANES] = {0};
  memcpy(some, source, some_lanes(n) * sizeof *some);
  return vcvtq_f32_s32(vld1q_s32(some));
}

#endif
