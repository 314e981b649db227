// Throws and catches at a given depth, `outer` calls deep itself; gives nanoseconds per throw.
#include <chrono>
#include <stdexcept>

volatile int sink;

__attribute__((noinline)) static int thrower(int depth) {
    volatile char pad[64];
    pad[0] = static_cast<char>(depth);
    if (depth == 0) throw std::runtime_error("boom");
    int result = thrower(depth - 1);
    sink = result + pad[0];
    return result + 1;
}

__attribute__((noinline)) static int catcher(int depth) {
    try {
        return thrower(depth);
    } catch (const std::exception& error) {
        sink = error.what()[0];
        return -1;
    }
}

__attribute__((noinline)) static double outer(int levels, int depth, int times) {
    volatile char pad[64];
    pad[0] = 1;
    if (levels > 0) {
        double result = outer(levels - 1, depth, times);
        sink = pad[0];
        return result;
    }
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < times; i++) catcher(depth);
    std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    return took.count() / times;
}

extern "C" double throw_and_catch(int depth, int times) { return outer(10, depth, times); }
