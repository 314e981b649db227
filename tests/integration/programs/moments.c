/* Crashes at moments that are hard to report. Built by the tests as a shared library. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void crash(void) { *(volatile int *)0x10 = 1; }

static void *crash_in_thread(void *argument)
{
    crash();
    return argument;
}

static void *wait_and_crash(void *barrier)
{
    pthread_barrier_wait(barrier);
    crash();
    return NULL;
}

/* All threads crash at the same moment. */
void crash_at_once(int count)
{
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, count);
    pthread_t thread;
    for (int number = 0; number < count; ++number)
        pthread_create(&thread, NULL, wait_and_crash, &barrier);
    pthread_join(thread, NULL);
}

/* The child of vfork shares our memory until it crashes; gives its wait status. */
int crash_in_vfork(void)
{
    int status = 0;
    pid_t child = vfork();
    if (child == 0) {
        crash();
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status;
}

static void crash_in_thread_at_exit(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, crash_in_thread, NULL);
    pthread_join(thread, NULL);
}

static void sleep_at_exit(void) { sleep(30); }

/* The C library calls these after the interpreter has been finalized. */
void crash_after_python(void) { atexit(crash); }
void crash_in_thread_after_python(void) { atexit(crash_in_thread_at_exit); }
void sleep_after_python(void) { atexit(sleep_at_exit); }

void sleep_and_crash(int milliseconds)
{
    usleep(milliseconds * 1000);
    crash();
}
