/* Stands still inside C, with the GIL held and an exception set. Called through ctypes.PyDLL, with
   the functions of the C API as it finds them. */
#include <unistd.h>

void hold(void *(*call)(void *), void *report, void (*set_none)(void *), void *exception,
          void (*clear)(void), void (*release)(void *))
{
    char byte;
    release(call(report));
    set_none(exception);
    (void)!write(1, "ready\n", 6);
    (void)!read(0, &byte, 1);
    clear();
}
