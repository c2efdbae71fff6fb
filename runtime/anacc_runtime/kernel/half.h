// Binary16 numbers for one value at a time, where no vector of the instruction set does it.
#ifndef ANACC_HALF_H
#define ANACC_HALF_H

#include <stdint.h>
#include <string.h>

// binary16 to binary32, exactly.
static inline float half_to_float(uint16_t half) {
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

// h() of arithmetic.py: nearest even, subnormals kept, saturating at +-65504.
static inline uint16_t float_to_half(float value) {
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

#endif
