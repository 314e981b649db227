/* Steps that are compiled without tables for unwinding (`-fno-asynchronous-unwind-tables`): once without
 * debug information (NAME is bare), so that nothing tells how to unwind them, and once with it (NAME is
 * debugframe), so that only `.debug_frame` does. */
#define JOIN(A, B, C) A##B##C
#define FUNCTION(NAME, REST) JOIN(oracle_, NAME, REST)
#define STEP __attribute__((noinline, noclone, visibility("hidden")))

typedef void *Call(void *);

#define COPY(N) \
    STEP void *FUNCTION(NAME, inner_##N)(Call *call, void *callee, long a, long b, long c) \
    { \
        volatile long kept[9] = {a, b, c}; \
        void *result = call(callee); \
        kept[1] += a * b + c; \
        __asm__ volatile("/* " #N " */" ::: "memory"); \
        return result; \
    } \
    STEP void *FUNCTION(NAME, _##N)(Call *call, void *callee) \
    { \
        volatile long numbers[3] = {1, 2, 3}; \
        void *result = FUNCTION(NAME, inner_##N)(call, callee, numbers[0], numbers[1], numbers[2]); \
        numbers[0] += 1; \
        __asm__ volatile("/* " #N " */" ::: "memory"); \
        return result; \
    }

COPY(00)
COPY(01)
COPY(02)
COPY(03)
