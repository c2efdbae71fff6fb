#include "crew.h"

#include <sched.h>

// A helper that finds nothing to do looks again so many times before it lets others have its CPU:
// some 20 us, longer than most gaps between groups.
enum { PATIENCE = 500 };

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Wait a moment, for the `turn`-th time in a row.
static inline void wait_a_moment(int turn) {
  if (turn < PATIENCE)
    pause_cpu();
  else
    sched_yield();
}

// Claim a block, at the front or the back. Returns its number, or -1 where none is unclaimed.
//
// It does not matter if between the look and the exchange other blocks were published: the exchange
// succeeds only if the same blocks are unclaimed now, and nothing else was read before it.
static int64_t claim(Crew *crew, bool front) {
  uint64_t range = atomic_load_explicit(&crew->unclaimed, memory_order_relaxed);
  for (;;) {
    uint32_t low = (uint32_t)range, high = (uint32_t)(range >> 32);
    if (low >= high) return -1;
    uint64_t rest = front ? range + 1 : range - (UINT64_C(1) << 32);
    if (atomic_compare_exchange_weak_explicit(&crew->unclaimed, &range, rest, memory_order_acquire,
                                              memory_order_relaxed))
      return front ? low : high - 1;
  }
}

// Do blocks as long as there are unclaimed ones. Returns how many.
static uint32_t work(Crew *crew, void *worker, bool front) {
  uint32_t done = 0;
  for (int64_t block; (block = claim(crew, front)) >= 0; done++) {
    crew->task.function(crew->task.argument, worker, block);
    atomic_fetch_add_explicit(&crew->finished, 1, memory_order_release);
  }
  return done;
}

void open_crew(Crew *crew) {
  atomic_init(&crew->unclaimed, 0);
  atomic_init(&crew->finished, 0);
  atomic_init(&crew->closed, false);
}

void share_task(Crew *crew, const Task *task, void *worker) {
  crew->task = *task;
  atomic_store_explicit(&crew->finished, 0, memory_order_relaxed);
  atomic_store_explicit(&crew->unclaimed, (uint64_t)task->count << 32, memory_order_release);
  work(crew, worker, true);
  for (int turn = 0;
       atomic_load_explicit(&crew->finished, memory_order_acquire) != task->count;
       turn += turn < PATIENCE)
    wait_a_moment(turn);
}

void help_crew(Crew *crew, void *worker) {
  int turn = 0;
  while (!atomic_load_explicit(&crew->closed, memory_order_acquire)) {
    if (work(crew, worker, false))
      turn = 0;
    else
      wait_a_moment(turn < PATIENCE ? turn++ : turn);
  }
}

void close_crew(Crew *crew) { atomic_store_explicit(&crew->closed, true, memory_order_release); }
