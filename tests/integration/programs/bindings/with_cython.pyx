# distutils: language = c++
cdef extern from *:
    """
    #include "thrower.h"
    volatile int sink;
    """
    int way_down(int depth) except +

def fail(int depth):
    return way_down(depth)
