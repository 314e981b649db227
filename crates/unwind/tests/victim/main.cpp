// A stack with everything that is hard to unwind: inlined templates, a callback through the C
// library, calls through the procedure linkage table, a handler above an instruction that
// trapped on the first byte of its function, and callee-saved registers in use everywhere.
#include <csignal>
#include <cstdlib>
#include <vector>

#include "library.h"

extern "C" void trap();
asm(R"(
    .text
    .globl trap
    .type trap, @function
    .cfi_startproc
    nop
trap:
    ud2
    ret
    .cfi_endproc
    .size trap, .-trap
)");

static volatile long sink;

// The debugger stops here.
extern "C" __attribute__((noinline)) void stop() { sink = sink + 1; }

static void on_trap(int) {
    stop();
    _Exit(0);
}

template <typename T>
static inline __attribute__((always_inline)) T total(const std::vector<T>& values) {
    T sum{};
    for (const T& value : values) {
        sum += value;
        if (value == 3) {
            trap();
        }
    }
    return sum;
}

__attribute__((noinline)) static long work(long a, long b, long c, long d, const std::vector<long>& values) {
    long before = a * b + c;
    long sum = total(values);
    return before + sum + a + b + c + d;
}

static int compare(const void* left, const void* right) {
    std::vector<long> values{1, 2, 3};
    sink = work(*static_cast<const long*>(left), *static_cast<const long*>(right), 5, 7, values);
    return 0;
}

static long visit(long depth) {
    long values[2] = {depth, depth + 1};
    std::qsort(values, 2, sizeof(long), compare);
    return values[0];
}

int main() {
    std::signal(SIGILL, on_trap);
    return static_cast<int>(call_back(visit, 4)) & 1;
}
