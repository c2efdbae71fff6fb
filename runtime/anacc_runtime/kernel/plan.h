// A schedule of native/operations.py as C structures, with every operand checked.
//
// native/encode.py defines the words that a schedule arrives as. A plan that was decoded can touch
// no memory but that of its regions, whatever the words were.
#ifndef ANACC_PLAN_H
#define ANACC_PLAN_H

#include "kernel.h"

#include <stdbool.h>

// How deep loops are nested, and how many axes and dimensions there are, at most.
enum { MAX_DEPTH = 16, MAX_AXES = 16, MAX_DIMS = 16, MAX_SOURCES = 3 };

typedef enum { ARENA, LOCAL, EXTERNAL, CONSTANTS16, CONSTANTS32, REGION_KINDS } RegionKind;

typedef struct {
  RegionKind kind;
  int64_t size, offset; // see RegionKind in operations.py
  bool written;
} Region;

typedef struct {
  int64_t count, stride;
} Dim;

// A number that is affine in the indices of loops and of positions. Positions count through all
// samples; `dims` says how the number moves with them, outermost (the samples) first, with
// neighbours merged where one stride does for both. The count of the first is without meaning.
typedef struct {
  int64_t base;
  int depth; // loops that matter
  int dim_count;
  const int64_t *loops;
  const Dim *dims;
  const int64_t *table; // if not NULL, dims[0] is of the samples and this of a sample's positions
} Affine;

// An address in a region. In LOCAL regions positions count from the first of a block.
typedef struct Operand {
  Affine offset;
  int region;
  int slot; // operands of a group are numbered
  bool local, written;
  int64_t low, high; // the bytes that are touched, counted from the address
  struct Operand *next; // of the group
} Operand;

typedef enum { LOOP, GATHER, SCATTER, FILL, TILE_CALL, VECTOR, NODE_KINDS } NodeKind;

// Gather or scatter: `dims` belong to the side that is not contiguous.
typedef struct {
  Operand *target, *source;
  int64_t element;
  int dim_count;
  const Dim *dims;
} Copy;

typedef struct {
  Operand *target;
  int64_t size;
  int width; // of the pattern: 1, 2 or 4 bytes
  unsigned char pattern[4];
} Fill;

typedef struct {
  int tile;
  Operand *x, *addends[MAX_ADDENDS], *value, *codes; // the last two NULL: not wanted
  Affine position, time;
} TileCall;

typedef struct {
  VectorInstr instr; // `curve` is set
  int source_count;
  Operand *target, *sources[MAX_SOURCES];
} Vector;

typedef struct {
  int64_t count;
  struct Node *nodes;
} Body;

typedef struct {
  int64_t count;
  int depth; // loops around it
  Body body;
  // The body in consecutive parts, the last one first, of which none touches what another one
  // writes: within an iteration they may run in any order. No parts: not known to have any.
  int64_t part_count;
  const Body *parts;
} Loop;

typedef struct Node {
  NodeKind kind;
  union {
    Loop loop;
    Copy copy;
    Fill fill;
    TileCall tile;
    Vector vector;
  };
} Node;

typedef struct {
  int64_t positions; // of one sample
  int64_t work;      // of one position, roughly in multiply-adds
  int operand_count;
  Operand *operands;
  Body body;
} Group;

// What a plan refers to by number.
typedef struct {
  const Tile *const *tiles;
  int64_t tile_count;
  const Curve *curves;
  int64_t curve_count;
  int64_t constants16, constants32; // bytes of the pools
} Context;

typedef struct {
  int region_count, external_count;
  int64_t group_count;
  Region *regions;
  Group *groups;
  int64_t arena_bytes; // for one sample
  int64_t local_bytes; // for one position
  int operand_count;   // of the group that has most
  double work;         // of one sample, roughly in multiply-adds
  struct Chunk *memory;
} Plan;

// Decode a plan. Returns NULL, or else what is wrong with it, as one sentence.
const char *decode_plan(Plan *plan, const int64_t *words, int64_t count, const Context *context);

// Give back the memory of a plan, also of one that could not be decoded.
void free_plan(Plan *plan);

#endif
