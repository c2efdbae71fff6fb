// Random numbers and memory for generated cases.
#ifndef ANACC_TEST_GENERATE_H
#define ANACC_TEST_GENERATE_H

#include "kernel.h"

// The same seed gives the same numbers everywhere.
typedef struct {
  uint64_t state;
} Random;

uint32_t random_bits(Random *random);
int64_t between(Random *random, int64_t low, int64_t high); // both are possible
int one_in(Random *random, int n);

// Mostly small, at times next to a multiple of 16, at most `limit`; never 0.
int random_size(Random *random, int limit);

// A finite binary16 number: any bits; or one near 1, a zero, or a tie of rint.
uint16_t random_half(Random *random);
int8_t random_code(Random *random); // in [-127, 127]

// low <= high, binary16; often one of them is a zero.
void random_bounds(Random *random, float *low, float *high);

// All that a case allocates, to be released together.
enum { MAX_BLOCKS = 2048 };

typedef struct {
  void *blocks[MAX_BLOCKS];
  int block_count;
  struct {
    unsigned char *start;
    size_t bytes;
  } outputs[MAX_BLOCKS];
  int output_count;
} Memory;

// `bytes` at any address that end where a heap block ends, for the address sanitizer to see what is
// read beyond; or, aligned to 64 bytes, that start where one starts as well.
char *input_block(Memory *memory, Random *random, size_t bytes);
char *aligned_block(Memory *memory, size_t bytes);

// `bytes` at any address between two guards.
char *output_block(Memory *memory, Random *random, size_t bytes);

// Whether all guards are as they were; and fill the outputs with garbage again.
int guards_are_whole(const Memory *memory);
void spoil_outputs(Memory *memory);

void release(Memory *memory);

#endif
