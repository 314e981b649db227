/* Preloaded: ends the process with status 99 when memory is allocated or freed, or a lock is taken, on an
 * alternate signal stack, which is where the signal handler runs. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
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

/* A function that takes a lock: checked, then passed on to the C library's. */
#define LOCKING(name, arguments, values) \
    static int (*real_##name) arguments; \
    __attribute__((constructor)) static void find_##name(void) \
    { \
        real_##name = (int (*) arguments)dlsym(RTLD_NEXT, #name); \
    } \
    int name arguments \
    { \
        check(); \
        if (!real_##name) \
            find_##name(); \
        return real_##name values; \
    }

LOCKING(pthread_mutex_lock, (pthread_mutex_t *lock), (lock))
LOCKING(pthread_mutex_trylock, (pthread_mutex_t *lock), (lock))
LOCKING(pthread_rwlock_rdlock, (pthread_rwlock_t *lock), (lock))
LOCKING(pthread_rwlock_wrlock, (pthread_rwlock_t *lock), (lock))
LOCKING(pthread_spin_lock, (pthread_spinlock_t *lock), (lock))
LOCKING(pthread_once, (pthread_once_t *once, void (*run)(void)), (once, run))
LOCKING(pthread_setspecific, (pthread_key_t key, const void *value), (key, value))
LOCKING(dl_iterate_phdr, (int (*look)(struct dl_phdr_info *, size_t, void *), void *data),
        (look, data))

static void allocate(int number)
{
    (void)number;
    free(malloc(10));
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void take_lock(int number)
{
    (void)number;
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
}

static void in_handler(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}

/* Do what is forbidden in a signal handler, to see that this is noticed. */
void allocate_on_purpose(void) { in_handler(allocate); }
void lock_on_purpose(void) { in_handler(take_lock); }
