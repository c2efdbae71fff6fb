// Threads that share the blocks of a run.
//
// The leader executes the plan and publishes the blocks of one group after another; it and its
// helpers claim them one by one, the leader from the front and helpers from the back, so that with
// one helper each has neighbouring blocks in its caches. The leader goes on when all blocks are
// finished. What a helper may touch it learns by a claim, and while a claimed block is unfinished
// the leader can neither go on nor end: helpers may come late or not at all.
#ifndef ANACC_CREW_H
#define ANACC_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// What is done to each of `count` blocks.
typedef struct {
  void (*function)(const void *argument, void *worker, int64_t block);
  const void *argument;
  uint32_t count;
} Task;

typedef struct {
  _Atomic uint64_t unclaimed; // blocks [low half, high half)
  _Atomic uint32_t finished;
  atomic_bool closed;
  Task task; // written before blocks are published, read after a claim
} Crew;

void open_crew(Crew *crew);

// Lead: do a task, with whoever helps; returns when it is finished.
void share_task(Crew *crew, const Task *task, void *worker);

// Help until the crew is closed.
void help_crew(Crew *crew, void *worker);

void close_crew(Crew *crew);

#endif
