/* Two interpreters in one process: one that was started and left alone, one that runs.
   usage: two LIBRARY HOME LIBRARY HOME ARGUMENTS OF PYTHON… */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *function(const char *library, const char *name)
{
    void *found = dlsym(dlopen(library, RTLD_NOW | RTLD_LOCAL), name);
    if (found == NULL) {
        fprintf(stderr, "two: %s\n", dlerror());
        exit(1);
    }
    return found;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    setenv("PYTHONHOME", argv[2], 1);
    ((void (*)(int))function(argv[1], "Py_InitializeEx"))(0);
    ((void *(*)(void))function(argv[1], "PyEval_SaveThread"))();
    setenv("PYTHONHOME", argv[4], 1);
    return ((int (*)(int, char **))function(argv[3], "Py_BytesMain"))(argc - 4, argv + 4);
}
