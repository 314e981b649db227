// Native steps in C++ by way of pybind11: a function, a method, a lambda, a call through std::function.
//
// Each is named `oracle_KIND_NN`; none is inlined and none calls in tail position.
#include <functional>
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <stdexcept>

namespace py = pybind11;

#define STEP __attribute__((noinline, noclone))
// Nothing, but different in each copy: compilers fold functions whose code is the same.
#define COPY(N) __asm__ volatile("/* " #N " */" ::: "memory")
#define EACH_COPY(M) M(00) M(01) M(02) M(03)

class Ring {
public:
#define METHOD(N) \
    STEP py::object oracle_cppmethod_##N(py::object callee) \
    { \
        py::object result = callee(); \
        rounds += 1; \
        COPY(N); \
        return result; \
    }
    EACH_COPY(METHOD)

    int rounds = 0;
};

namespace steps {

#define FUNCTION(N) \
    STEP py::object oracle_cpp_##N(py::object callee) \
    { \
        py::object result = callee(); \
        COPY(N); \
        return result; \
    }
EACH_COPY(FUNCTION)

// The frame has something to destroy and to catch.
#define GUARDED(N) \
    STEP py::object oracle_cppguarded_##N(py::object callee) \
    { \
        std::string kept(100, 'x'); \
        try { \
            py::object result = callee(); \
            COPY(N); \
            return result; \
        } catch (const std::runtime_error &) { \
            return py::str(kept); \
        } \
    }
EACH_COPY(GUARDED)

#define LAMBDA(N) \
    static void oracle_cpplambda_##N(py::module_ &module) \
    { \
        module.def("cpplambda_" #N, [](py::object callee) __attribute__((noinline)) { \
            py::object result = callee(); \
            COPY(N); \
            return result; \
        }); \
    }
EACH_COPY(LAMBDA)

#define FUNCTIONAL(N) \
    STEP int oracle_cppfunctional_##N(const std::function<int()> &callee) \
    { \
        int result = callee(); \
        COPY(N); \
        return result; \
    }
EACH_COPY(FUNCTIONAL)

}  // namespace steps

#define BIND(N) \
    module.def("cpp_" #N, steps::oracle_cpp_##N); \
    module.def("cppguarded_" #N, steps::oracle_cppguarded_##N); \
    module.def("cppfunctional_" #N, steps::oracle_cppfunctional_##N); \
    ring.def("cppmethod_" #N, &Ring::oracle_cppmethod_##N); \
    steps::oracle_cpplambda_##N(module);

PYBIND11_MODULE(oracle_pybind11, module)
{
    py::class_<Ring> ring(module, "Ring");
    ring.def(py::init<>());
    EACH_COPY(BIND)
}
