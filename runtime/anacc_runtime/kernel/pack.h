// Weights as the products read them; see product.h.
#ifndef ANACC_PACK_H
#define ANACC_PACK_H

#include "product.h"

static size_t packed_bytes(int rows, int columns, Cells cells) {
  return (size_t)panel_count(columns) * panel_bytes(rows, cells);
}

static void pack_codes(int rows, int columns, const int8_t *codes, ptrdiff_t stride,
                       int8_t *target) {
  int group = GROUP_BYTES, padded = group_count(rows, CODES) * group;
  for (int first = 0; first < columns; first += PANEL)
    for (int row = 0; row < padded; row += group)
      for (int column = first; column < first + PANEL; column++)
        for (int k = row; k < row + group; k++) {
          int code = k < rows && column < columns ? codes[k * stride + column] : 0;
          *target++ = (int8_t)(code + CODE_BIAS);
        }
}

// One plane of a panel, whose first column is `first`.
static int16_t *pack_plane(int rows, int columns, int first, const int16_t *cells, ptrdiff_t stride,
                           int16_t *target) {
  int group = GROUP_BYTES / 2, padded = group_count(rows, TWO_SIDED) * group;
  for (int row = 0; row < padded; row += group)
    for (int column = first; column < first + PANEL; column++)
      for (int k = row; k < row + group; k++)
        *target++ = k < rows && column < columns ? cells[k * stride + column] : 0;
  return target;
}

static void pack(int rows, int columns, Cells cells, const void *difference, const void *sum,
                 ptrdiff_t stride, void *target) {
  if (cells == CODES) {
    pack_codes(rows, columns, difference, stride, target);
    return;
  }
  int16_t *words = target;
  for (int first = 0; first < columns; first += PANEL) {
    words = pack_plane(rows, columns, first, difference, stride, words);
    if (cells == TWO_SIDED) words = pack_plane(rows, columns, first, sum, stride, words);
  }
}

#endif
