// Finds the parts of a loop's body that do not depend on each other.
#include "reader.h"

#include <string.h>

enum { MAX_OPERANDS = MAX_ADDENDS + 3 };

// Every pair of a body's nodes is looked at: longer bodies are left in one piece.
static const int64_t LONGEST = 512;

static int list_operands(const Node *node, const Operand **operands) {
  int count = 0;
  const TileCall *call = &node->tile;
  switch (node->kind) {
  case GATHER:
  case SCATTER:
    operands[count++] = node->copy.target;
    operands[count++] = node->copy.source;
    break;
  case FILL: operands[count++] = node->fill.target; break;
  case TILE_CALL:
    operands[count++] = call->x;
    for (int k = 0; k < MAX_ADDENDS; k++)
      if (call->addends[k]) operands[count++] = call->addends[k];
    if (call->value) operands[count++] = call->value;
    if (call->codes) operands[count++] = call->codes;
    break;
  case VECTOR:
    operands[count++] = node->vector.target;
    for (int k = 0; k < node->vector.source_count; k++) operands[count++] = node->vector.sources[k];
    break;
  case LOOP:
  case NODE_KINDS: break;
  }
  return count;
}

// Whether two regions share memory.
static bool meet(const Region *a, const Region *b) {
  if (a->kind != b->kind) return false;
  if (a->kind == EXTERNAL) return a->offset == b->offset;
  return a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

// Whether one of two operands may write what the other one touches in the same iteration.
static bool conflict(const Reader *reader, const Operand *a, const Operand *b) {
  const Region *regions = reader->plan->regions;
  if (!a->written && !b->written) return false;
  if (a->region != b->region) return meet(&regions[a->region], &regions[b->region]);
  size_t loops = (size_t)reader->depth * sizeof *a->offset.loops;
  if (a->offset.table || b->offset.table || memcmp(a->offset.loops, b->offset.loops, loops) != 0)
    return true;
  int64_t first = a->offset.base, second = b->offset.base;
  return first + a->low < second + b->high && second + b->low < first + a->high;
}

static bool depend(const Reader *reader, const Node *a, const Node *b) {
  const Operand *first[MAX_OPERANDS], *second[MAX_OPERANDS];
  int first_count = list_operands(a, first), second_count = list_operands(b, second);
  for (int j = 0; j < first_count; j++)
    for (int k = 0; k < second_count; k++)
      if (conflict(reader, first[j], second[k])) return true;
  return false;
}

// The first of the nodes before `node` that it depends on, itself if there is none.
static int64_t earliest(const Reader *reader, const Body *body, int64_t node) {
  for (int64_t k = 0; k < node; k++)
    if (depend(reader, &body->nodes[k], &body->nodes[node])) return k;
  return node;
}

void find_parts(Reader *reader, Loop *loop) {
  const Body *body = &loop->body;
  // With axes, different positions of a sample could meet as well.
  if (reader->axis_count || body->count > LONGEST) return;
  for (int64_t k = 0; k < body->count; k++)
    if (body->nodes[k].kind == LOOP) return;
  Body *parts = allocate(reader, body->count, sizeof *parts);
  if (!parts) return;
  // From the end: a part begins where neither this node nor a later one depends on an earlier one.
  int64_t needed = body->count, end = body->count, count = 0;
  for (int64_t k = body->count - 1; k >= 0; k--) {
    int64_t first = earliest(reader, body, k);
    if (first < needed) needed = first;
    if (needed < k) continue;
    parts[count++] = (Body){end - k, &body->nodes[k]};
    end = k;
  }
  loop->parts = parts;
  loop->part_count = count;
}
