/* Threads with a known pattern in ymm8. */

static inline void fill(const void *pattern) {
    __asm__ volatile("vmovdqu (%0), %%ymm8" : : "r"(pattern) : "xmm8");
}

void spin(const void *pattern, volatile int *is_ready) {
    fill(pattern);
    *is_ready = 1;
    for (;;)
        __asm__ volatile("pause" : : : "memory");
}

void fault(const void *pattern) {
    fill(pattern);
    *(volatile int *)8 = 1;
}
