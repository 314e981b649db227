# cython: language_level=3, binding=True
# Native steps in Cython. This text is written once for each copy, with NN replaced by its number.


def oracle_cydef_NN(callee):
    result = callee()
    return [result]


cdef class oracle_Ring_NN:
    cdef int rounds

    cdef object oracle_cymethod_NN(self, callee):
        result = callee()
        self.rounds += 1
        return [result]

    def run(self, callee):
        result = self.oracle_cymethod_NN(callee)
        return [result]

    def __add__(self, callee):
        result = callee()
        return [result]

    @property
    def value(self):
        return self


def oracle_cygenerator_NN(callee):
    result = callee()
    yield result


cdef int oracle_cyinner_NN(object callee) except -1:
    result = callee()
    return 0 if result is None else 1


def oracle_cyouter_NN(callee):
    result = oracle_cyinner_NN(callee)
    return [result]


async def oracle_cyasync_NN(callee):
    result = callee()
    return [result]
