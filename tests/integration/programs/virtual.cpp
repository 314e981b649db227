// Calls a pure virtual function from a constructor. Built by the tests as a shared library.

namespace {

struct Shape {
    Shape() { describe(); }
    virtual ~Shape() = default;
    void describe() { area(); }
    virtual void area() = 0;
};

struct Circle : Shape {
    void area() override {}
};

} // namespace

extern "C" void call_pure_virtual() { Circle circle; }
