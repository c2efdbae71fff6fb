#define _POSIX_C_SOURCE 200112L // posix_memalign
#include "generate.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, GARBAGE = 0xa5 };

// A linear congruential generator modulo 2**64, of which the high half is used.
uint32_t random_bits(Random *random) {
  random->state = random->state * 6364136223846793005u + 1442695040888963407u;
  uint64_t mixed = random->state ^ random->state >> 29;
  return (uint32_t)(mixed >> 32);
}

int64_t between(Random *random, int64_t low, int64_t high) {
  uint64_t bits = (uint64_t)random_bits(random) << 32 | random_bits(random);
  return low + (int64_t)(bits % ((uint64_t)(high - low) + 1));
}

int one_in(Random *random, int n) { return between(random, 1, n) == 1; }

int random_size(Random *random, int limit) {
  int64_t size;
  switch (between(random, 0, 3)) {
    case 0: size = between(random, 1, 8); break;
    case 1: size = 16 * between(random, 1, limit / 16) + between(random, -1, 1); break;
    case 2: size = between(random, 1, limit); break;
    default: size = between(random, 1, 70);
  }
  return size < 1 ? 1 : size > limit ? limit : (int)size;
}

uint16_t random_half(Random *random) {
  static const uint16_t special[] = {
      0,      0x8000, 1,      0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff, // zeros, edges of the range
      0x3800, 0xb800, 0x3e00, 0x4100, 0xd7f0, 0x57f4, 0x3c00, 0xbc00, // halves, +-126.5 and so on
  };
  uint16_t bits = (uint16_t)random_bits(random);
  switch (between(random, 0, 3)) {
    case 0: return special[bits % (sizeof special / sizeof *special)];
    case 1: return (bits & 0x7c00) == 0x7c00 ? bits & 0x83ff : bits;
    default: return (uint16_t)((bits & 0x83ff) | between(random, 10, 22) << 10);
  }
}

int8_t random_code(Random *random) { return (int8_t)between(random, -127, 127); }

void random_bounds(Random *random, float *low, float *high) {
  float a = from_half(random_half(random)), b = from_half(random_half(random));
  if (one_in(random, 3)) b = one_in(random, 2) ? 0.0f : -0.0f;
  *low = a < b ? a : b;
  *high = a < b ? b : a;
}

static void *keep(Memory *memory, void *block) {
  if (!block || memory->block_count == MAX_BLOCKS) {
    fputs("kernel_test: no memory for a case\n", stderr);
    exit(2);
  }
  memory->blocks[memory->block_count++] = block;
  return block;
}

char *input_block(Memory *memory, Random *random, size_t bytes) {
  size_t shift = (size_t)between(random, 0, 15);
  char *block = keep(memory, malloc(bytes + shift + 1)); // malloc(0) may give NULL
  memset(block, GARBAGE, bytes + shift + 1);
  return block + shift + 1;
}

char *aligned_block(Memory *memory, size_t bytes) {
  void *block = NULL;
  if (posix_memalign(&block, 64, bytes ? bytes : 1)) block = NULL;
  keep(memory, block);
  memset(block, GARBAGE, bytes);
  return block;
}

char *output_block(Memory *memory, Random *random, size_t bytes) {
  size_t shift = (size_t)between(random, 0, 15);
  unsigned char *block = keep(memory, malloc(shift + bytes + 2 * GUARD));
  memset(block, GARBAGE, shift + bytes + 2 * GUARD);
  memory->outputs[memory->output_count].start = block + shift + GUARD;
  memory->outputs[memory->output_count++].bytes = bytes;
  return (char *)block + shift + GUARD;
}

int guards_are_whole(const Memory *memory) {
  for (int k = 0; k < memory->output_count; k++) {
    const unsigned char *start = memory->outputs[k].start, *end = start + memory->outputs[k].bytes;
    for (int i = 0; i < GUARD; i++)
      if (start[i - GUARD] != GARBAGE || end[i] != GARBAGE) return 0;
  }
  return 1;
}

void spoil_outputs(Memory *memory) {
  for (int k = 0; k < memory->output_count; k++)
    memset(memory->outputs[k].start, GARBAGE, memory->outputs[k].bytes);
}

void release(Memory *memory) {
  while (memory->block_count > 0) free(memory->blocks[--memory->block_count]);
  memory->output_count = 0;
}
