// Compares every instruction set of this CPU with the model, bit for bit, over generated cases.
//
//     kernel_test [cases [seed]]
//
// One line for each instruction set; a difference is described on stderr, exit status 1.
#include "cases.h"
#include "isa.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
  const char *what;
  int (*check)(const Isa *isa, Random random, Memory *memory);
  int weight; // cases of this kind for each one asked for
} Kind;

static const Kind kinds[] = {
    {"tile", check_tile, 1},
    {"vector", check_vector, 4},
    {"draw", check_draw, 1},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

// The case of a number is the same for all instruction sets and however many cases are run.
static int check_kind(const Isa *isa, const Kind *kind, long cases, uint64_t seed) {
  static Memory memory;
  for (long number = 0; number < cases * kind->weight; number++) {
    Random random = {seed << 32 ^ (uint64_t)number};
    random_bits(&random);
    int same = kind->check(isa, random, &memory);
    release(&memory);
    if (same) continue;
    fprintf(stderr, "%s: %s case %ld of seed %llu differs\n", isa->name, kind->what, number,
            (unsigned long long)seed);
    return 0;
  }
  return 1;
}

int main(int argc, char **argv) {
  long cases = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  int count, failed = 0;
  const Isa *const *isas = available_isas(&count);
  if (cases < 1 || argc > 3) {
    fputs("usage: kernel_test [cases [seed]]\n", stderr);
    return 2;
  }
  // The plainest first: the draws of the others are compared with its draws.
  for (int isa = count - 1; isa >= 0; isa--) {
    int same = 1;
    for (int kind = 0; kind < KINDS; kind++)
      same &= check_kind(isas[isa], &kinds[kind], cases, seed);
    printf("%s: ", isas[isa]->name);
    if (same)
      printf("%ld tile, %ld vector and %ld draw cases, no difference\n", cases * kinds[0].weight,
             cases * kinds[1].weight, cases * kinds[2].weight);
    else
      printf("DIFFERENT\n");
    failed |= !same;
  }
  return failed;
}
