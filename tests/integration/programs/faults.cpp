// Ways to die that need C++ or the C library's checks; the others are in crates/faults.
//
// Every `fault_*` function has the C signature `void fault(void)` and ends the process in exactly one way.
// Built once per test session (conftest.py) with
//   g++ -std=c++17 -g -O1 -fPIC -shared -fstack-protector-all -D_FORTIFY_SOURCE=2 -w

#include <alloca.h>
#include <cassert>
#include <cfenv>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define FAULT extern "C" __attribute__((noinline, visibility("default"))) void

namespace {

struct OwnError {
    int number;
};

struct Shape {
    // Not inlined, so that the call goes through the table while only the base is built.
    __attribute__((noinline)) Shape() { measure(); }
    virtual ~Shape() = default;
    __attribute__((noinline)) void measure() { area(); }
    virtual void area() = 0;
};

struct Square : Shape {
    void area() override {}
};

struct ThrowsAtEnd {
    ~ThrowsAtEnd() noexcept(false) { throw std::logic_error("thrown while unwinding"); }
};

// What the optimiser cannot see through.
template <typename T> T *hidden(T *pointer)
{
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

std::size_t hidden_size(std::size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return size;
}

int throw_when_compared(const void *, const void *)
{
    throw std::runtime_error("thrown through a C callback");
}

__attribute__((noinline)) void throw_without_leave() noexcept
{
    throw std::runtime_error("thrown in a noexcept function");
}

} // namespace

FAULT fault_throw_std() { throw std::runtime_error("the grid is empty"); }
FAULT fault_throw_own() { throw OwnError{42}; }
FAULT fault_throw_int() { throw 42; }
FAULT fault_terminate() { std::terminate(); }
FAULT fault_pure_virtual() { Square square; hidden(&square)->area(); }
FAULT fault_throw_in_noexcept() { throw_without_leave(); }
FAULT fault_rethrow_nothing() { throw; }
FAULT fault_vector_at() { std::vector<int> numbers(3); *hidden(&numbers.at(hidden_size(7))) = 1; }
FAULT fault_bad_alloc() { *hidden(new char[hidden_size(std::size_t{1} << 62)]) = 1; }

FAULT fault_throw_in_destructor()
{
    ThrowsAtEnd guard;
    throw std::runtime_error("the first one");
}

FAULT fault_throw_in_std_thread()
{
    std::thread thread([] { throw std::runtime_error("thrown in a std::thread"); });
    thread.join();
}

FAULT fault_thread_not_joined() { std::thread thread([] {}); }

FAULT fault_throw_in_callback()
{
    int numbers[] = {2, 1};
    std::qsort(numbers, 2, sizeof numbers[0], throw_when_compared);
}

FAULT fault_bad_function()
{
    std::function<void()> nothing;
    (*hidden(&nothing))();
}

FAULT fault_double_delete()
{
    int *number = new int(1);
    delete number;
    delete hidden(number);
}

FAULT fault_free_stack_pointer()
{
    alignas(16) char room[64] = {};
    std::free(hidden(&room[16]));
}

FAULT fault_heap_overflow()
{
    const std::size_t size = 5000; // too large for the thread's cache, which checks less
    char *first = static_cast<char *>(std::malloc(size));
    char *second = static_cast<char *>(std::malloc(size));
    std::free(hidden(std::malloc(size)));
    std::memset(hidden(second) - 16, 0x41, hidden_size(16)); // what a loop too long does to the next header
    std::free(second);
    std::free(first);
}

FAULT fault_use_after_free()
{
    void *blocks[2];
    for (void *&block : blocks)
        block = hidden(std::malloc(1000));
    for (void *block : blocks)
        std::free(block);
    // glibc mixes the link to the next free block with the place where it stands (malloc.c, PROTECT_PTR);
    // this one leads to an address that no block can have.
    std::uintptr_t *link = static_cast<std::uintptr_t *>(hidden(blocks[1]));
    *link = (reinterpret_cast<std::uintptr_t>(link) >> 12) ^ 0x4141414141414148;
    hidden(link);
    for (int left = 3; left > 0; --left)
        *static_cast<char *>(hidden(std::malloc(1000))) = 1;
}

FAULT fault_stack_smash()
{
    char room[16];
    volatile char *at = hidden(&room[0]);
    for (std::size_t index = 0; index < hidden_size(64); ++index)
        at[index] = 'A';
}

FAULT fault_assert()
{
    std::size_t index = hidden_size(7);
    assert(index < 3);
}

FAULT fault_builtin_trap() { __builtin_trap(); }

FAULT fault_fortify()
{
    char room[8];
    std::memset(room, 0x41, hidden_size(64));
    hidden(&room[0]);
}

static std::jmp_buf place;

__attribute__((noinline)) static int remember_place()
{
    volatile char room[256]; // so that this frame is deeper than that of longjmp
    room[0] = 1;
    return setjmp(place);
}

FAULT fault_longjmp_into_the_past()
{
    if (remember_place() == 0)
        std::longjmp(place, 1);
}

FAULT fault_virtual_call_on_null()
{
    Shape *shape = nullptr;
    hidden(shape)->area();
}

FAULT fault_virtual_call_on_freed()
{
    Square *room = static_cast<Square *>(std::malloc(sizeof(Square)));
    std::memset(static_cast<void *>(room), 0x41, hidden_size(sizeof(Square)));
    hidden(room)->area();
}

FAULT fault_null_function()
{
    void (*function)() = nullptr;
    hidden(reinterpret_cast<char *>(function));
    __asm__ volatile("" : "+r"(function));
    function();
}

FAULT fault_float_invalid()
{
    feenableexcept(FE_INVALID);
    volatile double minus_one = -1;
    volatile double root = std::sqrt(minus_one);
    (void)root;
}

FAULT fault_modulo_zero()
{
    volatile int zero = 0;
    volatile int rest = 7 % zero;
    (void)rest;
}

FAULT fault_alloca()
{
    for (;;) {
        volatile char *more = static_cast<char *>(alloca(hidden_size(8192)));
        *more = 1;
        hidden(more);
    }
}

FAULT fault_recursion_in_cpp()
{
    struct Deep {
        static std::string walk(std::size_t depth)
        {
            std::string text(40, 'x');
            return text + walk(depth + 1) + *hidden(&text);
        }
    };
    hidden(Deep::walk(0).data());
}
