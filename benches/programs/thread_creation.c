/* Makes threads that do nothing, one after the other; gives the nanoseconds of
 * processor time that each took. */

#include <pthread.h>
#include <time.h>

static void *nothing(void *argument) { return argument; }

double ns_per_thread(int count)
{
    struct timespec start, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (int number = 0; number < count; ++number) {
        pthread_t thread;
        if (pthread_create(&thread, 0, nothing, 0))
            return -1;
        pthread_join(thread, 0);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    return ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / count;
}
