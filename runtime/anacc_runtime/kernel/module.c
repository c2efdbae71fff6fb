// The Python module anacc_runtime._kernel.
#include "binding.h"

#include "isa.h"

static PyObject *isas(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  int count;
  const Isa *const *available = available_isas(&count);
  PyObject *names = PyTuple_New(count);
  for (int k = 0; names && k < count; k++) {
    PyObject *name = PyUnicode_FromString(available[k]->name);
    // Steals the reference, also where it fails.
    if (!name || PyTuple_SetItem(names, k, name) < 0) Py_CLEAR(names);
  }
  return names;
}

static PyObject *draw(PyObject *self, PyObject *arguments, PyObject *keywords) {
  (void)self;
  static char *names[] = {"key",  "deviation", "phase", "sample", "position",
                          "time", "first",     "count", "isa",    NULL};
  Noise noise;
  int phase, count;
  unsigned int sample, position, time, first;
  const char *name = NULL;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "(II)fiIIIIi|z", names, &noise.key[0],
                                   &noise.key[1], &noise.deviation, &phase, &sample, &position,
                                   &time, &first, &count, &name))
    return NULL;
  const Isa *isa = choose_isa(name);
  if (!isa) return NULL;
  if (!is_deviation(noise.deviation) || phase < 0 || phase > 1 || count < 0 || count > MAX_COLUMNS)
    return refuse("an argument of draw() is out of range"), NULL;
  PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(sizeof(int32_t)) * count);
  if (!result) return NULL;
  fenv_t caller;
  fegetenv(&caller);
  fesetenv(FE_DFL_ENV);
  isa->draw(&noise, phase, sample, position, time, first, count,
            (int32_t *)(void *)PyBytes_AsString(result));
  fesetenv(&caller);
  return result;
}

static PyMethodDef methods[] = {
    {"isas", isas, METH_NOARGS, "The instruction sets that this CPU can run, the fastest first."},
    {"draw", (PyCFunction)(void (*)(void))draw, METH_VARARGS | METH_KEYWORDS,
     "Noise of one conversion; _kernel.pyi describes the arguments."},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type) {
  *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
  return *type ? PyModule_AddType(module, *type) : -1;
}

static int execute(PyObject *module) {
  ModuleState *state = PyModule_GetState(module);
  return add_type(module, &tile_spec, &state->tile) < 0 ||
                 add_type(module, &engine_spec, &state->engine) < 0 ||
                 add_type(module, &crew_spec, &state->crew) < 0 ||
                 PyModule_AddIntMacro(module, MAX_NOISY_ROWS) < 0 ||
                 PyModule_AddIntMacro(module, BLOCK) < 0
             ? -1
             : 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
  ModuleState *state = PyModule_GetState(module);
  Py_VISIT(state->tile);
  Py_VISIT(state->engine);
  Py_VISIT(state->crew);
  return 0;
}

static int clear(PyObject *module) {
  ModuleState *state = PyModule_GetState(module);
  Py_CLEAR(state->tile);
  Py_CLEAR(state->engine);
  Py_CLEAR(state->crew);
  return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "The native kernel of the simulator.",
    .m_size = sizeof(ModuleState),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
