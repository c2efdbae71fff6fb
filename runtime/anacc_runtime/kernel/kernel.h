// What the files of the kernel share.
//
// arithmetic.py is the specification; every instruction set here must give the same bits. The files
// of an instruction set (portable.c, avx2.c, avx512.c, neon.c) include, in this order, its lanes
// (lanes_*.h: vectors of binary32 and int32 numbers), the noise (gaussian.h), its products
// (product_*.h: the sums of a crossbar), and what is written once for all of them on top: tile.h,
// digital.h.
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

// Positions that are worked on at a time, so that what is between two instructions stays in the
// caches, and columns of a panel of packed weights.
enum { BLOCK = 96, PANEL = 32, MAX_ADDENDS = 4 };

// With these limits sums fit in 32 bits and products of charge and multiplier in 64; 16-bit
// conductances are limited to fewer rows, see MAX_WIDE_ROWS.
enum { MAX_ROWS = 65536, MAX_COLUMNS = 65536, MAX_SHIFT = 62, MAX_COUNT = 32767 };
enum { MAX_WIDE_ROWS = 512 };

// With noise, charges of codes count in 1/64 code too: 64 * 127 * 127 a row, and noise below 2**29.
enum { MAX_NOISY_ROWS = 1536 };

// What the cells of a tile hold.
typedef enum {
  CODES,      // int8 weight codes in [-127, 127]: g+ = max(code, 0), g- = max(-code, 0)
  ONE_SIDED,  // int16 conductance differences in 1/64 code, one device of each pair being 0
  TWO_SIDED,  // int16 differences g+ - g- and int16 sums g+ + g-, both in 1/64 code
} Cells;

typedef enum { KEEP, RELU, CLAMP } Activation;
typedef enum { INT8, INT16, INT32, BINARY16 } Format; // as in the code of a program

// A piece of an input vector: `length` bytes at `offset` from its address.
typedef struct {
  int32_t offset, length;
} Run;

// A converter. Charges count in units of one code, or of 1/64 code where cells are 16 bits or noise
// is added; `shift` is the one of the program, for whole codes.
typedef struct {
  int phases; // 1 or 4
  int64_t multiplier;
  int shift;
  int maximum;
} Converter;

// A vector per position that is added to the result: h(y + a), or h(y + h(a * scale)).
typedef struct {
  Format format;      // INT8 or BINARY16
  const float *scale; // one a column, padded like those of Tile; NULL: none
} Addend;

// A crossbar region with its converters and what the local digital unit does with the counts.
typedef struct {
  int rows, columns;
  Cells cells;
  const void *weights; // as the instruction set packs them, 64-byte aligned
  int run_count;       // the pieces of an input vector; their lengths add up to `rows`
  const Run *runs;
  int nonnegative; // the inputs are known to be none below 0
  Converter converter;
  // Binary16 values as binary32, one a column, padded with zeros to whole panels.
  const float *scale, *offset; // offset NULL: none, h(count * scale)
  int addend_count;
  Addend addends[MAX_ADDENDS];
  Activation activation;
  float low, high; // of CLAMP
} Tile;

// Gaussian noise of conversions of one tile in one run; see noise.py. A draw depends on the key,
// the column, counted from the first one of the tile, the phase, the sample, the position and the
// time step, and on nothing else.
typedef struct {
  uint32_t key[2];
  float deviation; // in 1/64 code of charge
} Noise;

// Where the vectors of up to BLOCK positions are. Addresses need not be aligned.
typedef struct {
  int count;
  const char *x[BLOCK]; // to which the offsets of the runs are added; codes in [-127, 127]
  const char *addends[MAX_ADDENDS][BLOCK];
  char *value[BLOCK]; // binary16, `columns` of them; value[0] NULL: not wanted
  char *codes[BLOCK]; // int8; codes[0] NULL: not wanted
  const Noise *noise; // NULL: none
  uint32_t sample[BLOCK], position[BLOCK], time; // read only with noise
} TileBlock;

// A function table of a global digital unit.
typedef struct {
  const float *samples; // binary16 values as binary32
  int count;            // at least 2
  float limit;
  int odd, interpolate;
} Curve;

// The instructions that compute a vector from vectors.
typedef enum {
  SCALE, AFFINE, ADD, MULTIPLY, RELU_VECTOR, CLAMP_VECTOR, LOOKUP, QUANTISE, MAXIMUM, SUM, AVERAGE,
  VECTOR_OPS
} VectorOp;

// One such instruction for up to BLOCK positions: dst[p] from sources[k][p].
//   SCALE       dst = h(s0 * s1)             s0 of `format`, s1 binary16
//   AFFINE      dst = h(s0 * s1 + s2)        the same, s2 binary16
//   ADD, MULTIPLY                            s0, s1 binary16
//   RELU_VECTOR, CLAMP_VECTOR, LOOKUP        s0 binary16
//   QUANTISE    dst int8                     s0 binary16
//   MAXIMUM     dst int8, SUM dst int32      s0 int8, `vectors` * length elements
//   AVERAGE     dst = h(s0 * s1)             s0 int32, s1 binary32
// All else that is written is binary16. A source may be dst itself but overlaps it in no other way.
typedef struct {
  VectorOp op;
  Format format;    // of s0 in SCALE and AFFINE
  int length;       // elements of dst
  int broadcast[3]; // source k is one element, which all elements of dst use
  int vectors;
  float low, high; // of CLAMP_VECTOR
  const Curve *curve;
} VectorInstr;

// The code for one instruction set.
typedef struct {
  const char *name;
  // Bytes of packed weights; and pack: `difference` is (rows, columns) with `stride` elements from
  // one row to the next, int8 for CODES, else int16; `sum` likewise, TWO_SIDED only. The target is
  // 64-byte aligned.
  size_t (*packed_bytes)(int rows, int columns, Cells cells);
  void (*pack)(int rows, int columns, Cells cells, const void *difference, const void *sum,
               ptrdiff_t stride, void *target);
  // Bytes that run_tile needs beside the stack, and the tile itself.
  size_t (*scratch_bytes)(const Tile *tile);
  void (*run_tile)(const Tile *tile, const TileBlock *block, void *scratch);
  void (*run_vector)(const VectorInstr *instr, int count, char *const *dst,
                     const char *const *const *sources);
  // Deviation * Gaussian, rounded, for columns [first, first + count) of one conversion.
  void (*draw)(const Noise *noise, int phase, uint32_t sample, uint32_t position, uint32_t time,
               uint32_t first, int count, int32_t *target);
} Isa;

extern const Isa isa_portable; // any CPU
extern const Isa isa_avx2;     // AVX2, FMA, F16C
extern const Isa isa_avx512;   // AVX-512 F, BW, VL, VNNI, and the above
extern const Isa isa_neon;     // AArch64

#endif
