// What the files of the kernel share, grouped by file.
//
// The kernel executes one crossbar layer: for each position a vector of input codes goes through
// the crossbar, the converters and the local digital unit. arithmetic.py is the specification;
// every path here must give the same bits.
#ifndef ANACC_KERNEL_H
#define ANACC_KERNEL_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

// The results are defined bit for bit: nothing may be reordered, contracted or flushed to zero.
#ifdef __FAST_MATH__
#error "the kernel cannot be compiled with -ffast-math"
#endif

// For the same reason float expressions must be evaluated in float.
#if FLT_EVAL_METHOD != 0
#error "this compiler evaluates float expressions in a wider type (FLT_EVAL_METHOD != 0)"
#endif

// Weights are packed in panels of PANEL columns; in a panel, GROUP consecutive rows of a column
// stand together, then those of the next column. Both are padded with zeros.
enum { PANEL = 16, GROUP = 4, MAX_ADDENDS = 4 };

// With these limits 32-bit sums, and 64-bit products of charge and multiplier, cannot overflow.
enum { MAX_ROWS = 65536, MAX_COLUMNS = 65536, MAX_SHIFT = 62, MAX_COUNT = 32767 };

typedef enum { KEEP, RELU, CLAMP } Activation;

// A vector per position that is added to the result: h(y + a), or h(y + h(a * scale)).
typedef struct {
  const char *data;
  ptrdiff_t stride;      // bytes from one position to the next
  int codes;             // whether the elements are int8, else binary16
  const uint16_t *scale; // binary16, one a column; NULL: none
} Addend;

typedef struct {
  int64_t positions;
  int rows, columns;

  const char *x; // (positions, rows) int8
  ptrdiff_t x_stride;
  const int8_t *weights; // packed, see PANEL

  int phases; // 1 or 4
  int64_t multiplier;
  int shift;
  int maximum;

  const uint16_t *scale;  // binary16, one a column
  const uint16_t *offset; // the same; NULL: none
  int addend_count;
  Addend addends[MAX_ADDENDS];
  Activation activation;
  float low, high; // of CLAMP

  char *value; // (positions, columns) binary16; NULL: not wanted
  ptrdiff_t value_stride;
  char *codes; // (positions, columns) int8; NULL: not wanted
  ptrdiff_t codes_stride;
} Layer;

// Length of a packed panel in bytes, and the number of panels.
static inline size_t panel_bytes(int rows) {
  return (size_t)(rows + GROUP - 1) / GROUP * GROUP * PANEL;
}
static inline int panel_count(int columns) { return (columns + PANEL - 1) / PANEL; }

// portable.c
void run_portable(const Layer *layer);
float half_to_float(uint16_t half);
uint16_t float_to_half(float value);

// avx2.c: call only where the CPU has AVX2 and F16C. Returns 0, or -1 for want of memory.
#ifdef HAVE_AVX2
int run_avx2(const Layer *layer);
#endif

#endif
