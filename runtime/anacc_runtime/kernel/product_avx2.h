// Sums of a crossbar with AVX2; see product.h.
//
// VPMADDUBSW multiplies unsigned by signed bytes and adds pairs in 16 bits. With absolute values of
// inputs as the unsigned ones and their signs moved to the weights, pairs are at most 2 * 127 * 127
// < 2**15, so that it never saturates.
#ifndef ANACC_PRODUCT_AVX2_H
#define ANACC_PRODUCT_AVX2_H

#include "product.h"

#include <immintrin.h>
#include <string.h>

enum { CODE_BIAS = 0 };

static inline int32_t first_sum(const int8_t *x, size_t length) {
  (void)x, (void)length;
  return 0;
}

// The factors of one of the two sums. What is const below is known to the compiler, so that the
// sums are registers.
typedef struct {
  const char *inputs; // of the first position
  const char *signs;  // codes whose signs go to the weights
  const char *weights;
  int words;     // 16-bit cells
  int absolute;  // whether absolute values of the weights are meant
  int has_signs; // codes only
} Factors;

static inline __m256i broadcast_group(const char *group) {
  int32_t bits;
  memcpy(&bits, group, sizeof bits);
  return _mm256_set1_epi32(bits);
}

static inline __m256i load_weights(const Factors f, size_t place) {
  __m256i weights = _mm256_load_si256((const __m256i *)(f.weights + place));
  if (!f.absolute) return weights;
  return f.words ? _mm256_abs_epi16(weights) : _mm256_abs_epi8(weights);
}

// sum + x w of a group; `sign` is read only if it has signs.
static inline __m256i add_products(const Factors f, __m256i sum, __m256i weights, __m256i x,
                                   __m256i sign) {
  if (f.words) return _mm256_add_epi32(sum, _mm256_madd_epi16(x, weights));
  __m256i pairs = _mm256_maddubs_epi16(x, f.has_signs ? _mm256_sign_epi8(weights, sign) : weights);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#define INLINE_SUM static inline __attribute__((always_inline)) void

// Sums of `positions` positions for 8 * `vectors` columns from `column` on. Meanwhile the weights
// that are `ahead` bytes further on are brought into the cache.
INLINE_SUM sum_positions(const Factors f, size_t stride, int groups, size_t ahead, int first,
                         int column, const int positions, const int vectors,
                         int32_t (*target)[PANEL]) {
  __m256i sums[6][4];
  for (int p = 0; p < positions; p++)
    for (int v = 0; v < vectors; v++) sums[p][v] = _mm256_setzero_si256();
  for (int g = 0; g < groups; g++) {
    const size_t place = ((size_t)g * PANEL + (size_t)column) * GROUP_BYTES;
    __m256i weights[4];
    _mm_prefetch(f.weights + place + ahead, _MM_HINT_T0);
    for (int v = 0; v < vectors; v++) weights[v] = load_weights(f, place + (size_t)v * 32);
    for (int p = 0; p < positions; p++) {
      size_t at = (size_t)(first + p) * stride + (size_t)g * GROUP_BYTES;
      __m256i x = broadcast_group(f.inputs + at);
      __m256i sign = f.has_signs ? broadcast_group(f.signs + at) : x;
      for (int v = 0; v < vectors; v++)
        sums[p][v] = add_products(f, sums[p][v], weights[v], x, sign);
    }
  }
  for (int p = 0; p < positions; p++)
    for (int v = 0; v < vectors; v++)
      _mm256_storeu_si256((__m256i *)(target[first + p] + column + v * 8), sums[p][v]);
}

// Two vectors of columns and as many positions as there are registers for: so an instruction needs
// less than one load. The remaining positions take whole panels, in the order of memory. The last
// ones of the former bring in the plane that comes next; beyond a tile they ask for what is not
// there, which does no harm.
INLINE_SUM sum_panel(const Factors f, const Inputs *in, int columns, int32_t (*target)[PANEL]) {
  const int most = f.words ? 6 : 5;
  const size_t plane = (size_t)in->groups * GROUP_BYTES * PANEL;
  int p = 0;
  for (; p + most <= in->count; p += most) {
    size_t ahead = p + 2 * most > in->count ? plane : 0;
    sum_positions(f, in->stride, in->groups, ahead, p, 0, most, 2, target);
    if (columns > HALF_PANEL)
      sum_positions(f, in->stride, in->groups, ahead, p, HALF_PANEL, most, 2, target);
  }
  for (; p < in->count; p++) {
    if (columns > HALF_PANEL)
      sum_positions(f, in->stride, in->groups, 0, p, 0, 1, 4, target);
    else
      sum_positions(f, in->stride, in->groups, 0, p, 0, 1, 2, target);
  }
}

static void sum_codes(const Inputs *in, const void *weights, int phases, int columns, Sums *sums) {
  if (in->magnitude == in->x)
    sum_panel((Factors){in->x, NULL, weights, 0, 0, 0}, in, columns, sums->difference);
  else
    sum_panel((Factors){in->magnitude, in->x, weights, 0, 0, 1}, in, columns, sums->difference);
  if (phases == 4)
    sum_panel((Factors){in->magnitude, NULL, weights, 0, 1, 0}, in, columns, sums->magnitude);
}

static void sum_words(const Inputs *in, const void *difference, const void *total, int phases,
                      int columns, Sums *sums) {
  sum_panel((Factors){in->x, NULL, difference, 1, 0, 0}, in, columns, sums->difference);
  if (phases == 1) return;
  if (total)
    sum_panel((Factors){in->magnitude, NULL, total, 1, 0, 0}, in, columns, sums->magnitude);
  else
    sum_panel((Factors){in->magnitude, NULL, difference, 1, 1, 0}, in, columns, sums->magnitude);
}

#undef INLINE_SUM

#endif
