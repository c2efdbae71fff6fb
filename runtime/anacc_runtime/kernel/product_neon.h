// Sums of a crossbar with the Advanced SIMD that every AArch64 has; see product.h.
#ifndef ANACC_PRODUCT_NEON_H
#define ANACC_PRODUCT_NEON_H

#include "product.h"

#include <arm_neon.h>
#include <string.h>

enum { CODE_BIAS = 0 };

static inline int32_t first_sum(const int8_t *x, size_t length) {
  (void)x, (void)length;
  return 0;
}

// One group of the inputs of a position, four times.
static inline int8x16_t broadcast_group(const char *group) {
  int32_t bits;
  memcpy(&bits, group, sizeof bits);
  return vreinterpretq_s8_s32(vdupq_n_s32(bits));
}

// Adds the products of four columns by four rows. A pair of them is at most 2 * 127 * 127 < 2**15.
static inline int32x4_t add_codes(int32x4_t sum, int8x16_t x, int8x16_t weight) {
  int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(weight));
  int16x8_t high = vmull_high_s8(x, weight);
  return vpadalq_s16(sum, vpaddq_s16(low, high));
}

// Below, all arguments that are const are known to the compiler, so that sums are registers.
#define INLINE_SUM static inline __attribute__((always_inline)) void

// Sums of `positions` positions for sixteen columns of 8-bit cells from `column` on.
INLINE_SUM sum_code_positions(const Inputs *in, int first, const int8_t *w, int column,
                              const int positions, const int phases, Sums *sums) {
  int32x4_t d[3][4], m[3][4];
  for (int p = 0; p < positions; p++)
    for (int v = 0; v < 4; v++) d[p][v] = m[p][v] = vdupq_n_s32(0);
  for (int g = 0; g < in->groups; g++) {
    const int8_t *group = w + ((size_t)g * PANEL + (size_t)column) * GROUP_BYTES;
    for (int p = 0; p < positions; p++) {
      size_t at = (size_t)(first + p) * in->stride + (size_t)g * GROUP_BYTES;
      int8x16_t x = broadcast_group(in->x + at), absolute = broadcast_group(in->magnitude + at);
      for (int v = 0; v < 4; v++) {
        int8x16_t weight = vld1q_s8(group + v * 16);
        d[p][v] = add_codes(d[p][v], x, weight);
        if (phases == 4) m[p][v] = add_codes(m[p][v], absolute, vabsq_s8(weight));
      }
    }
  }
  for (int p = 0; p < positions; p++)
    for (int v = 0; v < 4; v++) {
      vst1q_s32(sums->difference[first + p] + column + 4 * v, d[p][v]);
      if (phases == 4) vst1q_s32(sums->magnitude[first + p] + column + 4 * v, m[p][v]);
    }
}

INLINE_SUM sum_code_panel(const Inputs *in, const int8_t *w, const int phases, int columns,
                          Sums *sums) {
  for (int column = 0; column < PANEL && column < columns; column += HALF_PANEL) {
    int p = 0;
    for (; p + 3 <= in->count; p += 3) sum_code_positions(in, p, w, column, 3, phases, sums);
    for (; p < in->count; p++) sum_code_positions(in, p, w, column, 1, phases, sums);
  }
}

static void sum_codes(const Inputs *in, const void *weights, int phases, int columns, Sums *sums) {
  if (phases == 1)
    sum_code_panel(in, weights, 1, columns, sums);
  else
    sum_code_panel(in, weights, 4, columns, sums);
}

// Adds the products of four columns by two rows, those of the two rows apart.
static inline void add_words(int32x4_t sum[2], int16x8_t x, int16x8_t weight) {
  sum[0] = vmlal_s16(sum[0], vget_low_s16(x), vget_low_s16(weight));
  sum[1] = vmlal_high_s16(sum[1], x, weight);
}

// The same for eight columns of 16-bit cells. `total` NULL: the absolute values of differences.
INLINE_SUM sum_word_positions(const Inputs *in, int first, const int16_t *difference,
                              const int16_t *total, int column, const int positions,
                              const int phases, Sums *sums) {
  int32x4_t d[3][2][2], m[3][2][2];
  for (int p = 0; p < positions; p++)
    for (int v = 0; v < 2; v++)
      for (int k = 0; k < 2; k++) d[p][v][k] = m[p][v][k] = vdupq_n_s32(0);
  for (int g = 0; g < in->groups; g++) {
    size_t place = ((size_t)g * PANEL + (size_t)column) * 2;
    for (int p = 0; p < positions; p++) {
      size_t at = (size_t)(first + p) * in->stride + (size_t)g * GROUP_BYTES;
      int16x8_t x = vreinterpretq_s16_s8(broadcast_group(in->x + at));
      int16x8_t absolute = vreinterpretq_s16_s8(broadcast_group(in->magnitude + at));
      for (int v = 0; v < 2; v++) {
        size_t cell = place + (size_t)v * 8;
        int16x8_t weight = vld1q_s16(difference + cell);
        int16x8_t sum = total ? vld1q_s16(total + cell) : vabsq_s16(weight);
        add_words(d[p][v], x, weight);
        if (phases == 4) add_words(m[p][v], absolute, sum);
      }
    }
  }
  for (int p = 0; p < positions; p++)
    for (int v = 0; v < 2; v++) {
      int at = column + 4 * v;
      vst1q_s32(sums->difference[first + p] + at, vpaddq_s32(d[p][v][0], d[p][v][1]));
      if (phases == 4)
        vst1q_s32(sums->magnitude[first + p] + at, vpaddq_s32(m[p][v][0], m[p][v][1]));
    }
}

INLINE_SUM sum_word_panel(const Inputs *in, const int16_t *difference, const int16_t *total,
                          const int phases, int columns, Sums *sums) {
  for (int column = 0; column < PANEL && column < columns; column += 8) {
    int p = 0;
    for (; p + 3 <= in->count; p += 3)
      sum_word_positions(in, p, difference, total, column, 3, phases, sums);
    for (; p < in->count; p++)
      sum_word_positions(in, p, difference, total, column, 1, phases, sums);
  }
}

static void sum_words(const Inputs *in, const void *difference, const void *total, int phases,
                      int columns, Sums *sums) {
  if (phases == 1)
    sum_word_panel(in, difference, NULL, 1, columns, sums);
  else if (total)
    sum_word_panel(in, difference, total, 4, columns, sums);
  else
    sum_word_panel(in, difference, NULL, 4, columns, sums);
}

#endif
