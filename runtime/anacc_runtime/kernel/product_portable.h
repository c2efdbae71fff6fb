// Sums of a crossbar in plain C; see product.h.
#ifndef ANACC_PRODUCT_PORTABLE_H
#define ANACC_PRODUCT_PORTABLE_H

#include "product.h"

#include <string.h>

enum { CODE_BIAS = 0 };

static inline int32_t first_sum(const int8_t *x, size_t length) {
  (void)x, (void)length;
  return 0;
}

// 16-bit factors: of these compilers make the multiply-and-add instructions of most CPUs.
static void sum_codes(const Inputs *in, const void *weights, int phases, int columns, Sums *sums) {
  (void)columns;
  for (int p = 0; p < in->count; p++) {
    const int8_t *x = (const int8_t *)(in->x + p * in->stride), *w = weights;
    int32_t *difference = sums->difference[p], *magnitude = sums->magnitude[p];
    memset(difference, 0, sizeof sums->difference[p]);
    memset(magnitude, 0, sizeof sums->magnitude[p]);
    for (int g = 0; g < in->groups; g++, x += 4, w += 4 * PANEL)
      for (int column = 0; column < PANEL; column++)
        for (int k = 0; k < 4; k++) {
          int16_t weight = w[column * 4 + k], product = (int16_t)(x[k] * weight);
          difference[column] += product;
          if (phases == 4) magnitude[column] += product < 0 ? -product : product;
        }
  }
}

static inline void sum_plane(const char *inputs, const int16_t *w, int groups, int absolute,
                             int32_t target[PANEL]) {
  int16_t x[2];
  memset(target, 0, PANEL * sizeof *target);
  for (int g = 0; g < groups; g++, w += 2 * PANEL) {
    memcpy(x, inputs + (size_t)g * sizeof x, sizeof x);
    for (int column = 0; column < PANEL; column++)
      for (int k = 0; k < 2; k++) {
        int weight = w[column * 2 + k];
        target[column] += x[k] * (absolute && weight < 0 ? -weight : weight);
      }
  }
}

// `total`: sums of conductances; NULL: they are the absolute values of the differences.
static void sum_words(const Inputs *in, const void *difference, const void *total, int phases,
                      int columns, Sums *sums) {
  (void)columns;
  for (int p = 0; p < in->count; p++) {
    sum_plane(in->x + p * in->stride, difference, in->groups, 0, sums->difference[p]);
    if (phases == 4)
      sum_plane(in->magnitude + p * in->stride, total ? total : difference, in->groups, !total,
                sums->magnitude[p]);
  }
}

#endif
