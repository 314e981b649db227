/* Preloaded: the signal handler itself crashes, in the first call that it makes of this function. */

#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

int prctl(int option, ...)
{
    stack_t stack;
    if (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK))
        *(volatile int *)0x20 = 1;
    va_list more;
    va_start(more, option);
    unsigned long a = va_arg(more, unsigned long), b = va_arg(more, unsigned long);
    unsigned long c = va_arg(more, unsigned long), d = va_arg(more, unsigned long);
    va_end(more);
    return (int)syscall(SYS_prctl, option, a, b, c, d);
}
