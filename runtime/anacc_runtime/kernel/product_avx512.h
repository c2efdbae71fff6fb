// Sums of a crossbar with AVX-512 VNNI; see product.h.
//
// VPDPBUSD multiplies unsigned by signed numbers. Weights are the unsigned ones, with a bias, so
// that inputs of either sign take the same path: sum (w + 128) x - 128 sum x. Accumulators wrap
// around, so that only the result must fit into 32 bits.
#ifndef ANACC_PRODUCT_AVX512_H
#define ANACC_PRODUCT_AVX512_H

#include "product.h"

#include <immintrin.h>
#include <string.h>

enum { CODE_BIAS = 128 };

// `length` is a multiple of 64.
static inline int32_t first_sum(const int8_t *x, size_t length) {
  __m512i sum = _mm512_setzero_si512();
  for (size_t k = 0; k < length; k += 64)
    sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_loadu_si512(x + k));
  return -CODE_BIAS * _mm512_reduce_add_epi32(sum);
}

static inline __m512i broadcast_group(const char *group) {
  int32_t bits;
  memcpy(&bits, group, sizeof bits);
  return _mm512_set1_epi32(bits);
}

static inline __m512i add_products(__m512i sum, __m512i weights, __m512i x, const int words) {
  return words ? _mm512_dpwssd_epi32(sum, weights, x) : _mm512_dpbusd_epi32(sum, weights, x);
}

// VPABS runs where the products do, the maximum anywhere. Negated codes keep their bias modulo 256.
static inline __m512i absolute_weights(__m512i weights, const int words) {
  const __m512i zero = _mm512_setzero_si512(), bias = _mm512_set1_epi8((char)CODE_BIAS);
  if (words) return _mm512_max_epi16(weights, _mm512_sub_epi16(zero, weights));
  return _mm512_sub_epi8(_mm512_max_epu8(weights, _mm512_sub_epi8(zero, weights)), bias);
}

// The kind of the cells and where they are.
typedef struct {
  const char *difference;
  const char *total; // sums of 16-bit conductances; NULL: absolute values of the differences
  int words;
} Cell;

// Adds a group of rows to the sums d and m, and brings the weights that are `ahead` bytes further
// on into the cache. All that is const is known to the compiler, so that the sums are registers.
INLINE void accumulate(const Inputs *in, int first, int group, const Cell cells, size_t ahead,
                       const int positions, const int vectors, const int phases, __m512i d[][2],
                       __m512i m[][2]) {
  size_t offset = (size_t)group * GROUP_BYTES;
  __m512i weight[2], magnitude[2];
  for (int v = 0; v < vectors; v++) {
    size_t place = offset * PANEL + (size_t)v * 64;
    weight[v] = _mm512_load_si512(cells.difference + place);
    _mm_prefetch(cells.difference + place + ahead, _MM_HINT_T0);
    if (phases == 1) continue;
    if (cells.total) _mm_prefetch(cells.total + place + ahead, _MM_HINT_T0);
    magnitude[v] = cells.total ? _mm512_load_si512(cells.total + place)
                               : absolute_weights(weight[v], cells.words);
  }
  for (int p = 0; p < positions; p++) {
    size_t at = (size_t)(first + p) * in->stride + offset;
    __m512i x = broadcast_group(in->x + at);
    for (int v = 0; v < vectors; v++) d[p][v] = add_products(d[p][v], weight[v], x, cells.words);
    if (phases == 1) continue;
    x = broadcast_group(in->magnitude + at);
    for (int v = 0; v < vectors; v++) m[p][v] = add_products(m[p][v], magnitude[v], x, cells.words);
  }
}

enum { MOST_POSITIONS = 12 };

// Sums of `positions` positions from `first` on.
INLINE void sum_positions(const Inputs *in, int first, const Cell cells, size_t ahead,
                          const int positions, const int vectors, const int phases, Sums *sums) {
  // One position alone has too few sums to hide the latency of the additions: it takes turns
  // between several accumulators of each.
  enum { TURNS = 4 };
  const int turns = positions == 1 ? TURNS : 1;
  __m512i d[TURNS * MOST_POSITIONS][2], m[TURNS * MOST_POSITIONS][2];
  for (int p = 0; p < positions * turns; p++)
    for (int v = 0; v < vectors; v++) {
      d[p][v] = p < positions ? _mm512_set1_epi32(in->first[first + p]) : _mm512_setzero_si512();
      m[p][v] = _mm512_setzero_si512();
    }
  int g = 0;
  for (; g + turns <= in->groups; g += turns)
    for (int turn = 0; turn < turns; turn++)
      accumulate(in, first, g + turn, cells, ahead, positions, vectors, phases, d + turn, m + turn);
  for (; g < in->groups; g++)
    accumulate(in, first, g, cells, ahead, positions, vectors, phases, d, m);
  for (int p = 0; p < positions; p++)
    for (int v = 0; v < vectors; v++) {
      for (int turn = 1; turn < turns; turn++) {
        d[p][v] = _mm512_add_epi32(d[p][v], d[turn][v]);
        m[p][v] = _mm512_add_epi32(m[p][v], m[turn][v]);
      }
      _mm512_storeu_si512(sums->difference[first + p] + v * 16, d[p][v]);
      if (phases == 4) _mm512_storeu_si512(sums->magnitude[first + p] + v * 16, m[p][v]);
    }
}

// As many positions at once as there are registers for; the rest in fewer and fewer. The last ones
// of the former bring in the panel that comes next; beyond a tile they ask for what is not there,
// which does no harm.
INLINE void sum_vectors(const Inputs *in, const Cell cells, const int vectors, const int phases,
                        Sums *sums) {
  const int most = phases == 1 ? MOST_POSITIONS : MOST_POSITIONS / 2;
  const size_t panel = (size_t)in->groups * GROUP_BYTES * PANEL * (cells.total ? 2 : 1);
  int p = 0;
  for (; p + most <= in->count; p += most) {
    size_t ahead = p + 2 * most > in->count ? panel : 0;
    sum_positions(in, p, cells, ahead, most, vectors, phases, sums);
  }
  for (; p + 4 <= in->count; p += 4)
    sum_positions(in, p, cells, 0, 4, vectors, phases, sums);
  if (p + 2 <= in->count) sum_positions(in, p, cells, 0, 2, vectors, phases, sums), p += 2;
  if (p < in->count) sum_positions(in, p, cells, 0, 1, vectors, phases, sums);
}

INLINE void sum_panel(const Inputs *in, const Cell cells, const int phases, int columns,
                      Sums *sums) {
  if (columns > HALF_PANEL)
    sum_vectors(in, cells, 2, phases, sums);
  else
    sum_vectors(in, cells, 1, phases, sums);
}

static void sum_codes(const Inputs *in, const void *weights, int phases, int columns,
                      Sums *sums) {
  const Cell cells = {weights, NULL, 0};
  if (phases == 1)
    sum_panel(in, cells, 1, columns, sums);
  else
    sum_panel(in, cells, 4, columns, sums);
}

static void sum_words(const Inputs *in, const void *difference, const void *total, int phases,
                      int columns, Sums *sums) {
  if (phases == 1)
    sum_panel(in, (Cell){difference, NULL, 1}, 1, columns, sums);
  else if (total)
    sum_panel(in, (Cell){difference, total, 1}, 4, columns, sums);
  else
    sum_panel(in, (Cell){difference, NULL, 1}, 4, columns, sums);
}

#endif
