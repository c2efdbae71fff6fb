// Vectors of eight binary32 or int32 numbers: AVX2, FMA and F16C. lanes_portable.h says what each
// function does.
#ifndef ANACC_LANES_H
#define ANACC_LANES_H

#include "kernel.h"

#include <immintrin.h>
#include <string.h>

enum { LANES = 8 };

typedef __m256 Floats;
typedef __m256i Ints;
typedef __m128i Halves;

static inline Floats f_set(float a) { return _mm256_set1_ps(a); }
static inline Floats f_load(const float *source) { return _mm256_loadu_ps(source); }
static inline Floats f_add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
static inline Floats f_sub(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
static inline Floats f_mul(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
static inline Floats f_fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
static inline Floats f_min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
static inline Floats f_max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
static inline Floats f_sqrt(Floats a) { return _mm256_sqrt_ps(a); }
static inline Floats f_abs(Floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }

static inline Ints i_set(int32_t a) { return _mm256_set1_epi32(a); }
static inline Ints i_load(const int32_t *source) {
  return _mm256_loadu_si256((const __m256i *)source);
}
static inline void i_store(int32_t *target, Ints a) {
  _mm256_storeu_si256((__m256i *)target, a);
}
static inline Ints i_add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
static inline Ints i_sub(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
static inline Ints i_min(Ints a, Ints b) { return _mm256_min_epi32(a, b); }
static inline Ints i_max(Ints a, Ints b) { return _mm256_max_epi32(a, b); }
static inline Ints i_and(Ints a, Ints b) { return _mm256_and_si256(a, b); }
static inline Ints i_or(Ints a, Ints b) { return _mm256_or_si256(a, b); }
static inline Ints i_xor(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
static inline Ints i_shl(Ints a, int n) { return _mm256_slli_epi32(a, n); }
static inline Ints i_shr(Ints a, int n) { return _mm256_srli_epi32(a, n); }
static inline Ints i_sar(Ints a, int n) { return _mm256_srai_epi32(a, n); }

static inline Floats f_from_ints(Ints a) { return _mm256_cvtepi32_ps(a); }
static inline Ints i_from_floats(Floats a) { return _mm256_cvtps_epi32(a); }
static inline Ints i_truncate(Floats a) { return _mm256_cvttps_epi32(a); }
static inline Floats f_bits(Ints a) { return _mm256_castsi256_ps(a); }
static inline Ints i_bits(Floats a) { return _mm256_castps_si256(a); }

static inline Floats f_select(Ints mask, Floats a, Floats b) {
  return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(mask));
}
static inline Ints i_less_f(Floats a, Floats b) {
  return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

static inline Floats f_gather(const float *table, Ints index) {
  return _mm256_i32gather_ps(table, index, 4);
}

// Pairs are loaded one by one, which is faster than gathering.
static inline __m128 two_pairs(const float *table, int64_t indices) {
  const float *first = table + (uint32_t)indices, *second = table + ((uint64_t)indices >> 32);
  return _mm_castsi128_ps(_mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)first),
                                             _mm_loadl_epi64((const __m128i *)second)));
}
static inline void f_gather_pairs(const float *table, Ints index, Floats *left, Floats *right) {
  __m128i low = _mm256_castsi256_si128(index), high = _mm256_extracti128_si256(index, 1);
  __m128 pair0 = two_pairs(table, _mm_cvtsi128_si64(low));
  __m128 pair2 = two_pairs(table, _mm_extract_epi64(low, 1));
  __m128 pair4 = two_pairs(table, _mm_cvtsi128_si64(high));
  __m128 pair6 = two_pairs(table, _mm_extract_epi64(high, 1));
  __m256 a = _mm256_set_m128(pair4, pair0), b = _mm256_set_m128(pair6, pair2);
  *left = _mm256_shuffle_ps(a, b, 0x88);
  *right = _mm256_shuffle_ps(a, b, 0xdd);
}

// For random numbers: see lanes_portable.h.
static inline Ints i_mul_even(Ints a, Ints b) { return _mm256_mul_epu32(a, b); }
static inline Ints i_swap(Ints a) { return _mm256_shuffle_epi32(a, 0xb1); }
static inline Ints i_even(Ints a) { return _mm256_blend_epi32(a, _mm256_setzero_si256(), 0xaa); }

static inline void i_mul_wide(Ints a, Ints b, Ints *low, Ints *high) {
  Ints even = _mm256_mul_epu32(a, b);
  Ints odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}

static inline Halves h_narrow(Floats a) { return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT); }
static inline Floats f_from_halves(Halves a) { return _mm256_cvtph_ps(a); }

// h(). What rounds to infinity becomes 65504, 0x7bff: of positive numbers as signed integers, of
// negative ones, which come last, as unsigned integers. This leaves the pipes for floats alone.
static inline Halves h_round(Floats a) {
  Halves halves = _mm_min_epu16(h_narrow(a), _mm_set1_epi16((int16_t)0xfbff));
  return _mm_min_epi16(halves, _mm_set1_epi16(0x7bff));
}
static inline Floats f_round_half(Floats a) { return f_from_halves(h_round(a)); }

static inline void h_store(void *target, Halves a, int n) {
  if (n >= LANES)
    _mm_storeu_si128((__m128i *)target, a);
  else if (n > 0)
    memcpy(target, &a, (size_t)n * 2);
}

static inline Floats f_load_halves(const void *source, int n) {
  if (n >= LANES) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)source));
  uint16_t some[LANES] = {0};
  if (n > 0) memcpy(some, source, (size_t)n * sizeof *some);
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)some));
}

static inline void f_store_halves(void *target, Floats a, int n) {
  h_store(target, h_narrow(a), n);
}

static inline Floats f_load_codes(const void *source, int n) {
  int64_t codes = 0;
  if (n >= LANES)
    memcpy(&codes, source, LANES);
  else if (n > 0)
    memcpy(&codes, source, (size_t)n);
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(codes)));
}

static inline void f_store_codes(void *target, Floats a, int n) {
  // Packing saturates at 127. The other bound is an integer too, so that it may come first.
  Ints wide = _mm256_cvtps_epi32(f_max(f_set(-127), a));
  __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  int64_t codes = _mm_cvtsi128_si64(_mm_packs_epi16(words, words));
  if (n >= LANES)
    memcpy(target, &codes, LANES);
  else if (n > 0)
    memcpy(target, &codes, (size_t)n);
}

static inline Floats f_load_words(const void *source, int n) {
  int16_t some[LANES] = {0};
  const void *words = source;
  if (n < LANES) {
    if (n > 0) memcpy(some, source, (size_t)n * sizeof *some);
    words = some;
  }
  return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)words)));
}

static inline Floats f_load_ints(const void *source, int n) {
  if (n >= LANES) return _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)source));
  int32_t some[LANES] = {0};
  if (n > 0) memcpy(some, source, (size_t)n * sizeof *some);
  return _mm256_cvtepi32_ps(i_load(some));
}

#endif
