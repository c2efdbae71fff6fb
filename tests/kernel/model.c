#include "model.h"

#include <math.h>
#include <string.h>

// Numbers of binary64 hold all that binary32 and binary16 do, so that rint alone rounds.
float h(float value) {
  double magnitude = fabs((double)value);
  if (magnitude > 65504) return copysignf(65504.0f, value);
  int exponent = magnitude < 0x1p-14 ? -14 : ilogb(magnitude);
  double unit = ldexp(1, exponent - 10);
  return copysignf((float)(rint(magnitude / unit) * unit), value);
}

float from_half(uint16_t bits) {
  int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  double magnitude = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
  return (float)(bits & 0x8000 ? -magnitude : magnitude);
}

uint16_t to_half(float value) {
  double magnitude = fabs((double)value);
  int sign = signbit(value) ? 0x8000 : 0;
  if (magnitude < 0x1p-14) return (uint16_t)(sign | (int)ldexp(magnitude, 24));
  int exponent = ilogb(magnitude);
  return (uint16_t)(sign | (exponent + 15) << 10 | ((int)ldexp(magnitude, 10 - exponent) - 1024));
}

int8_t code(float value) { return (int8_t)fmin(fmax(rint((double)value), -127), 127); }

void crossbar_sums(int rows, const int8_t *x, const int16_t *difference, const int16_t *sum,
                   int64_t *s_d, int64_t *s_m) {
  *s_d = *s_m = 0;
  for (int row = 0; row < rows; row++) {
    *s_d += (int64_t)x[row] * difference[row];
    *s_m += (int64_t)(x[row] < 0 ? -x[row] : x[row]) * sum[row];
  }
}

// floor(charge * multiplier / 2**shift + 1/2) in [0, maximum]. The shift may pass 63.
static int count(const Converter *converter, int64_t charge, int fraction) {
  if (charge <= 0) return 0;
  int shift = converter->shift + fraction;
  __int128 half = (__int128)1 << shift >> 1;
  __int128 result = ((__int128)charge * converter->multiplier + half) >> shift;
  return result < converter->maximum ? (int)result : converter->maximum;
}

int convert(const Converter *converter, int64_t s_d, int64_t s_m, int fraction,
            const int32_t noise[2]) {
  if (converter->phases == 1) {
    int64_t charge = s_d + noise[0];
    return charge < 0 ? -count(converter, -charge, fraction) : count(converter, charge, fraction);
  }
  return count(converter, (s_m + s_d) / 2 + noise[0], fraction) -
         count(converter, (s_m - s_d) / 2 + noise[1], fraction);
}

static float half_at(const char *data, int k) {
  uint16_t bits;
  memcpy(&bits, data + 2 * k, sizeof bits);
  return from_half(bits);
}

// Element k of a vector in one of the formats of a program, rounded to binary32.
static float element_at(Format format, const char *data, int k) {
  int16_t word;
  int32_t integer;
  switch (format) {
    case INT8: return ((const int8_t *)data)[k];
    case INT16: return memcpy(&word, data + 2 * k, sizeof word), word;
    case INT32: return memcpy(&integer, data + 4 * k, sizeof integer), (float)integer;
    default: return half_at(data, k);
  }
}

static float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static float relu(float x) { return x > 0 ? x : 0; }

float finish(const Tile *tile, const char *const *addends, int column, int counts) {
  float product = (float)counts * tile->scale[column];
  float y = h(tile->offset ? product + tile->offset[column] : product);
  for (int k = 0; k < tile->addend_count; k++) {
    const Addend *addend = &tile->addends[k];
    float a = element_at(addend->format, addends[k], column);
    y = h(y + (addend->scale ? h(a * addend->scale[column]) : a));
  }
  if (tile->activation == RELU) return relu(y);
  return tile->activation == CLAMP ? clamp(y, tile->low, tile->high) : y;
}

static float look_up(const Curve *curve, float x) {
  const float *t = curve->samples;
  int last = curve->count - 1;
  double range = (double)curve->limit * (curve->odd ? 1 : 2);
  float factor = (float)(last / range);
  float from_start = curve->odd ? fabsf(x) : fmaxf(x, -curve->limit) + curve->limit;
  float position = fminf(from_start * factor, (float)last), y;
  if ((curve->odd ? fabsf(x) : x) >= curve->limit) {
    y = t[last];
  } else if (curve->interpolate) {
    int index = (int)position < last - 1 ? (int)position : last - 1;
    float fraction = position - (float)index, step = t[index + 1] - t[index];
    y = t[index] + step * fraction;
  } else {
    int index = (int)(position + 0.5f);
    y = t[index < last ? index : last];
  }
  return curve->odd && x < 0 ? -y : y;
}

static int32_t reduce(const VectorInstr *instr, const int8_t *source, int k) {
  int32_t result = instr->op == SUM ? 0 : -128;
  for (int v = 0; v < instr->vectors; v++) {
    int8_t element = source[v * instr->length + k];
    result = instr->op == SUM ? result + element : element > result ? element : result;
  }
  return result;
}

int32_t vector_element(const VectorInstr *instr, const char *const *sources, int k) {
  int at[3];
  float factor;
  for (int s = 0; s < 3; s++) at[s] = instr->broadcast[s] ? 0 : k;
  if (instr->op == MAXIMUM || instr->op == SUM)
    return reduce(instr, (const int8_t *)sources[0], k);
  if (instr->op == AVERAGE) {
    memcpy(&factor, sources[1] + 4 * at[1], sizeof factor);
    return to_half(h(element_at(INT32, sources[0], at[0]) * factor));
  }
  int formatted = instr->op == SCALE || instr->op == AFFINE;
  float x = element_at(formatted ? instr->format : BINARY16, sources[0], at[0]), product;
  switch (instr->op) {
    case SCALE:
    case MULTIPLY: return to_half(h(x * half_at(sources[1], at[1])));
    case AFFINE:
      product = x * half_at(sources[1], at[1]);
      return to_half(h(product + half_at(sources[2], at[2])));
    case ADD: return to_half(h(x + half_at(sources[1], at[1])));
    case RELU_VECTOR: return to_half(relu(x));
    case CLAMP_VECTOR: return to_half(clamp(x, instr->low, instr->high));
    case LOOKUP: return to_half(h(look_up(instr->curve, x)));
    default: return code(x); // QUANTISE
  }
}
