// The Python class Engine: how it is made.
#include "engine_type.h"

#include "half.h"

#include <stdlib.h>
#include <string.h>

// Positions in a table are computed in binary32, which counts so far exactly.
enum { MAX_CURVE = 1 << 24 };

// Set the tiles from a tuple of Tile objects for the same instruction set.
static int set_tiles(EngineObject *self, PyObject *tiles, const ModuleState *state) {
  if (!PyTuple_Check(tiles)) return refuse("tiles are not a tuple");
  self->tile_count = PyTuple_Size(tiles);
  self->tile_pointers = calloc((size_t)self->tile_count + 1, sizeof *self->tile_pointers);
  if (!self->tile_pointers) return PyErr_NoMemory(), -1;
  for (Py_ssize_t k = 0; k < self->tile_count; k++) {
    PyObject *object = PyTuple_GetItem(tiles, k);
    if (Py_TYPE(object) != state->tile) return refuse("an element of tiles is no Tile");
    const TileObject *tile = (const TileObject *)object;
    if (tile->isa != self->isa) return refuse("a tile is for another instruction set");
    self->tile_pointers[k] = &tile->tile;
    size_t scratch = self->isa->scratch_bytes(&tile->tile);
    if (scratch > self->scratch_bytes) self->scratch_bytes = scratch;
  }
  self->tiles = Py_NewRef(tiles);
  return 0;
}

// Copy a pool of constants.
static int set_constants(PyObject *object, const char *name, const char *format, char **target,
                         int64_t *bytes) {
  const Py_ssize_t any[] = {-1};
  Py_buffer view;
  if (acquire(&view, object, name, format, 1, any, false) < 0) return -1;
  *bytes = view.shape[0] * view.itemsize;
  *target = allocate_aligned((size_t)*bytes);
  if (*target) memcpy(*target, view.buf, (size_t)*bytes);
  release(&view);
  return *target ? 0 : (PyErr_NoMemory(), -1);
}

// Set one curve, with samples of its own. Returns 0, or -1 with an exception.
static int set_curve(Curve *curve, PyObject *object) {
  const Py_ssize_t any[] = {-1};
  PyObject *samples;
  Py_buffer view;
  if (!PyTuple_Check(object) || !PyArg_ParseTuple(object, "Ofpp", &samples, &curve->limit,
                                                  &curve->odd, &curve->interpolate)) {
    PyErr_Clear();
    return refuse("a curve is not (samples, limit, odd, interpolate)");
  }
  if (!(curve->limit > 0 && curve->limit <= 65504.0f))
    return refuse("the limit of a curve is out of range");
  if (acquire(&view, samples, "the samples of a curve", "e", 1, any, false) < 0) return -1;
  Py_ssize_t count = view.shape[0];
  bool fits = count >= 2 && count <= MAX_CURVE;
  float *target = fits ? malloc((size_t)count * sizeof *target) : NULL;
  const uint16_t *halves = view.buf;
  for (Py_ssize_t k = 0; target && k < count; k++) target[k] = half_to_float(halves[k]);
  release(&view);
  if (!fits) return refuse("a curve has %zd samples, too few or too many", count);
  if (!target) return PyErr_NoMemory(), -1;
  curve->samples = target;
  curve->count = (int)count;
  return 0;
}

static int set_curves(EngineObject *self, PyObject *curves) {
  if (!PyTuple_Check(curves)) return refuse("curves are not a tuple");
  Py_ssize_t count = PyTuple_Size(curves);
  self->curves = calloc((size_t)count + 1, sizeof *self->curves);
  if (!self->curves) return PyErr_NoMemory(), -1;
  self->curve_count = count;
  for (Py_ssize_t k = 0; k < count; k++)
    if (set_curve(&self->curves[k], PyTuple_GetItem(curves, k)) < 0) return -1;
  return 0;
}

static int set_plan(EngineObject *self, PyObject *words, Context *context) {
  const Py_ssize_t any[] = {-1};
  Py_buffer view;
  if (acquire(&view, words, "words", "lq", 1, any, false) < 0) return -1;
  const char *error = "words are not 64 bits wide";
  context->tiles = self->tile_pointers;
  context->tile_count = self->tile_count;
  if (view.itemsize == 8) error = decode_plan(&self->plan, view.buf, view.shape[0], context);
  release(&view);
  return error ? refuse("%s", error) : 0;
}

static int fill_engine(EngineObject *self, PyObject *arguments, PyObject *keywords,
                       const ModuleState *state) {
  static char *names[] = {"words", "tiles", "constants16", "constants32", "curves", "isa", NULL};
  PyObject *words, *tiles, *constants16, *constants32, *curves;
  const char *name = NULL;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OOOOO|z", names, &words, &tiles,
                                   &constants16, &constants32, &curves, &name))
    return -1;
  self->isa = choose_isa(name);
  if (!self->isa) return -1;
  Context context = {0};
  if (set_tiles(self, tiles, state) < 0 ||
      set_constants(constants16, "constants16", "e", &self->constants16, &context.constants16) < 0 ||
      set_constants(constants32, "constants32", "f", &self->constants32, &context.constants32) < 0 ||
      set_curves(self, curves) < 0)
    return -1;
  context.curves = self->curves;
  context.curve_count = self->curve_count;
  return set_plan(self, words, &context);
}

static PyObject *engine_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  const ModuleState *state = PyType_GetModuleState(type);
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  EngineObject *self = (EngineObject *)allocate(type, 0);
  if (!self || fill_engine(self, arguments, keywords, state) == 0) return (PyObject *)self;
  Py_DECREF(self);
  return NULL;
}

static void engine_dealloc(PyObject *object) {
  EngineObject *self = (EngineObject *)object;
  PyTypeObject *type = Py_TYPE(object);
  free_plan(&self->plan);
  free_workspaces(self->workspaces);
  free_arenas(self->arenas);
  Py_XDECREF(self->tiles);
  free(self->tile_pointers);
  free(self->constants16);
  free(self->constants32);
  for (Py_ssize_t k = 0; k < self->curve_count; k++) free((void *)self->curves[k].samples);
  free(self->curves);
  freefunc release_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release_object(object);
  Py_DECREF(type);
}

Workspace *take_workspace(EngineObject *self) {
  Workspace *workspace = self->workspaces;
  if (workspace)
    self->workspaces = workspace->next;
  else if (!(workspace = new_workspace(&self->plan, self->scratch_bytes)))
    PyErr_NoMemory();
  return workspace;
}

void return_workspace(EngineObject *self, Workspace *workspace) {
  workspace->next = self->workspaces;
  self->workspaces = workspace;
}

Arena *take_arena(EngineObject *self, int64_t samples) {
  Arena *arena = self->arenas;
  if (arena) self->arenas = arena->next;
  if (arena && !holds(arena, &self->plan, samples)) {
    arena->next = NULL;
    free_arenas(arena);
    arena = NULL;
  }
  if (!arena && !(arena = new_arena(&self->plan, samples))) PyErr_NoMemory();
  return arena;
}

void return_arena(EngineObject *self, Arena *arena) {
  arena->next = self->arenas;
  self->arenas = arena;
}

static PyMethodDef engine_methods[] = {
    {"run", (PyCFunction)(void (*)(void))engine_run, METH_VARARGS | METH_KEYWORDS,
     "Execute the plan; _kernel.pyi describes the arguments."},
    {NULL, NULL, 0, NULL},
};

static PyObject *engine_work(PyObject *object, void *unused) {
  (void)unused;
  return PyFloat_FromDouble(((EngineObject *)object)->plan.work);
}

static PyGetSetDef engine_attributes[] = {
    {"work", engine_work, NULL, "Multiply-adds of a sample, roughly.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot engine_slots[] = {
    {Py_tp_doc, "A plan with its tiles and constants, ready to run."},
    {Py_tp_new, engine_new},
    {Py_tp_dealloc, engine_dealloc},
    {Py_tp_methods, engine_methods},
    {Py_tp_getset, engine_attributes},
    {0, NULL},
};

PyType_Spec engine_spec = {
    .name = "anacc_runtime._kernel.Engine",
    .basicsize = sizeof(EngineObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = engine_slots,
};
