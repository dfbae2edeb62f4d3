//! demo
use crate::{failure::Outcome, words::Words};
pub fn main(_w: Words) -> Outcome {
    Ok(())
}
