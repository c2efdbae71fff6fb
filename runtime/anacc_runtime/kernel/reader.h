// Reading the words of a plan: what plan.c and operand.c share.
#ifndef ANACC_READER_H
#define ANACC_READER_H

#include "plan.h"

typedef struct {
  int64_t count;
  const int64_t *offsets;
  int64_t lowest, highest;
} Table;

// The words that are left, and where in the plan they belong. Once `error` is set, all that is read
// is 0 and the plan must not be used.
typedef struct {
  const int64_t *next, *end;
  const char *error;
  Plan *plan;
  const Context *context;
  int64_t table_count;
  Table *tables;
  Group *group;
  Operand **last_operand; // the end of the group's list
  int axis_count, depth;
  int64_t axes[MAX_AXES], loops[MAX_DEPTH];
} Reader;

// Set the error, if there is none yet.
void fail(Reader *reader, const char *error);

// The next word; an error if it is not in [low, high].
int64_t read_word(Reader *reader, int64_t low, int64_t high, const char *error);

// The next word, which says how many things of at least one word each follow.
int64_t read_count(Reader *reader);

// Zeroed memory that lives as long as the plan; NULL with an error where there is none.
void *allocate(Reader *reader, int64_t count, size_t size);

// The dimensions of a copy; the interval of the offsets that they span is added to
// [*lowest, *highest].
const Dim *read_dims(Reader *reader, int *count, int64_t *lowest, int64_t *highest);

// The next operand: bytes [lowest, highest) from its address must be in its region at every index.
// `written`: it is a target.
Operand *read_operand(Reader *reader, int64_t lowest, int64_t highest, bool written);

// An operand of `extent` bytes that may be missing, which is NULL.
Operand *read_optional(Reader *reader, int64_t extent, bool written);

// A number in [0, 2**32) at every index. `still`: it must not move with the axes.
void read_index(Reader *reader, Affine *index, bool still);

// Set the parts of a loop whose body has been read.
void find_parts(Reader *reader, Loop *loop);

#endif
