/* Odd native steps: signal handlers, other stacks, other interpreters, a procedure linkage table, and
 * functions (odd.S, bare.c) of which nothing says how to unwind them. */
#include "stops.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define EACH_COPY(M) M(00) M(01) M(02) M(03)
#define STACK_SIZE (8u << 20)
#define EARLY_STACKS 64

/* What a handler or another stack's first function is to call. */
static __thread PyObject *to_call;

/* Stacks of before all threads: they lie above those of the threads, later ones below. */
static char *early_stacks;
static int taken;

static void *map(size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* By turns above and below the thread's own stack. */
static void *new_stack(void)
{
    int number = taken++;
    if (number % 2 == 0 && number / 2 < EARLY_STACKS)
        return early_stacks + (size_t)(number / 2) * STACK_SIZE;
    return map(STACK_SIZE);
}

static int map_early_stacks(void)
{
    early_stacks = map((size_t)EARLY_STACKS * STACK_SIZE);
    for (size_t at = 0; early_stacks && at < (size_t)EARLY_STACKS * STACK_SIZE; at += STACK_SIZE)
        mprotect(early_stacks + at + STACK_SIZE - 4096, 4096, PROT_NONE);
    return early_stacks ? 0 : -1;
}

/* --- signal handlers: between two frames stands one that the kernel made -------------------- */

static void handle(int number, int flags, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_flags = flags | SA_SIGINFO | SA_NODEFER};
    action.sa_sigaction = handler;
    sigaction(number, &action, NULL);
}

/* Fails on the alternate stack itself, where the kernel goes on. */
static void use_alternate_stack(void)
{
    stack_t stack = {.ss_sp = new_stack(), .ss_size = STACK_SIZE - 4096};
    sigaltstack(&stack, NULL);
}

typedef void Faulty(void);
Faulty oracle_fault_00, oracle_fault_01, oracle_fault_02, oracle_fault_03;
Faulty oracle_trap_00, oracle_trap_01, oracle_trap_02, oracle_trap_03;

#define HANDLER(N) \
    STEP static void oracle_handler_##N(int number, siginfo_t *info, void *context) \
    { \
        Py_XDECREF(PyObject_CallNoArgs(to_call)); \
        COPY(N); \
    }
EACH_COPY(HANDLER)

#define SIGNALS(N) \
    STEP static PyObject *oracle_raised_##N(PyObject *self, PyObject *callee) \
    { \
        to_call = callee; \
        handle(SIGUSR2, 0, oracle_handler_##N); \
        raise(SIGUSR2); \
        COPY(N); \
        Py_RETURN_NONE; \
    } \
    STEP static PyObject *oracle_alternate_##N(PyObject *self, PyObject *callee) \
    { \
        to_call = callee; \
        use_alternate_stack(); \
        handle(SIGUSR2, SA_ONSTACK, oracle_handler_##N); \
        raise(SIGUSR2); \
        COPY(N); \
        Py_RETURN_NONE; \
    } \
    STEP static PyObject *oracle_faulted_##N(PyObject *self, PyObject *callee) \
    { \
        to_call = callee; \
        use_alternate_stack(); \
        handle(SIGILL, SA_ONSTACK, oracle_handler_##N); \
        oracle_fault_##N(); \
        COPY(N); \
        Py_RETURN_NONE; \
    } \
    STEP static PyObject *oracle_trapped_##N(PyObject *self, PyObject *callee) \
    { \
        to_call = callee; \
        handle(SIGTRAP, 0, oracle_handler_##N); \
        oracle_trap_##N(); \
        COPY(N); \
        Py_RETURN_NONE; \
    } \
    STEP static PyObject *oracle_callednull_##N(PyObject *self, PyObject *callee) \
    { \
        void (*volatile nothing)(void) = NULL; \
        to_call = callee; \
        use_alternate_stack(); \
        handle(SIGSEGV, SA_ONSTACK, oracle_handler_##N); \
        nothing(); \
        COPY(N); \
        Py_RETURN_NONE; \
    }
EACH_COPY(SIGNALS)

/* --- another stack, as coroutines of C and C++ have ----------------------------------------- */

#define ELSEWHERE(N) \
    STEP static void oracle_entry_##N(void) \
    { \
        Py_XDECREF(PyObject_CallNoArgs(to_call)); \
        COPY(N); \
    } \
    STEP static PyObject *oracle_elsewhere_##N(PyObject *self, PyObject *callee) \
    { \
        ucontext_t *contexts = calloc(2, sizeof *contexts); \
        to_call = callee; \
        getcontext(&contexts[0]); \
        contexts[0].uc_stack.ss_sp = new_stack(); \
        contexts[0].uc_stack.ss_size = STACK_SIZE - 4096; \
        contexts[0].uc_link = &contexts[1]; \
        makecontext(&contexts[0], oracle_entry_##N, 0); \
        swapcontext(&contexts[1], &contexts[0]); \
        COPY(N); \
        Py_RETURN_NONE; \
    }
EACH_COPY(ELSEWHERE)

/* --- functions without call frame information (odd.S, bare.c) ------------------------------- */

typedef PyObject *Call(PyObject *);
typedef PyObject *Bare(Call *, PyObject *);
Bare oracle_nocfi_00, oracle_nocfi_01, oracle_nocfi_02, oracle_nocfi_03;
Bare oracle_framed_00, oracle_framed_01, oracle_framed_02, oracle_framed_03;
Bare oracle_trashing_00, oracle_trashing_01, oracle_trashing_02, oracle_trashing_03;
Bare oracle_bare_00, oracle_bare_01, oracle_bare_02, oracle_bare_03;
Bare oracle_debugframe_00, oracle_debugframe_01, oracle_debugframe_02, oracle_debugframe_03;

#define BY_WAY_OF(NAME, N) \
    STEP static PyObject *oracle_to##NAME##_##N(PyObject *self, PyObject *callee) \
    { \
        PyObject *result = oracle_##NAME##_##N(PyObject_CallNoArgs, callee); \
        COPY(N); \
        return result; \
    }
#define EACH_BARE(N) \
    BY_WAY_OF(nocfi, N) BY_WAY_OF(framed, N) BY_WAY_OF(trashing, N) BY_WAY_OF(bare, N) \
    BY_WAY_OF(debugframe, N)
EACH_COPY(EACH_BARE)

/* --- an interpreter of its own on the same thread ------------------------------------------- */

#define INTERPRETER(N) \
    STEP static PyObject *oracle_interpreter_##N( \
        PyObject *self, PyObject *const *arguments, Py_ssize_t count) \
    { \
        const char *text = PyUnicode_AsUTF8(arguments[1]); \
        PyObject *noted = text ? PyObject_CallNoArgs(arguments[0]) : NULL; \
        if (noted == NULL) \
            return NULL; \
        Py_DECREF(noted); \
        PyThreadState *outer = PyThreadState_Get(); \
        PyThreadState *inner = Py_NewInterpreter(); \
        int failed = inner == NULL || PyRun_SimpleString(text); \
        COPY(N); \
        PyThreadState_Swap(outer); \
        return failed ? PyErr_Format(PyExc_RuntimeError, "the inner interpreter failed") \
                      : Py_BuildValue(""); \
    }
EACH_COPY(INTERPRETER)

/* --- stops ----------------------------------------------------------------------------------- */

long oracle_bareleaf_entry(void);
long oracle_bareleaf_pushed(void);
long oracle_bareleaf_framed(void);
long oracle_call_with_34(void *function);
char *oracle_entry_of_getppid(void);
char *oracle_entry_of_getpgrp(void);

/* Lets code at `offset` of a linkage table's entry wait: a system call stands there from now on. */
static void wait_at(char *entry, int offset)
{
    uintptr_t page = (uintptr_t)entry & ~(uintptr_t)4095;
    mprotect((void *)page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
    entry[offset] = 0x0f;
    entry[offset + 1] = 0x05;
}

STEP static void oracle_linked(char *entry, int offset)
{
    wait_at(entry, offset);
    oracle_call_with_34(entry);
    COPY(linked);
}

STOP(bareentry, oracle_bareleaf_entry())
STOP(barepushed, oracle_bareleaf_pushed())
STOP(bareframed, oracle_bareleaf_framed())
STOP(linked, oracle_linked(oracle_entry_of_getppid(), 0))
STOP(linkedpushed, oracle_linked(oracle_entry_of_getpgrp(), 11))

#define ROWS(N) \
    ROW(raised_##N) ROW(alternate_##N) ROW(faulted_##N) ROW(trapped_##N) ROW(callednull_##N) \
    ROW(elsewhere_##N) ROW(tonocfi_##N) ROW(toframed_##N) ROW(totrashing_##N) ROW(tobare_##N) \
    ROW(todebugframe_##N) FAST_ROW(interpreter_##N)

static PyMethodDef functions[] = {
    EACH_COPY(ROWS)
    ROW(stop_bareentry) ROW(stop_barepushed) ROW(stop_bareframed)
    ROW(stop_linked) ROW(stop_linkedpushed)
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "oracle_odd", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit_oracle_odd(void)
{
    if (early_stacks == NULL && map_early_stacks() < 0)
        return PyErr_NoMemory();
    return PyModule_Create(&definition);
}
