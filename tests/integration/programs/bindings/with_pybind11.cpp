#include <pybind11/pybind11.h>
#include "thrower.h"
volatile int sink;
PYBIND11_MODULE(with_pybind11, module) { module.def("fail", &way_down); }
