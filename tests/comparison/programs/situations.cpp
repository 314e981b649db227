// Native functions of the situations; what must be seen has C linkage or a name that says so.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <unistd.h>

namespace {
struct Tower {
    int (*call)(int);
    [[gnu::always_inline]] inline int top(int value) const { return call(value) + 1; }
    [[gnu::always_inline]] inline int base(int value) const { return top(value) + 1; }
};

void stays_in_handler(int) {
    for (;;) pause();
}

void *native_only(void *) {
    for (;;) pause();
    return nullptr;
}
}  // namespace

extern "C" {
[[gnu::noinline]] int call_back(int (*call)(int), int value) { return call(value) + 1; }

[[gnu::noinline]] int call_back_inlined(int (*call)(int), int value) {
    return Tower{call}.base(value) + 1;
}

[[gnu::noinline]] void wait_long() {
    for (;;) usleep(1000000);
}

[[gnu::noinline]] void wait_in_handler(int pid) {
    stack_t stack{};
    stack.ss_size = 65536;
    stack.ss_sp = std::malloc(stack.ss_size);
    sigaltstack(&stack, nullptr);
    struct sigaction action {};
    action.sa_handler = stays_in_handler;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, nullptr);
    std::printf("%d\n", pid);
    std::fflush(stdout);
    raise(SIGUSR2);
}

void start_native_thread() {
    pthread_t thread;
    pthread_create(&thread, nullptr, native_only, nullptr);
}
}
