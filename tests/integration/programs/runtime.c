/* A runtime that faults on purpose, and handlers that deal with faults in all the ways that are seen.
 * Built by the tests under the names of real runtimes. With -DGO it bears the note of Go's linker. */

#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef GO
__asm__(".section .note.go.buildid,\"a\",@note\n"
        ".long 4, 4, 4\n.ascii \"Go\\0\\0\"\n.ascii \"test\"\n.previous\n");
#endif

static volatile int calls;
static volatile int was_blocked, was_other_blocked;
static char *page;
static sigjmp_buf back;

/* Reads from null with an instruction of two bytes. */
int read_null(void);
__asm__(".globl read_null\n.type read_null,@function\nread_null:\n"
        "xor %eax, %eax\nmov (%rax), %eax\nret\n.size read_null, .-read_null\n");

static void look_at_mask(int signal)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    was_blocked = sigismember(&mask, signal);
    was_other_blocked = sigismember(&mask, SIGUSR2);
}

static void skip(int signal, siginfo_t *info, void *context)
{
    ucontext_t *machine = context;
    if (info->si_addr == NULL && signal == SIGSEGV)
        ++calls;
    look_at_mask(signal);
    machine->uc_mcontext.gregs[REG_RIP] += 2;
}

static void repair(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    ++calls;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void repair_plainly(int signal)
{
    (void)signal;
    ++calls;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void jump(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    ++calls;
    siglongjmp(back, 1);
}

static void say(const char *line)
{
    if (write(1, line, strlen(line)) < 0)
        _exit(98);
}

static void give_up(int number)
{
    say("handler called\n");
    signal(number, SIG_DFL);
}

static void give_up_and_raise(int number)
{
    say("handler called\n");
    signal(number, SIG_DFL);
    raise(number);
}

static void abort_at_once(int number)
{
    (void)number;
    say("handler called\n");
    abort();
}

static void set(void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags};
    sigaction(SIGSEGV, &action, NULL);
}

#define PLAIN(handler) ((void (*)(int, siginfo_t *, void *))(void *)handler)

void install_skip(void) { set(skip, SA_SIGINFO | SA_ONSTACK); }
void install_repair(void) { set(repair, SA_SIGINFO | SA_ONSTACK); }
void install_plain(void) { set(PLAIN(repair_plainly), 0); }
void install_once(void) { set(PLAIN(repair_plainly), SA_RESETHAND); }
void install_jump(void) { set(jump, SA_SIGINFO | SA_ONSTACK); }
void install_give_up(void) { set(PLAIN(give_up), 0); }
void install_raise(void) { set(PLAIN(give_up_and_raise), SA_NODEFER); }
void install_abort(void) { set(PLAIN(abort_at_once), 0); }
void install_ignore(void) { signal(SIGSEGV, SIG_IGN); }

/* Faults that the handlers above can repair. */
void fault_and_skip(void) { read_null(); }

void fault_and_repair(void)
{
    if (!page)
        page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page, 4096, PROT_READ);
    *(volatile char *)page = 1;
}

void fault_and_jump(void)
{
    if (sigsetjmp(back, 1) == 0)
        read_null();
}

int count_calls(void) { return calls; }
int blocked_signal(void) { return was_blocked; }
int blocked_other(void) { return was_other_blocked; }
