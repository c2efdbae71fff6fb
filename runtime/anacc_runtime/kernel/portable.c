// The kernel in plain C, for every CPU. It follows arithmetic.py line by line and assumes only IEEE
// binary32 with rounding to nearest even, which module.c sets.
#include "kernel.h"

#include <string.h>

// binary16 to binary32, exactly.
float half_to_float(uint16_t half) {
  uint32_t exponent = half >> 10 & 31, mantissa = half & 1023, bits;
  float magnitude;
  if (exponent == 0) {
    magnitude = (float)mantissa * 0x1p-24f;
  } else {
    bits = (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
    memcpy(&magnitude, &bits, sizeof bits);
  }
  return half & 0x8000 ? -magnitude : magnitude;
}

// binary32 to binary16: nearest even, subnormals kept, saturating at +-65504.
uint16_t float_to_half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) return sign | 0x7e00;  // not a number
  if (bits >= 0x477fe000) return sign | 0x7bff; // 65504 and above
  if (bits < 0x33000000) return sign;           // below half of the least subnormal
  if (bits >= 0x38800000) {                     // normal: drop 13 bits of the mantissa
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (bits - 0x38000000) >> 13);
  }
  uint32_t mantissa = (bits & 0x7fffff) | 0x800000;
  int drop = 126 - (int)(bits >> 23); // so that one unit is 2**-24
  uint32_t half = mantissa >> drop, rest = mantissa & ((1u << drop) - 1), tie = 1u << (drop - 1);
  if (rest > tie || (rest == tie && half & 1)) half++;
  return (uint16_t)(sign | half);
}

// Round to binary16, as binary32.
static float h(float value) { return half_to_float(float_to_half(value)); }

// floor(charge * multiplier / 2**shift + 1/2), at most `maximum`, for charge >= 0.
static int32_t count(const Layer *layer, int64_t charge) {
  int64_t half = (int64_t)1 << layer->shift >> 1;
  int64_t result = (charge * layer->multiplier + half) >> layer->shift;
  return result < layer->maximum ? (int32_t)result : layer->maximum;
}

// Counts of the converter from the sums of a crossbar.
static int32_t convert(const Layer *layer, int32_t s_d, int32_t s_m) {
  if (layer->phases == 1) return s_d < 0 ? -count(layer, -s_d) : count(layer, s_d);
  return count(layer, (s_m + s_d) >> 1) - count(layer, (s_m - s_d) >> 1);
}

static uint16_t load_half(const char *data, int index) {
  uint16_t half;
  memcpy(&half, data + 2 * index, sizeof half);
  return half;
}

// Add one element of an addend to y.
static float accumulate(const Addend *addend, int64_t position, int column, float y) {
  const char *data = addend->data + position * addend->stride;
  float value = addend->codes ? (float)(int8_t)data[column] : half_to_float(load_half(data, column));
  if (addend->scale) value = h(value * half_to_float(addend->scale[column]));
  return h(y + value);
}

// The local digital unit: y from a count, for one column of one position.
static float finish(const Layer *layer, int64_t position, int column, int32_t counts) {
  float product = (float)counts * half_to_float(layer->scale[column]);
  float y = h(layer->offset ? product + half_to_float(layer->offset[column]) : product);
  for (int k = 0; k < layer->addend_count; k++)
    y = accumulate(&layer->addends[k], position, column, y);
  if (layer->activation == RELU) return y > 0 ? y : 0;
  if (layer->activation == CLAMP) return y < layer->low ? layer->low : y > layer->high ? layer->high : y;
  return y;
}

// clamp(rint(y), -127, 127), ties to even. Adding 1.5 * 2**23 leaves no bits for a fraction.
static int8_t quantise(float y) {
  const float integers = 12582912.0f;
  if (!(y > -127)) return -127;
  if (y > 127) return 127;
  return (int8_t)((y + integers) - integers);
}

// Sums of one panel for one position.
static void sum_panel(const Layer *layer, const int8_t *x, const int8_t *w, int32_t s_d[PANEL],
                      int32_t s_m[PANEL]) {
  memset(s_d, 0, PANEL * sizeof *s_d);
  memset(s_m, 0, PANEL * sizeof *s_m);
  for (int row = 0; row < layer->rows; row += GROUP, w += GROUP * PANEL) {
    // 16-bit factors: compilers then find the multiply-and-add instructions of most CPUs.
    int16_t input[GROUP] = {0}, magnitude[GROUP];
    for (int k = 0; k < GROUP && row + k < layer->rows; k++) input[k] = x[row + k];
    for (int k = 0; k < GROUP; k++) magnitude[k] = (int16_t)(input[k] < 0 ? -input[k] : input[k]);
    for (int column = 0; column < PANEL; column++) {
      for (int k = 0; k < GROUP; k++) {
        int16_t weight = w[column * GROUP + k];
        int16_t absolute = (int16_t)(weight < 0 ? -weight : weight);
        s_d[column] += input[k] * weight;
        s_m[column] += magnitude[k] * absolute;
      }
    }
  }
}

void run_portable(const Layer *layer) {
  for (int64_t position = 0; position < layer->positions; position++) {
    const int8_t *x = (const int8_t *)layer->x + position * layer->x_stride;
    for (int panel = 0; panel < panel_count(layer->columns); panel++) {
      int32_t s_d[PANEL], s_m[PANEL];
      sum_panel(layer, x, layer->weights + (size_t)panel * panel_bytes(layer->rows), s_d, s_m);
      for (int k = 0; k < PANEL && panel * PANEL + k < layer->columns; k++) {
        int column = panel * PANEL + k;
        float y = finish(layer, position, column, convert(layer, s_d[k], s_m[k]));
        uint16_t half = float_to_half(y);
        if (layer->value)
          memcpy(layer->value + position * layer->value_stride + 2 * column, &half, sizeof half);
        if (layer->codes)
          layer->codes[position * layer->codes_stride + column] = quantise(y);
      }
    }
  }
}
