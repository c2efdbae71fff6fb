// What the sums of a crossbar are made from and where they go, the same for every instruction set.
//
// Weights are packed in panels of PANEL columns. In a panel, as many consecutive rows of a column
// as fit into 32 bits stand together, a *group*: the instructions multiply and add along it. Then
// comes the same group of the next column. TWO_SIDED panels hold all differences, then all sums.
// Rows and columns are padded with cells of no conductance.
//
// A product_*.h defines
//   CODE_BIAS    what is added to the weight codes in memory: 128 makes them unsigned, else 0
//   first_sum    what the sum over (w + CODE_BIAS) x must begin with so that it becomes that of w x
//   sum_codes    sums of one panel of int8 cells for all positions of a block, in either mode
//   sum_words    the same for 16-bit cells
#ifndef ANACC_PRODUCT_H
#define ANACC_PRODUCT_H

#include "kernel.h"

// For functions whose const arguments the compiler is to know.
#define INLINE static inline __attribute__((always_inline))

// Inputs of a block: int8, or int16 where cells are 16 bits, padded with zeros to INPUT_ALIGNMENT.
typedef struct {
  const char *x;         // `stride` bytes from one position to the next
  const char *magnitude; // absolute values; x itself where no input is below 0
  size_t stride;
  int count;             // positions
  int groups;            // of rows
  int32_t first[BLOCK];  // first_sum of each position
} Inputs;

// Sums of a block for one panel. Of columns that are not there, those of whole half panels may be
// missing.
typedef struct {
  int32_t difference[BLOCK][PANEL]; // s_d = sum x (g+ - g-)
  int32_t magnitude[BLOCK][PANEL];  // s_m = sum |x| (g+ + g-); not made in 1-phase mode
} Sums;

enum { GROUP_BYTES = 4, INPUT_ALIGNMENT = 64, HALF_PANEL = PANEL / 2 };

static inline int cell_bytes(Cells cells) { return cells == CODES ? 1 : 2; }
static inline int group_count(int rows, Cells cells) {
  int group = GROUP_BYTES / cell_bytes(cells);
  return (rows + group - 1) / group;
}
static inline int panel_count(int columns) { return (columns + PANEL - 1) / PANEL; }

// Bytes of the differences, or of the sums, of one panel.
static inline size_t plane_bytes(int rows, Cells cells) {
  return (size_t)group_count(rows, cells) * GROUP_BYTES * PANEL;
}
static inline size_t panel_bytes(int rows, Cells cells) {
  return plane_bytes(rows, cells) * (cells == TWO_SIDED ? 2 : 1);
}

#endif
