/* Preloaded: ends the process with status 99 when memory is allocated or freed on an alternate
 * signal stack, which is where the signal handler of the main thread runs. */

#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

static void check(void)
{
    stack_t stack;
    if (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK))
        _exit(99);
}

void *malloc(size_t size) { check(); return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { check(); return __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { check(); return __libc_realloc(old, size); }
void free(void *old) { check(); __libc_free(old); }

static void allocate(int number)
{
    (void)number;
    free(malloc(10));
}

/* Allocates in a signal handler, to see that this is noticed. */
void fail_on_purpose(void)
{
    struct sigaction action = {.sa_handler = allocate, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}
