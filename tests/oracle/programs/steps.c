/* Native steps of the oracle's call scripts, and the ways in which a script's last step stops.
 *
 * Each step is named `oracle_KIND_NN`, so that a stack tells which step it is; `tests/oracle/steps.py`
 * says how many copies there are. No step calls in tail position, and none is inlined.
 */
#include "stops.h"

#include <alloca.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOT_LAST __asm__ volatile("" ::: "memory")
#define EACH_COPY(M) M(00) M(01) M(02) M(03) M(04) M(05) M(06) M(07)

/* --- steps: each calls what it is given, in its own way ------------------------------------- */

#define PLAIN(N) \
    STEP static PyObject *oracle_call_##N(PyObject *self, PyObject *callee) \
    { \
        PyObject *arguments = PyTuple_New(0); \
        PyObject *result = PyObject_Call(callee, arguments, NULL); \
        Py_DECREF(arguments); \
        COPY(N); \
        return result; \
    }
EACH_COPY(PLAIN)

#define VECTORCALL(N) \
    STEP static PyObject *oracle_vectorcall_##N( \
        PyObject *self, PyObject *const *arguments, Py_ssize_t count) \
    { \
        PyObject *result = PyObject_Vectorcall(arguments[0], arguments + 1, count - 1, NULL); \
        COPY(N); \
        return result; \
    }
EACH_COPY(VECTORCALL)

#define METHOD(N) \
    STEP static PyObject *oracle_method_##N(PyObject *self, PyObject *object) \
    { \
        PyObject *result = PyObject_CallMethod(object, "walk", NULL); \
        COPY(N); \
        return result; \
    }
EACH_COPY(METHOD)

#define ATTRIBUTE(N) \
    STEP static PyObject *oracle_attribute_##N(PyObject *self, PyObject *object) \
    { \
        PyObject *result = PyObject_GetAttrString(object, "value"); \
        COPY(N); \
        return result; \
    }
EACH_COPY(ATTRIBUTE)

#define ITERATE(N) \
    STEP static PyObject *oracle_iterate_##N(PyObject *self, PyObject *iterator) \
    { \
        PyObject *item = NULL; \
        while ((item = PyIter_Next(iterator))) \
            Py_DECREF(item); \
        COPY(N); \
        if (PyErr_Occurred()) \
            return NULL; \
        Py_RETURN_NONE; \
    }
EACH_COPY(ITERATE)

/* A recursion in C before the call: every round is a frame. */
#define RECURSE(N) \
    STEP static PyObject *oracle_recurse_##N##_round(PyObject *callee, int rounds) \
    { \
        PyObject *result = rounds > 0 ? oracle_recurse_##N##_round(callee, rounds - 1) \
                                      : PyObject_CallNoArgs(callee); \
        COPY(N); \
        return result; \
    } \
    STEP static PyObject *oracle_recurse_##N(PyObject *self, PyObject *callee) \
    { \
        PyObject *result = oracle_recurse_##N##_round(callee, 3); \
        COPY(N); \
        return result; \
    }
EACH_COPY(RECURSE)

/* Its stack pointer moves while it runs: its CFA is counted from the frame pointer. */
#define VARIABLE(N) \
    STEP static PyObject *oracle_variable_##N(PyObject *self, PyObject *callee) \
    { \
        size_t size = 64 + ((size_t)callee >> 4) % 4096; \
        volatile char *room = alloca(size); \
        room[0] = room[size - 1] = 1; \
        PyObject *result = PyObject_CallNoArgs(callee); \
        room[size / 2] = 2; \
        COPY(N); \
        return result; \
    }
EACH_COPY(VARIABLE)

/* Its stack is aligned anew: its CFA is an expression, or counted from another register. */
#define ALIGNED(N) \
    STEP static PyObject *oracle_aligned_##N(PyObject *self, PyObject *callee) \
    { \
        _Alignas(256) volatile char room[512]; \
        room[0] = 1; \
        PyObject *result = PyObject_CallNoArgs(callee); \
        room[511] = room[0]; \
        COPY(N); \
        return result; \
    }
EACH_COPY(ALIGNED)

#define LARGE(N) \
    STEP static PyObject *oracle_large_##N(PyObject *self, PyObject *callee) \
    { \
        volatile char room[48 * 1024]; \
        room[0] = 1; \
        PyObject *result = PyObject_CallNoArgs(callee); \
        room[sizeof room - 1] = room[0]; \
        COPY(N); \
        return result; \
    }
EACH_COPY(LARGE)

/* It calls from the part that the compiler put away as unlikely (`oracle_cold_NN.cold`). */
#define COLD(N) \
    __attribute__((noinline, noclone, cold)) static PyObject *oracle_chill_##N(PyObject *callee) \
    { \
        PyObject *result = PyObject_CallNoArgs(callee); \
        COPY(N); \
        return result; \
    } \
    STEP static PyObject *oracle_cold_##N(PyObject *self, PyObject *callee) \
    { \
        PyObject *result = NULL; \
        if (callee != self) { \
            result = oracle_chill_##N(callee); \
            COPY(N); \
        } \
        return result; \
    }
EACH_COPY(COLD)

static __thread PyObject *to_compare;

/* The C library's frames lie between the step and its comparison. */
#define QSORT(N) \
    STEP static int oracle_compare_##N(const void *left, const void *right) \
    { \
        Py_XDECREF(PyObject_CallNoArgs(to_compare)); \
        COPY(N); \
        return *(const int *)left - *(const int *)right; \
    } \
    STEP static PyObject *oracle_qsort_##N(PyObject *self, PyObject *callee) \
    { \
        int items[2] = {2, 1}; \
        to_compare = callee; \
        qsort(items, 2, sizeof items[0], oracle_compare_##N); \
        return PyLong_FromLong(items[0]); \
    }
EACH_COPY(QSORT)

#define ONCE(N) \
    STEP static void oracle_once_##N##_routine(void) \
    { \
        Py_XDECREF(PyObject_CallNoArgs(to_compare)); \
        COPY(N); \
    } \
    STEP static PyObject *oracle_once_##N(PyObject *self, PyObject *callee) \
    { \
        pthread_once_t *once = calloc(1, sizeof *once); \
        to_compare = callee; \
        pthread_once(once, oracle_once_##N##_routine); \
        Py_RETURN_NONE; \
    }
EACH_COPY(ONCE)

/* A function that is inlined into its step: its name is in the debug information only. */
#define INLINED(N) \
    __attribute__((always_inline)) static inline PyObject *oracle_inner_##N(PyObject *callee) \
    { \
        PyObject *result = PyObject_CallNoArgs(callee); \
        COPY(N); \
        return result; \
    } \
    STEP static PyObject *oracle_inlined_##N(PyObject *self, PyObject *callee) \
    { \
        return oracle_inner_##N(callee); \
    }
EACH_COPY(INLINED)

/* --- a type of C: slots that call Python ----------------------------------------------------- */

typedef struct {
    PyObject_HEAD PyObject *callee;
} Caller;

STEP static PyObject *oracle_type_new_00(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    PyObject *callee = NULL;
    if (!PyArg_ParseTuple(arguments, "O", &callee))
        return NULL;
    Caller *self = (Caller *)type->tp_alloc(type, 0);
    if (self)
        self->callee = callee;
    Py_XINCREF(callee);
    return (PyObject *)self;
}

STEP static PyObject *oracle_type_call_00(PyObject *self, PyObject *arguments, PyObject *names)
{
    PyObject *result = PyObject_CallNoArgs(((Caller *)self)->callee);
    COPY(call);
    return result;
}

STEP static PyObject *oracle_type_next_00(PyObject *self)
{
    PyObject *result = PyObject_CallNoArgs(((Caller *)self)->callee);
    COPY(next);
    return result;
}

STEP static PyObject *oracle_type_add_00(PyObject *left, PyObject *right)
{
    PyObject *result = PyObject_CallNoArgs(((Caller *)left)->callee);
    COPY(add);
    return result;
}

STEP static PyObject *oracle_type_get_00(PyObject *self, void *closure)
{
    PyObject *result = PyObject_CallNoArgs(((Caller *)self)->callee);
    COPY(get);
    return result;
}

STEP static Py_hash_t oracle_type_hash_00(PyObject *self)
{
    PyObject *result = PyObject_CallNoArgs(((Caller *)self)->callee);
    Py_XDECREF(result);
    return 1;
}

static PyGetSetDef caller_getset[] = {
    {"value", oracle_type_get_00, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot caller_slots[] = {
    {Py_tp_new, oracle_type_new_00},
    {Py_tp_call, oracle_type_call_00},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, oracle_type_next_00},
    {Py_tp_hash, oracle_type_hash_00},
    {Py_nb_add, oracle_type_add_00},
    {Py_tp_getset, caller_getset},
    {0, NULL},
};

static PyType_Spec caller_spec = {
    .name = "oracle_steps.Caller",
    .basicsize = sizeof(Caller),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = caller_slots,
};

/* --- stops ----------------------------------------------------------------------------------- */

static PyObject *oracle_unknown(PyObject *self, PyObject *unused)
{
    is_unknown = 1;
    Py_RETURN_NONE;
}

static int ends[2];

STEP static void oracle_wait_condition(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&mutex);
    for (;;)
        pthread_cond_wait(&condition, &mutex);
}

STEP static void oracle_wait_lock(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    pthread_mutex_lock(&mutex);
    NOT_LAST;
}

/* A leaf of the compiler's making that waits without leaving its own frame. */
STEP static long oracle_leaf_pause(long a, long b)
{
    long result = 0;
    __asm__ volatile("syscall" : "=a"(result) : "0"(34L) : "rcx", "r11", "memory");
    return result + a * b;
}

/* Leaves written in assembly (leaves.S), each stopped at another point of its code. */
long oracle_leaf_entry(void);
long oracle_leaf_pushed(void);
long oracle_leaf_framed(void);
long oracle_leaf_popped(void);
long oracle_leaf_saved(void);

static const struct timespec LONG_TIME = {1000000, 0};
static volatile char byte;

STOP(read, while (read(ends[0], (char *)&byte, 1) < 0) {})
STOP(sleep, nanosleep(&LONG_TIME, NULL))
STOP(poll, poll(NULL, 0, -1))
STOP(condition, oracle_wait_condition())
STOP(lock, oracle_wait_lock())
STOP(pause, oracle_leaf_pause(1, 2))
STOP(entry, oracle_leaf_entry())
STOP(pushed, oracle_leaf_pushed())
STOP(framed, oracle_leaf_framed())
STOP(popped, oracle_leaf_popped())
STOP(saved, oracle_leaf_saved())

/* A stop that goes on: its script works for ever. */
STOP(never, (void)0)
STOP(crash, *(volatile int *)16 = 1)

STOP_HOLDING(hold, while (read(ends[0], (char *)&byte, 1) < 0) {})

/* --- a thread that Python did not make -------------------------------------------------------- */

STEP static void *oracle_native_thread(void *callee)
{
    PyGILState_STATE state = PyGILState_Ensure();
    Py_XDECREF(PyObject_CallNoArgs(callee));
    Py_DECREF((PyObject *)callee);
    PyGILState_Release(state);
    return NULL;
}

static PyObject *oracle_start_thread(PyObject *self, PyObject *callee)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64u << 20);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    Py_INCREF(callee);
    if (pthread_create(&thread, &attributes, oracle_native_thread, callee) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

#define ROWS(N) \
    ROW(call_##N) FAST_ROW(vectorcall_##N) ROW(method_##N) ROW(attribute_##N) ROW(iterate_##N) \
    ROW(recurse_##N) ROW(variable_##N) ROW(aligned_##N) ROW(large_##N) ROW(cold_##N) ROW(qsort_##N) \
    ROW(once_##N) ROW(inlined_##N)

static PyMethodDef functions[] = {
    EACH_COPY(ROWS)
    ROW(stop_read) ROW(stop_sleep) ROW(stop_poll) ROW(stop_condition) ROW(stop_lock)
    ROW(stop_pause) ROW(stop_entry) ROW(stop_pushed) ROW(stop_framed) ROW(stop_popped)
    ROW(stop_saved) ROW(stop_crash) ROW(stop_never) ROW(stop_hold)
    ROW(start_thread)
    {"unknown", oracle_unknown, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "oracle_steps", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit_oracle_steps(void)
{
    if (ends[0] == 0 && pipe(ends) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *module = PyModule_Create(&definition);
    PyObject *type = PyType_FromSpec(&caller_spec);
    if (module && type && PyModule_AddObject(module, "Caller", type) == 0)
        return module;
    Py_XDECREF(module);
    return NULL;
}
