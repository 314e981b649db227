/* Runs the interpreter that is in a library of any name.
   usage: host LIBRARY ARGUMENTS OF PYTHON… */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) : NULL;
    int (*run)(int, char **) = library ? (int (*)(int, char **))dlsym(library, "Py_BytesMain") : NULL;
    if (run == NULL) {
        fprintf(stderr, "host: %s\n", dlerror());
        return 1;
    }
    return run(argc - 1, argv + 1);
}
