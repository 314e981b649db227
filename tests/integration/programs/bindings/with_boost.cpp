#include <boost/python.hpp>
#include "thrower.h"
volatile int sink;
BOOST_PYTHON_MODULE(with_boost) { boost::python::def("fail", &way_down); }
