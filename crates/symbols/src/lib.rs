//! Address to function, file, line and inline frames, from the modules' own debug information or Breakpad .sym files
