// Decoding of plans: regions, tables, groups and operations.
#include "plan.h"
#include "reader.h"

#include <string.h>

static const int64_t VERSION = 1;

// No size or offset of memory comes near this, and with it no sum or product of a few overflows.
static const int64_t LARGEST = INT64_C(1) << 40;

static void read_regions(Reader *reader) {
  Plan *plan = reader->plan;
  int64_t count = read_count(reader);
  if (count > INT32_MAX) return fail(reader, "the plan has too many regions");
  plan->regions = allocate(reader, count, sizeof *plan->regions);
  for (int64_t k = 0; k < count && !reader->error; k++) {
    Region *region = &plan->regions[k];
    region->kind = (RegionKind)read_word(reader, 0, REGION_KINDS - 1, "a region has no known kind");
    region->size = read_word(reader, 0, LARGEST, "the size of a region is out of range");
    int64_t last = region->kind == EXTERNAL ? UINT16_MAX : region->kind < EXTERNAL ? LARGEST : 0;
    region->offset = read_word(reader, 0, last, "the offset of a region is out of range");
    int64_t end = region->offset + region->size;
    if (region->kind < EXTERNAL && (region->size % 64 || region->offset % 64))
      fail(reader, "a region is not aligned");
    if (region->kind == ARENA && end > plan->arena_bytes) plan->arena_bytes = end;
    if (region->kind == LOCAL && end > plan->local_bytes) plan->local_bytes = end;
    if (region->kind == EXTERNAL && region->offset >= plan->external_count)
      plan->external_count = (int)region->offset + 1;
    if ((region->kind == CONSTANTS16 && region->size > reader->context->constants16) ||
        (region->kind == CONSTANTS32 && region->size > reader->context->constants32))
      fail(reader, "a region is larger than the constants of the program");
    plan->region_count++;
  }
}

static void read_tables(Reader *reader) {
  reader->table_count = read_count(reader);
  reader->tables = allocate(reader, reader->table_count, sizeof *reader->tables);
  for (int64_t k = 0; k < reader->table_count && !reader->error; k++) {
    Table *table = &reader->tables[k];
    table->count = read_count(reader);
    table->lowest = table->highest = 0;
    int64_t *offsets = allocate(reader, table->count, sizeof *offsets);
    for (int64_t i = 0; i < table->count && !reader->error; i++) {
      int64_t offset = read_word(reader, -LARGEST, LARGEST, "an offset of a table is out of range");
      offsets[i] = offset;
      if (i == 0 || offset < table->lowest) table->lowest = offset;
      if (i == 0 || offset > table->highest) table->highest = offset;
    }
    table->offsets = offsets;
  }
}

static int64_t read_copy(Reader *reader, Copy *copy, bool gather) {
  copy->element = read_word(reader, 1, LARGEST, "an element of a copy has an impossible size");
  int64_t lowest = 0, highest = copy->element, size = copy->element;
  copy->dims = read_dims(reader, &copy->dim_count, &lowest, &highest);
  for (int k = 0; k < copy->dim_count && !reader->error; k++)
    if (__builtin_mul_overflow(size, copy->dims[k].count, &size) || size > LARGEST)
      fail(reader, "a copy is too large");
  if (gather) {
    copy->target = read_operand(reader, 0, size, true);
    copy->source = read_operand(reader, lowest, highest, false);
  } else {
    copy->target = read_operand(reader, lowest, highest, true);
    copy->source = read_operand(reader, 0, size, false);
  }
  return size;
}

static int64_t read_fill(Reader *reader, Fill *fill) {
  fill->size = read_word(reader, 0, LARGEST, "the size of a fill is out of range");
  fill->width = (int)read_word(reader, 1, 4, "a pattern is not 1, 2 or 4 bytes wide");
  int64_t pattern = read_word(reader, 0, UINT32_MAX, "a pattern is out of range");
  if (reader->error) return 0;
  if (fill->width == 3 || fill->size % fill->width || pattern >> 8 * fill->width)
    return fail(reader, "a fill does not consist of whole patterns"), 0;
  for (int k = 0; k < 4; k++) fill->pattern[k] = (unsigned char)(pattern >> 8 * k);
  fill->target = read_operand(reader, 0, fill->size, true);
  return fill->size;
}

static int64_t read_tile(Reader *reader, TileCall *call) {
  const Context *context = reader->context;
  call->tile = (int)read_word(reader, 0, context->tile_count - 1, "an unknown tile is called");
  if (reader->error) return 0;
  const Tile *tile = context->tiles[call->tile];
  int64_t extent = 0;
  for (int k = 0; k < tile->run_count; k++) {
    int64_t end = (int64_t)tile->runs[k].offset + tile->runs[k].length;
    if (end > extent) extent = end;
  }
  call->x = read_operand(reader, 0, extent, false);
  read_word(reader, tile->addend_count, tile->addend_count, "a tile has other addends");
  for (int k = 0; k < tile->addend_count && !reader->error; k++) {
    int64_t element = tile->addends[k].format == INT8 ? 1 : 2;
    call->addends[k] = read_operand(reader, 0, element * tile->columns, false);
  }
  call->value = read_optional(reader, 2 * (int64_t)tile->columns, true);
  call->codes = read_optional(reader, tile->columns, true);
  read_index(reader, &call->position, false);
  read_index(reader, &call->time, true);
  return (int64_t)tile->rows * tile->columns;
}

// What an instruction takes: how many sources, of which formats (the first being any in a set of
// bits), and what it makes. AVERAGE's second source is binary32.
typedef struct {
  int sources, first_formats, target_bytes;
} Signature;

static const Signature SIGNATURES[VECTOR_OPS] = {
    [SCALE] = {2, 1 << INT8 | 1 << INT16 | 1 << BINARY16, 2},
    [AFFINE] = {3, 1 << INT8 | 1 << INT16 | 1 << BINARY16, 2},
    [ADD] = {2, 1 << BINARY16, 2},
    [MULTIPLY] = {2, 1 << BINARY16, 2},
    [RELU_VECTOR] = {1, 1 << BINARY16, 2},
    [CLAMP_VECTOR] = {1, 1 << BINARY16, 2},
    [LOOKUP] = {1, 1 << BINARY16, 2},
    [QUANTISE] = {1, 1 << BINARY16, 1},
    [MAXIMUM] = {1, 1 << INT8, 1},
    [SUM] = {1, 1 << INT8, 4},
    [AVERAGE] = {2, 1 << INT32, 2},
};

static const int FORMAT_BYTES[] = {[INT8] = 1, [INT16] = 2, [INT32] = 4, [BINARY16] = 2};

static float read_bound(Reader *reader) {
  int64_t bits = read_word(reader, INT64_MIN, INT64_MAX, "");
  double bound;
  memcpy(&bound, &bits, sizeof bound);
  return (float)bound;
}

// Read what an instruction is, all but its operands.
static void read_instr(Reader *reader, VectorInstr *instr) {
  instr->op = (VectorOp)read_word(reader, 0, VECTOR_OPS - 1, "a vector instruction is unknown");
  instr->format = (Format)read_word(reader, 0, BINARY16, "a vector has no known format");
  instr->length = (int)read_word(reader, 1, INT32_MAX, "the length of a vector is out of range");
  instr->vectors = (int)read_word(reader, 1, 1 << 24, "the number of vectors is out of range");
  instr->low = read_bound(reader);
  instr->high = read_bound(reader);
  bool reduces = instr->op == MAXIMUM || instr->op == SUM;
  if (!(SIGNATURES[instr->op].first_formats & 1 << instr->format))
    fail(reader, "a vector instruction does not take its format");
  if ((instr->vectors > 1 && !reduces) || (int64_t)instr->vectors * instr->length > INT32_MAX)
    fail(reader, "the number of vectors is out of range");
  if (instr->op == CLAMP_VECTOR && !(instr->low <= instr->high))
    fail(reader, "a clamp has no values between its bounds");
  int64_t curve = read_word(reader, 0, INT32_MAX, "an unknown function table is used");
  if (instr->op != LOOKUP) return;
  if (curve < reader->context->curve_count)
    instr->curve = &reader->context->curves[curve];
  else
    fail(reader, "an unknown function table is used");
}

static int64_t read_vector(Reader *reader, Vector *vector) {
  VectorInstr *instr = &vector->instr;
  read_instr(reader, instr);
  const Signature *signature = &SIGNATURES[instr->op];
  vector->target = read_operand(reader, 0, (int64_t)signature->target_bytes * instr->length, true);
  vector->source_count = (int)read_word(reader, signature->sources, signature->sources,
                                        "a vector instruction has other sources");
  for (int k = 0; k < vector->source_count && !reader->error; k++) {
    int64_t bytes = k == 0 ? FORMAT_BYTES[instr->format] : instr->op == AVERAGE ? 4 : 2;
    // Whether it is broadcast comes first: it says how much of the region the operand needs.
    instr->broadcast[k] = (int)read_word(reader, 0, 1, "a source is neither broadcast nor not");
    if (instr->broadcast[k] && (instr->op == MAXIMUM || instr->op == SUM))
      fail(reader, "vectors that are reduced are broadcast");
    if (!instr->broadcast[k]) bytes *= (int64_t)instr->length * instr->vectors;
    vector->sources[k] = read_operand(reader, 0, bytes, false);
  }
  return (int64_t)instr->length * instr->vectors;
}

static int64_t read_body(Reader *reader, Body *body);

static int64_t read_loop(Reader *reader, Loop *loop) {
  loop->count = read_word(reader, 1, INT32_MAX, "the count of a loop is out of range");
  loop->depth = reader->depth;
  if (reader->depth == MAX_DEPTH) fail(reader, "loops are nested too deep");
  if (reader->error) return 0;
  reader->loops[reader->depth++] = loop->count;
  int64_t work = read_body(reader, &loop->body);
  if (!reader->error) find_parts(reader, loop);
  reader->depth--;
  return work > LARGEST / loop->count ? LARGEST : work * loop->count;
}

static int64_t read_node(Reader *reader, Node *node) {
  node->kind = (NodeKind)read_word(reader, 0, NODE_KINDS - 1, "an operation is unknown");
  switch (node->kind) {
  case LOOP: return read_loop(reader, &node->loop);
  // Moved bytes and elements of vectors cost some multiply-adds each.
  case GATHER: return 4 * read_copy(reader, &node->copy, true);
  case SCATTER: return 4 * read_copy(reader, &node->copy, false);
  case FILL: return read_fill(reader, &node->fill);
  case TILE_CALL: return read_tile(reader, &node->tile);
  case VECTOR: return 16 * read_vector(reader, &node->vector);
  case NODE_KINDS: break;
  }
  return 0;
}

// Read a body; returns the work that it is, at most LARGEST.
static int64_t read_body(Reader *reader, Body *body) {
  int64_t work = 0;
  body->count = read_count(reader);
  body->nodes = allocate(reader, body->count, sizeof *body->nodes);
  for (int64_t k = 0; k < body->count && !reader->error; k++) {
    work += read_node(reader, &body->nodes[k]);
    if (work > LARGEST) work = LARGEST;
  }
  return work;
}

static void read_group(Reader *reader, Group *group) {
  reader->group = group;
  reader->last_operand = &group->operands;
  reader->depth = 0;
  reader->axis_count = (int)read_word(reader, 0, MAX_AXES, "a group has too many axes");
  group->positions = 1;
  for (int k = 0; k < reader->axis_count && !reader->error; k++) {
    reader->axes[k] = read_word(reader, 1, INT32_MAX, "an axis is out of range");
    group->positions *= reader->axes[k];
    if (group->positions > INT32_MAX) fail(reader, "a group has too many positions");
  }
  group->work = read_body(reader, &group->body);
  if (group->operand_count > reader->plan->operand_count)
    reader->plan->operand_count = group->operand_count;
  reader->plan->work += (double)group->positions * (double)group->work;
}

const char *decode_plan(Plan *plan, const int64_t *words, int64_t count, const Context *context) {
  memset(plan, 0, sizeof *plan);
  Reader reader = {.next = words, .end = words + count, .plan = plan, .context = context};
  read_word(&reader, VERSION, VERSION, "the plan has another version");
  read_regions(&reader);
  read_tables(&reader);
  plan->group_count = read_count(&reader);
  plan->groups = allocate(&reader, plan->group_count, sizeof *plan->groups);
  for (int64_t k = 0; k < plan->group_count && !reader.error; k++)
    read_group(&reader, &plan->groups[k]);
  if (!reader.error && reader.next != reader.end) fail(&reader, "the plan ends too late");
  return reader.error;
}
