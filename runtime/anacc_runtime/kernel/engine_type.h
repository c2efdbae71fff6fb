// The Python classes Engine and Crew.
#ifndef ANACC_ENGINE_TYPE_H
#define ANACC_ENGINE_TYPE_H

#include "binding.h"
#include "workspace.h"

typedef struct {
  PyObject_HEAD
  Plan plan;
  const Isa *isa;
  PyObject *tiles; // a tuple; the tiles live as long as the engine
  const Tile **tile_pointers;
  Py_ssize_t tile_count;
  char *constants16, *constants32;
  Curve *curves;
  Py_ssize_t curve_count;
  size_t scratch_bytes;
  // What runs have given back; touched with the GIL only.
  Workspace *workspaces;
  Arena *arenas;
} EngineObject;

typedef struct {
  PyObject_HEAD
  EngineObject *engine;
  Crew crew;
  int threads;
  int64_t least_work; // of a block that one of them is given
  bool used;          // by a run
} CrewObject;

// Take memory from an engine, or make some; NULL with an exception. With the GIL.
Workspace *take_workspace(EngineObject *self);
Arena *take_arena(EngineObject *self, int64_t samples);

// Give it back for later runs.
void return_workspace(EngineObject *self, Workspace *workspace);
void return_arena(EngineObject *self, Arena *arena);

PyObject *engine_run(PyObject *object, PyObject *arguments, PyObject *keywords);

#endif
