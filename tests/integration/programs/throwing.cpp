// Throws in all ways that the tests of throw capture know. Every function on the way to a throw is
// called `way_…`, so that a stack can be told from its names.
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#define WAY __attribute__((noinline, visibility("default")))

volatile int sink;

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Wordy : std::runtime_error {
    std::string words;
    explicit Wordy(const char* text) : std::runtime_error(text), words(std::string("wordy: ") + text) {}
    const char* what() const noexcept override { return words.c_str(); }
};

struct Part { virtual ~Part() {} long number = 7; };
struct Twofold : Part, std::logic_error {
    using std::logic_error::logic_error;
};

WAY int way_throw(int kind) {
    sink = kind;
    switch (kind) {
        case 0: throw Failure("a failure");
        case 1: throw Wordy("a failure");
        case 2: throw Twofold("a twofold failure");
        case 3: throw 42;
        case 4: throw std::bad_alloc();
        case 5: throw std::out_of_range(std::string(1000, 'x'));
        default: throw std::runtime_error("password=hunter2 is wrong");
    }
}

WAY int way_down(int depth, int kind) {
    volatile char pad[64];
    pad[0] = static_cast<char>(depth);
    int result = depth == 0 ? way_throw(kind) : way_down(depth - 1, kind);
    sink = result + pad[0];
    return result + 1;
}

// A function that aligns its stack keeps its frame in a slot.
WAY int way_aligned(int kind) {
    alignas(64) volatile char block[256];
    volatile char* other = static_cast<volatile char*>(__builtin_alloca(kind + 16));
    block[0] = other[0] = 1;
    int result = way_down(1, kind);
    sink = block[0] + other[0] + result;
    return result;
}

extern "C" {

WAY int way_catch(int depth, int kind) {
    try {
        return way_down(depth, kind);
    } catch (...) {
        return -1;
    }
}

WAY int way_catch_aligned(int kind) {
    try {
        return way_aligned(kind);
    } catch (...) {
        return -1;
    }
}

WAY int way_catch_often(int depth, int kind, int times) {
    int caught = 0;
    for (int i = 0; i < times; i++) {
        caught += way_catch(depth, kind) == -1;
    }
    return caught;
}

WAY int way_rethrow() {
    try {
        try {
            way_down(2, 0);
        } catch (const Failure&) {
            throw;
        }
    } catch (const std::exception&) {
        return -1;
    }
    return 0;
}

WAY int way_nested() {
    try {
        way_down(1, 0);
    } catch (const std::exception&) {
        way_catch(2, 2);
        return -1;
    }
    return 0;
}

static std::exception_ptr kept;

WAY void way_keep() {
    try {
        way_down(3, 0);
    } catch (...) {
        kept = std::current_exception();
    }
}

// Threads of C++, each with its own throws.
WAY int way_threads(int count, int times) {
    std::thread threads[64];
    for (int i = 0; i < count; i++) {
        threads[i] = std::thread([i, times] { way_catch_often(i % 8, i % 4, times); });
    }
    for (int i = 0; i < count; i++) {
        threads[i].join();
    }
    return count;
}

// Ways to die.
WAY void die_uncaught(int kind) { sink = way_down(2, kind); }
WAY void die_in_thread(int kind) {
    std::thread([kind] { way_down(2, kind); }).join();
}
WAY void die_noexcept(int kind) noexcept { way_down(2, kind); }
struct Closing {
    int kind;
    ~Closing() { way_down(2, kind); }
};
WAY void die_unwinding(int kind) {
    try {
        Closing closing{kind};
        way_catch(1, 0);
        throw std::runtime_error("the first");
    } catch (...) {
    }
}
WAY void die_rethrowing(int kind) {
    try {
        way_down(2, kind);
    } catch (const std::exception&) {
        sink = 1;
        throw;
    }
}
WAY void die_of_kept() {
    std::thread(way_keep).join();
    sink = 1;
    std::rethrow_exception(kept);
}
WAY void die_in_handler(int kind) {
    try {
        way_down(2, kind);
    } catch (const std::exception&) {
        std::abort();
    }
}
WAY void die_without_exception() { std::terminate(); }
WAY void die_elsewhere() { std::abort(); }
}
