// Engine.run, and the class Crew of the threads that share a run.
#include "engine_type.h"

#include <stdlib.h>

// What a call of run() holds.
typedef struct {
  EngineObject *engine;
  Py_buffer *views; // of the externals
  char **externals;
  int64_t first, last, capacity;
  long long first_sample;
  Py_buffer keys, deviations;
  Noise *noise; // one for each tile; NULL: none
  CrewObject *crew;
  Workspace *workspace;
  Arena *arena;
} Call;

static bool is_written(const Plan *plan, int external) {
  for (int k = 0; k < plan->region_count; k++) {
    const Region *region = &plan->regions[k];
    if (region->kind == EXTERNAL && region->offset == external && region->written) return true;
  }
  return false;
}

// Whether an external array has all samples below `last` of every region that is in it.
static bool is_filled(const Plan *plan, int external, const Py_buffer *view, int64_t last) {
  for (int k = 0; k < plan->region_count; k++) {
    const Region *region = &plan->regions[k];
    if (region->kind == EXTERNAL && region->offset == external && region->size &&
        view->len / region->size < last)
      return false;
  }
  return true;
}

static int acquire_externals(Call *call, PyObject *externals) {
  const Plan *plan = &call->engine->plan;
  int count = plan->external_count;
  if (!PyTuple_Check(externals) || PyTuple_Size(externals) != count)
    return refuse("externals are not a tuple of %d arrays", count);
  call->views = calloc((size_t)count + 1, sizeof *call->views);
  call->externals = calloc((size_t)count + 1, sizeof *call->externals);
  if (!call->views || !call->externals) return PyErr_NoMemory(), -1;
  for (int k = 0; k < count; k++) {
    PyObject *array = PyTuple_GetItem(externals, k);
    if (acquire_bytes(&call->views[k], array, "an external", is_written(plan, k)) < 0) return -1;
    if (!is_filled(plan, k, &call->views[k], call->last))
      return refuse("external %d does not hold %lld samples", k, (long long)call->last);
    call->externals[k] = call->views[k].buf;
  }
  return 0;
}

static int acquire_noise(Call *call, PyObject *noise) {
  PyObject *keys, *deviations;
  const Py_ssize_t shape[] = {call->engine->tile_count, 2};
  if (noise == Py_None) return 0;
  if (!PyTuple_Check(noise) || !PyArg_ParseTuple(noise, "OO", &keys, &deviations)) {
    PyErr_Clear();
    return refuse("noise is not a pair of keys and deviations");
  }
  if (acquire(&call->keys, keys, "the keys of noise", "I", 2, shape, false) < 0 ||
      acquire(&call->deviations, deviations, "the deviations of noise", "f", 1, shape, false) < 0)
    return -1;
  call->noise = calloc((size_t)shape[0] + 1, sizeof *call->noise);
  if (!call->noise) return PyErr_NoMemory(), -1;
  for (Py_ssize_t k = 0; k < shape[0]; k++) {
    const uint32_t *key = (const uint32_t *)((char *)call->keys.buf + k * call->keys.strides[0]);
    float deviation = ((const float *)call->deviations.buf)[k];
    if (check_noise(call->engine->tile_pointers[k], deviation) < 0) return -1;
    call->noise[k] = (Noise){{key[0], key[1]}, deviation};
  }
  return 0;
}

static int use_crew(Call *call, PyObject *crew) {
  if (crew == Py_None) return 0;
  const ModuleState *state = PyType_GetModuleState(Py_TYPE((PyObject *)call->engine));
  if (Py_TYPE(crew) != state->crew) return refuse("crew is no Crew");
  CrewObject *object = (CrewObject *)crew;
  if (object->engine != call->engine) return refuse("the crew belongs to another engine");
  if (object->used) return refuse("the crew has served another run");
  object->used = true;
  call->crew = object;
  return 0;
}

static int check_range(const Call *call) {
  if (call->first < 0 || call->first > call->last || call->last > INT32_MAX)
    return refuse("samples [%lld, %lld) are no range", (long long)call->first,
                  (long long)call->last);
  if (call->capacity < 1) return refuse("the capacity is not positive");
  if (call->first_sample < 0 || call->first_sample > (long long)UINT32_MAX + 1 - call->last)
    return refuse("the number of the first sample is out of range");
  return 0;
}

// Execute the plan for `samples` samples at a time, as even parts of the range as there are.
static void execute(const Call *call, int64_t samples) {
  EngineObject *engine = call->engine;
  Job job = {.plan = &engine->plan,
             .isa = engine->isa,
             .tiles = engine->tile_pointers,
             .noise = call->noise,
             .regions = call->arena->regions,
             .least_work = call->crew ? call->crew->least_work : LEAST_WORK};
  Crew *crew = call->crew ? &call->crew->crew : NULL;
  int threads = call->crew ? call->crew->threads : 1;
  for (int64_t first = call->first; first < call->last; first += samples) {
    int64_t count = call->last - first < samples ? call->last - first : samples;
    place_regions(call->arena, &engine->plan, count, first, call->externals, engine->constants16,
                  engine->constants32);
    job.first_sample = (uint32_t)(call->first_sample + first);
    run_plan(&job, &call->workspace->worker, crew, threads, count);
  }
}

static int64_t samples_at_once(const Call *call) {
  int64_t total = call->last - call->first;
  if (total <= call->capacity) return total;
  int64_t parts = (total + call->capacity - 1) / call->capacity;
  return (total + parts - 1) / parts;
}

static int run_unlocked(Call *call) {
  int64_t samples = samples_at_once(call);
  if (!samples) return 0;
  call->workspace = take_workspace(call->engine);
  call->arena = call->workspace ? take_arena(call->engine, samples) : NULL;
  if (!call->arena) return -1;
  Py_BEGIN_ALLOW_THREADS;
  // IEEE's default rounding, whatever the caller has set.
  fenv_t caller;
  fegetenv(&caller);
  fesetenv(FE_DFL_ENV);
  execute(call, samples);
  fesetenv(&caller);
  Py_END_ALLOW_THREADS;
  return 0;
}

static void finish(Call *call) {
  if (call->crew) close_crew(&call->crew->crew);
  if (call->workspace) return_workspace(call->engine, call->workspace);
  if (call->arena) return_arena(call->engine, call->arena);
  for (int k = 0; call->views && k < call->engine->plan.external_count; k++)
    release(&call->views[k]);
  release(&call->keys);
  release(&call->deviations);
  free(call->views);
  free(call->externals);
  free(call->noise);
}

PyObject *engine_run(PyObject *object, PyObject *arguments, PyObject *keywords) {
  static char *names[] = {"externals", "first", "last", "capacity", "first_sample",
                          "noise",     "crew",  NULL};
  PyObject *externals, *noise = Py_None, *crew = Py_None;
  long long first, last, capacity;
  Call call = {.engine = (EngineObject *)object};
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OLLL|LOO", names, &externals, &first, &last,
                                   &capacity, &call.first_sample, &noise, &crew))
    return NULL;
  call.first = first;
  call.last = last;
  call.capacity = capacity;
  bool done = use_crew(&call, crew) == 0 && check_range(&call) == 0 &&
              acquire_externals(&call, externals) == 0 && acquire_noise(&call, noise) == 0 &&
              run_unlocked(&call) == 0;
  finish(&call);
  return done ? Py_NewRef(Py_None) : NULL;
}

static PyObject *crew_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  static char *names[] = {"engine", "threads", "least_work", NULL};
  const ModuleState *state = PyType_GetModuleState(type);
  PyObject *engine;
  int threads;
  long long least_work = LEAST_WORK;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!i|L", names, state->engine, &engine,
                                   &threads, &least_work))
    return NULL;
  if (threads < 1) return refuse("a crew has no threads"), NULL;
  if (least_work < 0) return refuse("the least work is negative"), NULL;
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  CrewObject *self = (CrewObject *)allocate(type, 0);
  if (!self) return NULL;
  self->engine = (EngineObject *)Py_NewRef(engine);
  self->threads = threads;
  self->least_work = least_work;
  open_crew(&self->crew);
  return (PyObject *)self;
}

static void crew_dealloc(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  Py_XDECREF((PyObject *)((CrewObject *)object)->engine);
  freefunc release_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release_object(object);
  Py_DECREF(type);
}

static PyObject *crew_help(PyObject *object, PyObject *unused) {
  (void)unused;
  CrewObject *self = (CrewObject *)object;
  Workspace *workspace = take_workspace(self->engine);
  if (!workspace) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  fenv_t caller;
  fegetenv(&caller);
  fesetenv(FE_DFL_ENV);
  help_crew(&self->crew, &workspace->worker);
  fesetenv(&caller);
  Py_END_ALLOW_THREADS;
  return_workspace(self->engine, workspace);
  return Py_NewRef(Py_None);
}

static PyObject *crew_close(PyObject *object, PyObject *unused) {
  (void)unused;
  close_crew(&((CrewObject *)object)->crew);
  return Py_NewRef(Py_None);
}

static PyMethodDef crew_methods[] = {
    {"help", crew_help, METH_NOARGS, "Take part in the run that the crew serves, until it ends."},
    {"close", crew_close, METH_NOARGS, "Send the helpers away; the end of the run does it too."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot crew_slots[] = {
    {Py_tp_doc, "Threads that share one run of an engine."},
    {Py_tp_new, crew_new},
    {Py_tp_dealloc, crew_dealloc},
    {Py_tp_methods, crew_methods},
    {0, NULL},
};

PyType_Spec crew_spec = {
    .name = "anacc_runtime._kernel.Crew",
    .basicsize = sizeof(CrewObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = crew_slots,
};
