// arithmetic.py once more, one number at a time and as plainly as C allows.
#ifndef ANACC_TEST_MODEL_H
#define ANACC_TEST_MODEL_H

#include "kernel.h"

// Binary16 numbers as binary32: h() of arithmetic.py, and the bits of its results.
float h(float value);
float from_half(uint16_t bits);
uint16_t to_half(float value); // which is one of binary16

// clamp(rint(value), -127, 127).
int8_t code(float value);

// The sums of a crossbar for one column; `sum` holds g+ + g-.
void crossbar_sums(int rows, const int8_t *x, const int16_t *difference, const int16_t *sum,
                   int64_t *s_d, int64_t *s_m);

// Counts from the sums, which are in units of 2**-fraction codes, as is `noise`, which is added to
// the charge of each phase.
int convert(const Converter *converter, int64_t s_d, int64_t s_m, int fraction,
            const int32_t noise[2]);

// What the local digital unit makes of the counts of one column of one position.
float finish(const Tile *tile, const char *const *addends, int column, int counts);

// Element k of the result of an instruction: binary16 bits, int8 or int32 as an integer.
int32_t vector_element(const VectorInstr *instr, const char *const *sources, int k);

#endif
