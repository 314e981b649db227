#include <nanobind/nanobind.h>
#include "thrower.h"
volatile int sink;
NB_MODULE(with_nanobind, module) { module.def("fail", &way_down); }
