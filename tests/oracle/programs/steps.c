/* Native steps of the oracle's call scripts, and the ways in which a script's last step stops.
 *
 * Each step is named `oracle_KIND_NN`, so that a stack tells which step it is; `tests/oracle/copies.py`
 * says how many copies there are. No step calls in tail position, and none is inlined.
 */
#include "stops.h"

#include <alloca.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOT_LAST __asm__ volatile("" ::: "memory")
