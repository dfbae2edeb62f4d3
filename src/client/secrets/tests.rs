//! Every provider against a fake of its program.
