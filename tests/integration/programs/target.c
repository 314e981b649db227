/* A program that knows nothing of lastwords.
 *
 * usage: target WAY
 *   live      three threads count; prints its ids, lives until its stdin is closed, then prints the
 *             counters and how many system calls were interrupted
 *   headless  as live, but the main thread has ended; lives until it is killed
 *   crash     a thread writes to 0x1234
 *   divide, trap, illegal, abort, assert, xcpu
 *   caught    a handler of its own survives the fault, exit status 5
 *   ignored   SIGQUIT is ignored, exit status 6
 *   reset     a handler sets the default action and returns to the fault
 *   raise     a handler sets the default action and raises the signal again
 *   exec      executes itself with "crash"
 *   fork      a child crashes; exit status 9
 *   signals   prints what it receives, until SIGTERM
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile long counters[3];
static volatile int is_done;
static volatile int interruptions;
static sigjmp_buf back;

static void *count(void *argument) {
    volatile long *counter = argument;
    while (!is_done) {
        struct timespec time = {0, 100000};
        if (nanosleep(&time, NULL) != 0 || (poll(NULL, 0, 1) < 0)) interruptions++;
        ++*counter;
    }
    return NULL;
}

__attribute__((noinline)) static void write_wild(void) { *(volatile int *)0x1234 = 1; }

static void *crash(void *unused) {
    printf("{\"tid\": %ld}\n", syscall(SYS_gettid));
    fflush(stdout);
    write_wild();
    return unused;
}

static void jump(int signal) { siglongjmp(back, signal); }
static void reset(int number) { signal(number, SIG_DFL); }
static void raise_again(int number) { signal(number, SIG_DFL); raise(number); }
static void tell(int number) { printf("got %d\n", number); fflush(stdout); }

__attribute__((noinline)) static void live(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, count, (void *)&counters[i]);
    printf("{\"pid\": %d}\n", getpid());
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) printf("%ld\n", counters[0]), fflush(stdout);
    is_done = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    printf("{\"least\": %ld, \"interruptions\": %d}\n", counters[0], interruptions);
}

static void crash_in_thread(void) {
    pthread_t idle, thread;
    pthread_create(&idle, NULL, count, (void *)&counters[0]);
    while (counters[0] == 0) usleep(100);
    pthread_create(&thread, NULL, crash, NULL);
    pthread_join(thread, NULL);
}

static void divide(void) {
    volatile int one = 1, zero = 0;
    one = one / zero;
}

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "";
    if (!strcmp(way, "live")) {
        live();
        return 0;
    }
    if (!strcmp(way, "headless")) {
        pthread_t thread;
        pthread_create(&thread, NULL, count, (void *)&counters[0]);
        printf("{\"pid\": %d}\n", getpid());
        fflush(stdout);
        pthread_exit(NULL);
    }
    printf("{\"pid\": %d, \"tid\": %d}\n", getpid(), getpid());
    fflush(stdout);
    if (!strcmp(way, "crash")) crash_in_thread();
    if (!strcmp(way, "divide")) divide();
    if (!strcmp(way, "trap")) __asm__ volatile("int3");
    if (!strcmp(way, "illegal")) __builtin_trap();
    if (!strcmp(way, "abort")) abort();
    if (!strcmp(way, "assert")) assert(argc == 77);
    if (!strcmp(way, "xcpu")) raise(SIGXCPU);
    if (!strcmp(way, "caught")) {
        signal(SIGSEGV, jump);
        if (sigsetjmp(back, 1) == 0) write_wild();
        return 5;
    }
    if (!strcmp(way, "ignored")) {
        signal(SIGQUIT, SIG_IGN);
        raise(SIGQUIT);
        return 6;
    }
    if (!strcmp(way, "reset")) signal(SIGSEGV, reset), write_wild();
    if (!strcmp(way, "raise")) signal(SIGSEGV, raise_again), write_wild();
    if (!strcmp(way, "exec")) execl(argv[0], argv[0], "crash", NULL);
    if (!strcmp(way, "fork")) {
        if (fork() == 0) {
            printf("{\"pid\": %d, \"tid\": %d}\n", getpid(), getpid());
            fflush(stdout);
            write_wild();
        }
        wait(NULL);
        return 9;
    }
    if (!strcmp(way, "signals")) {
        for (int number = 1; number < 32; number++)
            if (number != SIGTERM && number != SIGTSTP) signal(number, tell);
        printf("ready\n");
        fflush(stdout);
        for (;;) pause();
    }
    return 0;
}
