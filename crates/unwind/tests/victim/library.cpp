#include "library.h"

// Found again through the procedure linkage table, as it may be replaced.
long call_back(long (*visit)(long), long depth) {
    char space[256];
    volatile char* end = space + depth;
    *end = 1;
    long below = depth == 0 ? visit(depth) : call_back(visit, depth - 1);
    return below + *end;
}
