// Ways to use up a stack, and threads to do it in. Built by the tests as a shared library.

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <pthread.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

struct Counter {
    virtual ~Counter() = default;
    virtual int count(int depth) { return depth + count(depth + 1) + 1; }
};

struct Job {
    void (*run)();
    int end;
};

enum End { RETURN, EXIT, CANCEL };

void *start(void *argument)
{
    Job job = *static_cast<Job *>(argument);
    delete static_cast<Job *>(argument);
    job.run();
    if (job.end == EXIT)
        pthread_exit(nullptr);
    if (job.end == CANCEL) {
        pthread_cancel(pthread_self());
        pthread_testcancel();
    }
    return nullptr;
}

std::atomic<int> with_stack, without_stack;
// Written by who wants threads to wait.
pthread_rwlock_t gate = PTHREAD_RWLOCK_INITIALIZER;

void look()
{
    stack_t stack;
    sigaltstack(nullptr, &stack);
    ++(stack.ss_flags & SS_DISABLE ? without_stack : with_stack);
    pthread_rwlock_rdlock(&gate);
    pthread_rwlock_unlock(&gate);
}

} // namespace

extern "C" {

__attribute__((noinline, optimize("O0"))) int overflow_in_c(int depth)
{
    volatile char frame[256];
    frame[0] = char(depth);
    return overflow_in_c(depth + 1) + frame[0];
}

void overflow_plain() { overflow_in_c(0); }

// Recursion through a virtual function, which no compiler turns into a loop.
void overflow_in_cpp()
{
    Counter counter;
    volatile int depth = counter.count(0);
    (void)depth;
}

// One frame that is far larger than the stack and its guard: what Fortran's large arrays do.
__attribute__((optimize("O0"))) void overflow_by_array()
{
    volatile char array[64 << 20];
    array[100] = 1;
}

void read_wild() { (void)*reinterpret_cast<volatile int *>(0xdead0000); }

// Runs in a thread of the C library: stack bytes (0 = default), 1 = detached.
int run_in_thread(void (*run)(), size_t stack_bytes, int is_detached)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (stack_bytes)
        pthread_attr_setstacksize(&attributes, stack_bytes);
    if (is_detached)
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, start, new Job{run, RETURN});
    if (error)
        return error;
    if (is_detached)
        sleep(60);
    return pthread_join(thread, nullptr);
}

int run_in_cpp_thread(void (*run)())
{
    std::thread thread(run);
    thread.join();
    return 0;
}

// Makes threads one after the other; each ends in its own way: 0 return, 1 pthread_exit, 2 cancel.
int make_threads(int count, int end)
{
    for (int number = 0; number < count; ++number) {
        pthread_t thread;
        int error = pthread_create(&thread, nullptr, start, new Job{look, end});
        if (error)
            return error;
        pthread_join(thread, nullptr);
    }
    return 0;
}

// Makes threads that all live at once, with the smallest stack that is allowed.
int make_threads_at_once(int count)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
    std::vector<pthread_t> threads(count);
    pthread_rwlock_wrlock(&gate);
    int error = 0, made = 0;
    while (made < count && !error) {
        error = pthread_create(&threads[made], &attributes, start, new Job{look, RETURN});
        made += !error;
    }
    pthread_rwlock_unlock(&gate);
    for (int number = 0; number < made; ++number)
        pthread_join(threads[number], nullptr);
    return error;
}

int count_with_stack() { return with_stack.exchange(0); }
int count_without_stack() { return without_stack.exchange(0); }

// Whether this thread has an alternate stack.
int has_stack()
{
    stack_t stack;
    sigaltstack(nullptr, &stack);
    return !(stack.ss_flags & SS_DISABLE);
}

static pthread_key_t at_end;
static char own[65536];
static int is_own_at_end;

static void note(void *)
{
    stack_t stack;
    sigaltstack(nullptr, &stack);
    is_own_at_end = stack.ss_sp == own;
}

static void set_own()
{
    stack_t stack = {};
    stack.ss_sp = own;
    stack.ss_size = sizeof own;
    sigaltstack(&stack, nullptr);
    pthread_setspecific(at_end, own);
}

// Whether an alternate stack that a thread sets itself is still there when the thread ends.
int own_stack_stays()
{
    pthread_key_create(&at_end, note);
    run_in_thread(set_own, 0, 0);
    return is_own_at_end;
}
}
