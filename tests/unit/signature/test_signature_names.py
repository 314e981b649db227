"""Names of functions and modules in every spelling that demanglers produce."""

from __future__ import annotations

import pytest

from lastwords.signature.names import function_name, module_name
from lastwords.signature.python_names import PathRoots, is_stdlib, python_function, python_module


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("main", "main"),
        (
            "std::vector<int, std::allocator<int> >::operator[](unsigned long)",
            "std::vector<T>::operator[]",
        ),
        ("void ns::f<int>(int, std::map<int, int>)", "ns::f<T>"),
        ("unsigned long long foo(int)", "foo"),
        ("(anonymous namespace)::foo(int)", "{anon}::foo"),
        ("`anonymous namespace'::foo", "{anon}::foo"),
        ("ns::Grid<double>::at(int, int) const", "ns::Grid<T>::at"),
        ("main::{lambda(int)#1}::operator()(int) const", "main::{lambda}::operator()"),
        ("main::'lambda'(int)::operator()(int) const", "main::{lambda}::operator()"),
        ("<lambda_0a1b2c3d4e>::operator()", "{lambda}::operator()"),
        ("foo()::Local::bar(int)", "foo::Local::bar"),
        ("ns::g(int (*)(char))", "ns::g"),
        ("decltype(auto) a::b<int>(int)", "a::b<T>"),
        ("public: void __thiscall ns::X::f(void)", "ns::X::f"),
        ("non-virtual thunk to A::f()", "A::f"),
        ("operator new[](unsigned long)", "operator new[]"),
        ("Foo::operator bool() const", "Foo::operator bool"),
        ("Foo::operator<(Foo const&) const", "Foo::operator<"),
        ("Foo::operator()(int)", "Foo::operator()"),
        ("Foo::operator->() const", "Foo::operator->"),
        ("std::ostream& operator<< <char>(std::ostream&, char const*)", "operator<<<T>"),
        ("std::function<void (int)>::operator()(int) const", "std::function<T>::operator()"),
        ("std::__cxx11::basic_string<char>::append(char const*)", "std::basic_string<T>::append"),
        ("foo.part.0.cold", "foo"),
        ("A::f() [clone .cold]", "A::f"),
        ("run(int) [clone ._omp_fn.0]", "run"),
        ("free@@GLIBC_2.2.5", "free"),
        ("__memmove_avx_unaligned_erms", "memmove"),
        ("__strlen_avx2", "strlen"),
        ("__GI_abort", "abort"),
        ("mycrate::foo::{{closure}}::h0123456789abcdef", "mycrate::foo::{closure}"),
        (
            "<alloc::vec::Vec<T,A> as core::ops::index::Index<I>>::index",
            "alloc::vec::Vec<T>::index",
        ),
        ("mycrate[8d3fabc012]::parse", "mycrate::parse"),
        ("core::ptr::write_volatile::<u8>", "core::ptr::write_volatile"),
        ("core::ptr::mut_ptr::<impl *mut T>::add", "core::ptr::mut_ptr::T::add"),
        ("app::run::<Vec<u8>>::{closure#0}", "app::run::{closure}"),
        ("main.(*T).Method", "main.(*T).Method"),
        ("-[NSArray objectAtIndex:]", "-[NSArray objectAtIndex:]"),
        ("__pyx_pw_6victim_4grid_1step", "victim.grid.step"),
        ("__pyx_f_6victim_4grid_step", "victim.grid.step"),
        ("foo(bar", "foo"),
        ("<(", "<T>"),
        ("<" * 3000, "<T>"),
        (".cold", ".cold"),
    ],
)
def test_function_name(symbol, name):
    assert function_name(symbol) == name


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("/lib/x86_64-linux-gnu/libc.so.6", "libc"),
        ("libc-2.31.so", "libc"),
        ("libstdc++.so.6.0.30", "libstdc++"),
        ("_x.abi3.so", "_x"),
        ("_x.cp311-win_amd64.pyd", "_x"),
        ("C:\\Windows\\System32\\KERNELBASE.dll", "kernelbase"),
        ("python3.11", "python"),
        ("python311.dll", "python"),
        ("libpython3.11.so.1.0", "libpython"),
        ("libobjc.A.dylib", "libobjc"),
        ("libfoo.so (deleted)", "libfoo"),
        ("libgomp-a34b3233.so.1.0.0", "libgomp"),
        ("test_app", "test_app"),
        ("", ""),
    ],
)
def test_module_name(filename, name):
    assert module_name(filename) == name


def test_extension_module_is_qualified_by_its_package():
    path = "/w/lib/python3.11/site-packages/victim/core/_x.cpython-313-darwin.so"
    assert module_name(path, PathRoots().package_of) == "victim.core._x"
    assert module_name("/usr/lib/libfoo.so", PathRoots().package_of) == "libfoo"


@pytest.mark.parametrize(
    ("qualname", "name"),
    [
        ("A.f", "A.f"),
        ("f.<locals>.g.<locals>.<lambda>", "f.g.<lambda>"),
        ("f.<locals>.<dictcomp>", "f"),
        ("<listcomp>", "<module>"),
        (None, None),
    ],
)
def test_python_function(qualname, name):
    assert python_function(qualname) == name


@pytest.mark.parametrize(
    ("module", "file", "name"),
    [
        ("pkg.mod", "/anything.py", "pkg.mod"),
        ("__main__", "/w/src/pkg/cli.py", "pkg.cli"),
        (None, "/w/lib/python3.11/site-packages/pkg/sub/__init__.py", "pkg.sub"),
        (None, "/w/lib/python3.11/json/decoder.py", "json.decoder"),
        (None, "/w/bundle.zip/pkg/mod.pyc", "pkg.mod"),
        (None, "<frozen importlib._bootstrap>", "importlib._bootstrap"),
        (None, "<string>", "<string>"),
        (None, "<ipython-input-3-abc>", "<generated>"),
        (None, "pkg/mod.py", "pkg.mod"),
        (None, "/data/build-17/run.py", "run"),
        (None, None, None),
    ],
)
def test_python_module(module, file, name):
    assert python_module(module, file, PathRoots()) == name


def test_standard_library_is_told_from_installed_packages():
    assert is_stdlib("/usr/lib/python3.11/threading.py")
    assert is_stdlib("C:\\Python311\\Lib\\threading.py")
    assert is_stdlib("<frozen runpy>")
    assert not is_stdlib("/usr/lib/python3.11/site-packages/numpy/core.py")
    assert not is_stdlib("/usr/lib/python3/dist-packages/apt/cache.py")
    assert not is_stdlib("/home/a/app.py")
    assert not is_stdlib(None)
