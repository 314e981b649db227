// What a healthy host does, and what it must find unchanged by our hooks.
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>

namespace {

void* nothing(void* argument) { return argument; }

std::atomic<int> shown, go_on, stop;
void* alternate[2];

void* show_alternate_stack(void* place) {
    stack_t stack;
    sigaltstack(nullptr, &stack);
    *static_cast<void**>(place) = stack.ss_flags & SS_DISABLE ? nullptr : stack.ss_sp;
    shown++;
    while (!go_on) usleep(1000);
    return nullptr;
}

void make_thread(void** place, int count) {
    pthread_t thread;
    pthread_create(&thread, nullptr, show_alternate_stack, place);
    while (shown < count) usleep(1000);
}

void* ask_again_and_again(void* library) {
    while (!stop) dlsym(library, "ask");
    return nullptr;
}

void throw_and_catch(int) {
    try {
        throw std::runtime_error("on another stack");
    } catch (const std::exception&) {
    }
}

ucontext_t back, there;
void run_there() { throw_and_catch(0); }

}  // namespace

extern "C" {

// errno after dlsym and pthread_create, right after a library was loaded: two of 77.
int errno_after_dlsym(const char* path) {
    void* library = dlopen(path, RTLD_NOW);
    errno = 77;
    dlsym(library, "ask");
    return errno;
}

int errno_after_create(const char* path) {
    dlopen(path, RTLD_NOW);
    int last = 77;
    for (int i = 0; i < 64; i++) {
        pthread_t thread;
        errno = 77;
        pthread_create(&thread, nullptr, nothing, nullptr);
        if (errno != 77) last = errno;
        pthread_join(thread, nullptr);
    }
    return last;
}

// A forked child makes a thread at once, as libraries with thread pools do.
void make_a_thread_in_children() {
    pthread_atfork(nullptr, nullptr, [] { make_thread(&alternate[0], 1); });
}

// In that child: 1 = a second thread has an alternate stack of its own, 0 = it shares.
int second_thread_is_alone() {
    make_thread(&alternate[1], 2);
    return alternate[0] && alternate[1] && alternate[0] != alternate[1];
}

// Children that cannot load a library, because a thread that they do not have holds a lock.
int children_that_hang(const char* path, const char* other, int rounds) {
    void* library = dlopen(path, RTLD_NOW);
    pthread_t threads[3];
    for (pthread_t& thread : threads) pthread_create(&thread, nullptr, ask_again_and_again, library);
    int hung = 0;
    for (int i = 0; i < rounds && hung == 0; i++) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGALRM, SIG_DFL);
            alarm(10);
            _exit(dlopen(other, RTLD_NOW) ? 0 : 1);
        }
        int status;
        waitpid(child, &status, 0);
        hung += WIFSIGNALED(status);
    }
    stop = 1;
    for (pthread_t thread : threads) pthread_join(thread, nullptr);
    return hung;
}

void throw_in_signal_handler() {
    stack_t ours = {}, before;
    ours.ss_size = 65536;
    ours.ss_sp = malloc(ours.ss_size);
    sigaltstack(&ours, &before);
    struct sigaction action = {};
    action.sa_handler = throw_and_catch;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR1, &action, nullptr);
    for (int i = 0; i < 20; i++) raise(SIGUSR1);
    sigaltstack(&before, nullptr);
    free(ours.ss_sp);
}

// A stack with nothing behind its end.
void throw_on_coroutine() {
    const size_t size = 65536, page = 4096;
    for (int i = 0; i < 20; i++) {
        auto* memory = static_cast<char*>(
            mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        mprotect(memory + size, page, PROT_NONE);
        getcontext(&there);
        there.uc_stack.ss_sp = memory;
        there.uc_stack.ss_size = size;
        there.uc_link = &back;
        makecontext(&there, run_there, 0);
        swapcontext(&back, &there);
        munmap(memory, size + page);
    }
}

// Two libraries by turns, at the same place; nobody asks for a symbol.
int load_by_turns(const char* one, const char* other) {
    for (int i = 0; i < 20; i++) {
        for (const char* path : {one, other}) {
            void* library = dlopen(path, RTLD_NOW);
            if (!library || dlclose(library) != 0) return -1;
        }
    }
    return 0;
}
}
