/* Makes a library look as if it had been unpacked into memory: all of its mappings lose their file,
   and, if told so, its ELF header.
   usage: hide LIBRARY 0|1 ARGUMENTS OF PYTHON… */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int protection(const char *permissions)
{
    return (permissions[0] == 'r' ? PROT_READ : 0) | (permissions[1] == 'w' ? PROT_WRITE : 0)
        | (permissions[2] == 'x' ? PROT_EXEC : 0);
}

/* Moves a copy over the mapping; what runs there meanwhile sees the same bytes. */
static void replace(char *start, size_t size, const char *permissions, int is_headless)
{
    char *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED)
        abort();
    memcpy(copy, start, size);
    if (is_headless && memcmp(copy, "\177ELF", 4) == 0)
        memset(copy, 0, 64);
    if (mprotect(copy, size, protection(permissions)) != 0)
        abort();
    if (mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start) == MAP_FAILED)
        abort();
}

static void hide(const char *library, int is_headless)
{
    static struct { unsigned long start, end; char permissions[5]; } found[64];
    char line[4096];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && count < 64 && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, library) != NULL && line[0] != 0
            && sscanf(line, "%lx-%lx %4s", &found[count].start, &found[count].end,
                      found[count].permissions) == 3)
            count++;
    fclose(maps);
    for (int index = 0; index < count; index++)
        if (found[index].permissions[0] == 'r')
            replace((char *)found[index].start, found[index].end - found[index].start,
                    found[index].permissions, is_headless);
}

int main(int argc, char **argv)
{
    void *library = argc > 2 ? dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) : NULL;
    int (*run)(int, char **) = library ? (int (*)(int, char **))dlsym(library, "Py_BytesMain") : NULL;
    if (run == NULL) {
        fprintf(stderr, "hide: %s\n", dlerror());
        return 1;
    }
    hide(argv[1], argv[2][0] == '1');
    return run(argc - 2, argv + 2);
}
