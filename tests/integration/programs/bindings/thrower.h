// What all bindings call.
#pragma once
#include <stdexcept>

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

extern volatile int sink;

__attribute__((noinline, visibility("default"))) inline int way_throw(int number) {
    sink = number;
    throw Failure("a failure in C++");
}

__attribute__((noinline, visibility("default"))) inline int way_down(int depth) {
    int result = depth == 0 ? way_throw(depth) : way_down(depth - 1);
    sink = result;
    return result + 1;
}
