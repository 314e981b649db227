/* Dies four calls deep by a read through a null pointer; needs no C library, so that it can be
 * compiled for any processor (tests/golden/cores/README.md). */

static int depth(int rounds)
{
    volatile int *member = (int *)16;
    if (rounds == 0)
        return *member;
    int result = depth(rounds - 1);
    __asm__ volatile("" : "+r"(result));
    return result + 1;
}

void _start(void)
{
    depth(3);
}
