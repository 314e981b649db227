"""Builds `victim._physics`. What is not about C++ stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "victim._physics",
            sources=["victim/_physics.cpp"],
            language="c++",
            # As a release build of an application is made: optimised, with debug information
            # beside the code, so that a crash shows files, lines and inline frames.
            extra_compile_args=["-std=c++17", "-O2", "-g", "-Wall", "-Wextra"],
        )
    ]
)
