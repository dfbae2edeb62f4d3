//! End to end: the real binary, a real engine, real load.

fn main() {}
