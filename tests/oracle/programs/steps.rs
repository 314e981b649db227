//! Native steps in Rust, called through ctypes; the callback leads back to Python.
//!
//! Built by rustc alone, so it depends on nothing. No two copies of a function have the same code:
//! LLVM folds those.

use std::hint::black_box;

type Callback = extern "C" fn() -> i32;

macro_rules! steps {
    ($($copy:literal $plain:ident $closure:ident $dynamic:ident)*) => {$(
        /// Calls back directly.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $plain(callback: Callback) -> i32 {
            black_box(callback()) + $copy
        }

        /// Calls back from a closure that an iterator's adapter runs.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $closure(callback: Callback) -> i32 {
            black_box(0..1).map(|number: i32| black_box(callback()) + number * $copy).sum()
        }

        /// Calls back through a boxed function object.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $dynamic(callback: Callback) -> i32 {
            let call: Box<dyn Fn() -> i32> = black_box(Box::new(move || black_box(callback()) + $copy));
            black_box(call()) + $copy
        }
    )*};
}

steps! {
    11 oracle_rust_00 oracle_rustclosure_00 oracle_rustboxed_00
    12 oracle_rust_01 oracle_rustclosure_01 oracle_rustboxed_01
    13 oracle_rust_02 oracle_rustclosure_02 oracle_rustboxed_02
    14 oracle_rust_03 oracle_rustclosure_03 oracle_rustboxed_03
    15 oracle_rust_04 oracle_rustclosure_04 oracle_rustboxed_04
    16 oracle_rust_05 oracle_rustclosure_05 oracle_rustboxed_05
    17 oracle_rust_06 oracle_rustclosure_06 oracle_rustboxed_06
    18 oracle_rust_07 oracle_rustclosure_07 oracle_rustboxed_07
}
