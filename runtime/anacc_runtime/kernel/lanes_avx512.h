// Vectors of sixteen binary32 or int32 numbers: AVX-512 F, BW, DQ and VL. lanes_portable.h says
// what each function does.
#ifndef ANACC_LANES_H
#define ANACC_LANES_H

#include "kernel.h"

#include <immintrin.h>
#include <string.h>

enum { LANES = 16 };

typedef __m512 Floats;
typedef __m512i Ints;
typedef __m256i Halves;

static inline Floats f_set(float a) { return _mm512_set1_ps(a); }
static inline Floats f_load(const float *source) { return _mm512_loadu_ps(source); }
static inline Floats f_add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
static inline Floats f_sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
static inline Floats f_mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
static inline Floats f_fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
static inline Floats f_min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
static inline Floats f_max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
static inline Floats f_sqrt(Floats a) { return _mm512_sqrt_ps(a); }
static inline Floats f_abs(Floats a) { return _mm512_abs_ps(a); }

static inline Ints i_set(int32_t a) { return _mm512_set1_epi32(a); }
static inline Ints i_load(const int32_t *source) { return _mm512_loadu_si512(source); }
static inline void i_store(int32_t *target, Ints a) { _mm512_storeu_si512(target, a); }
static inline Ints i_add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
static inline Ints i_sub(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
static inline Ints i_min(Ints a, Ints b) { return _mm512_min_epi32(a, b); }
static inline Ints i_max(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
static inline Ints i_and(Ints a, Ints b) { return _mm512_and_si512(a, b); }
static inline Ints i_or(Ints a, Ints b) { return _mm512_or_si512(a, b); }
static inline Ints i_xor(Ints a, Ints b) { return _mm512_xor_si512(a, b); }
static inline Ints i_shl(Ints a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
static inline Ints i_shr(Ints a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
static inline Ints i_sar(Ints a, int n) { return _mm512_srai_epi32(a, (unsigned)n); }

static inline Floats f_from_ints(Ints a) { return _mm512_cvtepi32_ps(a); }
static inline Ints i_from_floats(Floats a) { return _mm512_cvtps_epi32(a); }
static inline Ints i_truncate(Floats a) { return _mm512_cvttps_epi32(a); }
static inline Floats f_bits(Ints a) { return _mm512_castsi512_ps(a); }
static inline Ints i_bits(Floats a) { return _mm512_castps_si512(a); }

static inline Floats f_select(Ints mask, Floats a, Floats b) {
  return _mm512_mask_blend_ps(_mm512_movepi32_mask(mask), b, a);
}
static inline Ints i_less_f(Floats a, Floats b) {
  return _mm512_movm_epi32(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ));
}

static inline Floats f_gather(const float *table, Ints index) {
  return _mm512_i32gather_ps(index, table, 4);
}

// Pairs are loaded one by one, which is faster than gathering.
static inline __m128 two_pairs(const float *table, int64_t indices) {
  const float *first = table + (uint32_t)indices, *second = table + ((uint64_t)indices >> 32);
  return _mm_castsi128_ps(_mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)first),
                                             _mm_loadl_epi64((const __m128i *)second)));
}
static inline void gather_eight(const float *table, __m256i index, __m256 *left, __m256 *right) {
  __m128i low = _mm256_castsi256_si128(index), high = _mm256_extracti128_si256(index, 1);
  __m128 pair0 = two_pairs(table, _mm_cvtsi128_si64(low));
  __m128 pair2 = two_pairs(table, _mm_extract_epi64(low, 1));
  __m128 pair4 = two_pairs(table, _mm_cvtsi128_si64(high));
  __m128 pair6 = two_pairs(table, _mm_extract_epi64(high, 1));
  __m256 a = _mm256_set_m128(pair4, pair0), b = _mm256_set_m128(pair6, pair2);
  *left = _mm256_shuffle_ps(a, b, 0x88);
  *right = _mm256_shuffle_ps(a, b, 0xdd);
}
static inline void f_gather_pairs(const float *table, Ints index, Floats *left, Floats *right) {
  __m256 low_left, low_right, high_left, high_right;
  gather_eight(table, _mm512_castsi512_si256(index), &low_left, &low_right);
  gather_eight(table, _mm512_extracti64x4_epi64(index, 1), &high_left, &high_right);
  *left = _mm512_insertf32x8(_mm512_castps256_ps512(low_left), high_left, 1);
  *right = _mm512_insertf32x8(_mm512_castps256_ps512(low_right), high_right, 1);
}

// For random numbers: see lanes_portable.h.
static inline Ints i_mul_even(Ints a, Ints b) { return _mm512_mul_epu32(a, b); }
static inline Ints i_swap(Ints a) { return _mm512_shuffle_epi32(a, 0xb1); }
static inline Ints i_even(Ints a) { return _mm512_maskz_mov_epi32(0x5555, a); }

static inline void i_mul_wide(Ints a, Ints b, Ints *low, Ints *high) {
  Ints even = _mm512_mul_epu32(a, b);
  Ints odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
  *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
  *high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
}

static inline Halves h_narrow(Floats a) { return _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT); }
static inline Floats f_from_halves(Halves a) { return _mm512_cvtph_ps(a); }

// h(). What rounds to infinity becomes 65504, 0x7bff: of positive numbers as signed integers, of
// negative ones, which come last, as unsigned integers. This leaves the pipes for floats alone.
static inline Halves h_round(Floats a) {
  Halves halves = _mm256_min_epu16(h_narrow(a), _mm256_set1_epi16((int16_t)0xfbff));
  return _mm256_min_epi16(halves, _mm256_set1_epi16(0x7bff));
}
static inline Floats f_round_half(Floats a) { return f_from_halves(h_round(a)); }

// A mask of the first n lanes. What is masked out is neither read nor written.
static inline __mmask16 first_lanes(int n) {
  return n >= LANES ? 0xffff : n > 0 ? (__mmask16)((1u << n) - 1) : 0;
}

static inline Floats f_load_halves(const void *source, int n) {
  if (n >= LANES) return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)source));
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), source));
}

static inline void h_store(void *target, Halves a, int n) {
  if (n >= LANES)
    _mm256_storeu_si256((__m256i *)target, a);
  else
    _mm256_mask_storeu_epi16(target, first_lanes(n), a);
}

static inline void f_store_halves(void *target, Floats a, int n) {
  h_store(target, h_narrow(a), n);
}

static inline Floats f_load_codes(const void *source, int n) {
  __m128i codes = _mm_maskz_loadu_epi8(first_lanes(n), source);
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes));
}

static inline void f_store_codes(void *target, Floats a, int n) {
  // The conversion saturates at 127. The other bound is an integer too, so that it may come first.
  __m128i codes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(f_max(f_set(-127), a)));
  if (n >= LANES)
    _mm_storeu_si128((__m128i *)target, codes);
  else
    _mm_mask_storeu_epi8(target, first_lanes(n), codes);
}

static inline Floats f_load_words(const void *source, int n) {
  __m256i words = _mm256_maskz_loadu_epi16(first_lanes(n), source);
  return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(words));
}

static inline Floats f_load_ints(const void *source, int n) {
  return _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(first_lanes(n), source));
}

#endif
