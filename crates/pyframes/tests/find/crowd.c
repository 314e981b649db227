/* A program of many libraries that has nothing to do with Python.
   usage: crowd COUNT LIBRARIES… */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int wanted = argc > 1 ? atoi(argv[1]) : 0;
    for (int index = 2; index < argc && wanted > 0; index++)
        if (dlopen(argv[index], RTLD_LAZY) != NULL)
            wanted--;
    puts("ready");
    fflush(stdout);
    return getchar();
}
