// draw: the noise of conversions. test_noise.py compares it with NumPy; here all instruction sets
// are compared with portable C, and a range of columns with the columns one by one.
#include "cases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int check_draw(const Isa *isa, Random random, Memory *memory) {
  int count = random_size(&random, 300), phase = (int)between(&random, 0, 1);
  Noise noise = {.key = {random_bits(&random), random_bits(&random)}};
  noise.deviation = ldexpf((float)between(&random, 0, 1000), (int)between(&random, -10, 8));
  uint32_t sample = random_bits(&random), position = random_bits(&random);
  uint32_t time = random_bits(&random), first = (uint32_t)between(&random, 0, 65536 - count);
  int32_t *actual = (int32_t *)aligned_block(memory, (size_t)count * sizeof *actual);
  isa->draw(&noise, phase, sample, position, time, first, count, actual);
  for (int k = 0; k < count; k++) {
    int32_t right = 0;
    isa_portable.draw(&noise, phase, sample, position, time, first + (uint32_t)k, 1, &right);
    if (actual[k] == right) continue;
    fprintf(stderr,
            "  key %x %x, deviation %g, phase %d, sample %u, position %u, time %u\n"
            "  column %u + %d of %d: %d, expected %d\n",
            noise.key[0], noise.key[1], (double)noise.deviation, phase, sample, position, time,
            first, k, count, actual[k], right);
    return 0;
  }
  return 1;
}
