// Throws while it is loaded. With WITHOUT_TEXT its exception is none of the standard's, and stands
// where the other one's would.
#include <stdexcept>

#ifdef WITHOUT_TEXT
struct Base { long number = 42; };
struct Thrown : Base {};
std::runtime_error* volatile as_the_other_one_does;
#else
struct Thrown : std::runtime_error {
    Thrown() : std::runtime_error("has a text") {}
};
#endif

__attribute__((constructor)) static void load() {
    try {
        throw Thrown();
    } catch (const Thrown&) {
    }
}
