// The kernel for x86-64 CPUs with AVX2 and F16C.
//
// Positions are taken in blocks of BLOCK. For each panel of PANEL columns the sums of a whole block
// are made first and then converted, so that both the weights of the panel and the sums stay in the
// first-level cache.
#include "kernel.h"

#if !defined(__AVX2__) || !defined(__F16C__)
#error "avx2.c must be compiled with -mavx2 -mf16c"
#endif

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 48, TILE = 3, LANES = 8 };

// Sums of one block for one panel.
typedef struct {
  int32_t d[BLOCK][PANEL]; // sum x w
  int32_t m[BLOCK][PANEL]; // sum |x| |w|; not made in 1-phase mode
} Sums;

// The converter's settings, ready for use. Charges are limited to `enough`, the least one that gives
// the maximum count: then counts fit in 32 bits.
typedef struct {
  __m256i multiplier, half, enough, maximum;
  __m128i shift;
} Converter;

// Constants of the columns of one panel.
typedef struct {
  __m256 scale[2], offset[2];
  __m256 addend_scale[MAX_ADDENDS][2];
} Columns;

// Sums of `tile` positions for one panel: x and magnitude are the block's inputs and their absolute
// values. The pairs of products that _mm256_maddubs_epi16 adds are at most 2 * 128 * 127 < 2**15,
// so it never saturates.
static inline __attribute__((always_inline)) void sum_tile(const int8_t *x, const uint8_t *magnitude,
                                                           size_t stride, int groups,
                                                           const int8_t *w, Sums *sums, int first,
                                                           const int tile, const int phases,
                                                           const int negatives) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i d[TILE][2], m[TILE][2];
  for (int t = 0; t < tile; t++)
    for (int v = 0; v < 2; v++) d[t][v] = m[t][v] = _mm256_setzero_si256();
  for (int g = 0; g < groups; g++) {
    for (int v = 0; v < 2; v++) {
      __m256i weight = _mm256_loadu_si256((const __m256i *)(w + (size_t)g * GROUP * PANEL) + v);
      __m256i absolute = _mm256_abs_epi8(weight);
      for (int t = 0; t < tile; t++) {
        int32_t four, four_magnitudes;
        memcpy(&four, x + t * stride + (size_t)g * GROUP, sizeof four);
        memcpy(&four_magnitudes, magnitude + t * stride + (size_t)g * GROUP, sizeof four);
        __m256i a = _mm256_set1_epi32(four_magnitudes);
        __m256i signed_weight =
            negatives ? _mm256_sign_epi8(weight, _mm256_set1_epi32(four)) : weight;
        __m256i pairs = _mm256_maddubs_epi16(a, signed_weight);
        d[t][v] = _mm256_add_epi32(d[t][v], _mm256_madd_epi16(pairs, ones));
        if (phases == 4) {
          pairs = _mm256_maddubs_epi16(a, absolute);
          m[t][v] = _mm256_add_epi32(m[t][v], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
  }
  for (int t = 0; t < tile; t++)
    for (int v = 0; v < 2; v++) {
      _mm256_storeu_si256((__m256i *)sums->d[first + t] + v, d[t][v]);
      if (phases == 4) _mm256_storeu_si256((__m256i *)sums->m[first + t] + v, m[t][v]);
    }
}

// Sums of `count` positions for one panel.
static inline __attribute__((always_inline)) void sum_block(const int8_t *x, const uint8_t *magnitude,
                                                            size_t stride, const int8_t *w,
                                                            Sums *sums, int count, const int phases,
                                                            const int negatives) {
  int groups = (int)(stride / GROUP), p = 0;
  for (; p + TILE <= count; p += TILE)
    sum_tile(x + p * stride, magnitude + p * stride, stride, groups, w, sums, p, TILE, phases,
             negatives);
  for (; p < count; p++)
    sum_tile(x + p * stride, magnitude + p * stride, stride, groups, w, sums, p, 1, phases,
             negatives);
}

// Copy a block's inputs, padded with zeros to whole groups, with their absolute values. Returns
// whether any is negative.
static int copy_inputs(const Layer *layer, int64_t first, int count, size_t stride, int8_t *x,
                       uint8_t *magnitude) {
  int8_t all = 0;
  for (int p = 0; p < count; p++) {
    const int8_t *source = (const int8_t *)layer->x + (first + p) * layer->x_stride;
    int8_t *target = x + p * stride;
    memcpy(target, source, layer->rows);
    memset(target + layer->rows, 0, stride - layer->rows);
    for (size_t k = 0; k < stride; k++) {
      all |= target[k];
      magnitude[p * stride + k] = (uint8_t)(target[k] < 0 ? -target[k] : target[k]);
    }
  }
  return all < 0;
}

// The least charge that gives the maximum count; INT32_MAX where it is larger or there is none.
static int64_t enough_charge(const Layer *layer, int64_t half) {
  if (layer->maximum > INT64_MAX >> layer->shift || !layer->multiplier) return INT32_MAX;
  int64_t missing = ((int64_t)layer->maximum << layer->shift) - half;
  if (missing <= 0) return 0;
  int64_t charge = (missing - 1) / layer->multiplier + 1;
  return charge < INT32_MAX ? charge : INT32_MAX;
}

static Converter make_converter(const Layer *layer) {
  int64_t half = (int64_t)1 << layer->shift >> 1, enough = enough_charge(layer, half);
  return (Converter){
      .multiplier = _mm256_set1_epi64x(layer->multiplier),
      .half = _mm256_set1_epi64x(half),
      .enough = _mm256_set1_epi32((int32_t)enough),
      .maximum = _mm256_set1_epi32(layer->maximum),
      .shift = _mm_cvtsi32_si128(layer->shift),
  };
}

// floor(charge * multiplier / 2**shift + 1/2), at most the maximum, for charge >= 0. 64-bit products
// of the even and of the odd lanes; a charge of at most `enough` gives less than 2**32.
static inline __m256i count(const Converter *c, __m256i charge) {
  charge = _mm256_min_epi32(charge, c->enough);
  __m256i even = _mm256_mul_epu32(charge, c->multiplier);
  __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(charge, 32), c->multiplier);
  even = _mm256_srl_epi64(_mm256_add_epi64(even, c->half), c->shift);
  odd = _mm256_srl_epi64(_mm256_add_epi64(odd, c->half), c->shift);
  __m256i both = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  return _mm256_min_epu32(both, c->maximum);
}

static inline __m256i convert(const Converter *c, const Sums *sums, int p, int v, int phases) {
  __m256i d = _mm256_loadu_si256((const __m256i *)sums->d[p] + v);
  if (phases == 1) return _mm256_sign_epi32(count(c, _mm256_abs_epi32(d)), d);
  __m256i m = _mm256_loadu_si256((const __m256i *)sums->m[p] + v);
  return _mm256_sub_epi32(count(c, _mm256_srli_epi32(_mm256_add_epi32(m, d), 1)),
                          count(c, _mm256_srli_epi32(_mm256_sub_epi32(m, d), 1)));
}

// Round to binary16. Saturating first is the same: what lies between 65504 and the point where
// infinity begins rounds to 65504.
static inline __m128i to_half(__m256 value) {
  const __m256 largest = _mm256_set1_ps(65504.0f);
  value = _mm256_max_ps(_mm256_sub_ps(_mm256_setzero_ps(), largest), value);
  value = _mm256_min_ps(largest, value);
  return _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT);
}

static inline __m256 h(__m256 value) { return _mm256_cvtph_ps(to_half(value)); }

// Eight binary16 numbers as binary32, of which only the first n are there.
static inline __m256 load_halves(const void *source, int n) {
  if (n >= LANES) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)source));
  uint16_t halves[LANES] = {0};
  if (n > 0) memcpy(halves, source, n * sizeof *halves);
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)halves));
}

// The same for int8.
static inline __m256 load_codes(const void *source, int n) {
  int8_t codes[LANES] = {0};
  if (n > 0) memcpy(codes, source, n < LANES ? n : LANES);
  __m128i eight = _mm_loadl_epi64((const __m128i *)codes);
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight));
}

static Columns load_columns(const Layer *layer, int column) {
  Columns result;
  for (int v = 0; v < 2; v++) {
    int from = column + v * LANES, n = layer->columns - from;
    if (n < 0) from = layer->columns, n = 0;
    result.scale[v] = load_halves(layer->scale + from, n);
    // Without an offset -0 is added, which changes no number, not even -0.
    result.offset[v] = layer->offset ? load_halves(layer->offset + from, n) : _mm256_set1_ps(-0.0f);
    for (int k = 0; k < layer->addend_count; k++)
      if (layer->addends[k].scale)
        result.addend_scale[k][v] = load_halves(layer->addends[k].scale + from, n);
  }
  return result;
}

// The local digital unit for eight columns from `column` on, of which n are there.
static inline __m256 finish(const Layer *layer, const Columns *columns, int64_t position, int column,
                            int v, int n, __m256i counts) {
  __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(counts), columns->scale[v]);
  y = h(_mm256_add_ps(y, columns->offset[v]));
  for (int k = 0; k < layer->addend_count; k++) {
    const Addend *addend = &layer->addends[k];
    const char *data = addend->data + position * addend->stride;
    __m256 value = addend->codes ? load_codes(data + column, n) : load_halves(data + 2 * column, n);
    if (addend->scale) value = h(_mm256_mul_ps(value, columns->addend_scale[k][v]));
    y = h(_mm256_add_ps(y, value));
  }
  // Of two zeros, and of a number and NaN, max and min give the second operand.
  if (layer->activation == RELU) y = _mm256_max_ps(y, _mm256_setzero_ps());
  if (layer->activation == CLAMP) {
    y = _mm256_max_ps(_mm256_set1_ps(layer->low), y);
    y = _mm256_min_ps(_mm256_set1_ps(layer->high), y);
  }
  return y;
}

static inline void store_value(char *target, __m256 y, int n) {
  __m128i halves = to_half(y);
  if (n >= LANES)
    _mm_storeu_si128((__m128i *)target, halves);
  else
    memcpy(target, &halves, 2 * n);
}

// clamp(rint(y), -127, 127), ties to even.
static inline void store_codes(char *target, __m256 y, int n) {
  y = _mm256_round_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  y = _mm256_min_ps(_mm256_max_ps(y, _mm256_set1_ps(-127)), _mm256_set1_ps(127));
  __m256i wide = _mm256_cvtps_epi32(y);
  __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  int64_t codes = _mm_cvtsi128_si64(_mm_packs_epi16(words, words));
  if (n >= LANES)
    memcpy(target, &codes, LANES);
  else
    memcpy(target, &codes, n);
}

// Converters and digital unit for one block and one panel.
static void finish_block(const Layer *layer, const Converter *converter, const Sums *sums,
                         int64_t first, int count, int panel) {
  Columns columns = load_columns(layer, panel * PANEL);
  for (int p = 0; p < count; p++) {
    for (int v = 0; v < 2; v++) {
      int column = panel * PANEL + v * LANES, n = layer->columns - column;
      if (n <= 0) break;
      __m256i counts = convert(converter, sums, p, v, layer->phases);
      __m256 y = finish(layer, &columns, first + p, column, v, n, counts);
      if (layer->value)
        store_value(layer->value + (first + p) * layer->value_stride + 2 * column, y, n);
      if (layer->codes)
        store_codes(layer->codes + (first + p) * layer->codes_stride + column, y, n);
    }
  }
}

int run_avx2(const Layer *layer) {
  size_t stride = (size_t)(layer->rows + GROUP - 1) / GROUP * GROUP;
  int8_t *x = malloc(2 * BLOCK * stride);
  if (!x) return -1;
  uint8_t *magnitude = (uint8_t *)x + BLOCK * stride;
  Converter converter = make_converter(layer);
  Sums sums;
  for (int64_t first = 0; first < layer->positions; first += BLOCK) {
    int64_t left = layer->positions - first;
    int count = left < BLOCK ? (int)left : BLOCK;
    int negatives = copy_inputs(layer, first, count, stride, x, magnitude);
    for (int panel = 0; panel < panel_count(layer->columns); panel++) {
      const int8_t *w = layer->weights + panel * panel_bytes(layer->rows);
      if (layer->phases == 1) {
        if (negatives)
          sum_block(x, magnitude, stride, w, &sums, count, 1, 1);
        else
          sum_block(x, magnitude, stride, w, &sums, count, 1, 0);
      } else {
        if (negatives)
          sum_block(x, magnitude, stride, w, &sums, count, 4, 1);
        else
          sum_block(x, magnitude, stride, w, &sums, count, 4, 0);
      }
      finish_block(layer, &converter, &sums, first, count, panel);
    }
  }
  free(x);
  return 0;
}
