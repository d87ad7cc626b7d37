//! How a request wants its tokens chosen.

use super::fault::Fault;
use super::fields::Fields;
use crate::base::Seed;
use crate::engine::{Sampling, Shaping};

/// The sampling of all completions of one request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Draws {
    sampling: Sampling,
    pub(super) shaping: Shaping,
}

impl Draws {
    /// Reads the fields. Where a request says nothing, OpenAI's defaults hold: temperature 1, all
    /// tokens; `other_seed` is its seed then.
    pub(super) fn read(fields: &mut Fields, other_seed: u64) -> Result<Self, Fault> {
        let temperature = fields.real("temperature", 0.0, 100.0)?.unwrap_or(1.0);
        let top_p = fields.real("top_p", 0.0, 1.0)?.unwrap_or(1.0);
        let wanted = "must be a whole number; 0 and -1 keep all tokens";
        let top_k = fields.read("top_k", wanted, |value| match value.as_i64()? {
            -1 => Some(0),
            count => u32::try_from(count).ok(),
        })?;
        // The two readings of 64 bits are the same seed.
        let seed = fields
            .read("seed", "must be a whole number of 64 bits", |value| {
                value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned))
            })?
            .unwrap_or(other_seed);
        let shaping = Shaping {
            min_p: fields.real("min_p", 0.0, 1.0)?.unwrap_or(0.0),
            presence_penalty: fields.real("presence_penalty", -2.0, 2.0)?.unwrap_or(0.0),
            frequency_penalty: fields.real("frequency_penalty", -2.0, 2.0)?.unwrap_or(0.0),
            repetition_penalty: fields.real("repetition_penalty", 0.01, 100.0)?.unwrap_or(1.0),
        };
        let sampling = match temperature {
            0.0 => Sampling::GREEDY,
            _ => Sampling { temperature, top_k: top_k.unwrap_or(0), top_p, seed },
        };
        Ok(Self { sampling, shaping })
    }

    /// Returns the sampling of completion `index`. The first has the request's own seed, so that it
    /// does not depend on how many there are.
    pub(super) fn of_choice(&self, index: usize) -> Sampling {
        match (index, self.sampling.is_greedy()) {
            (0, _) | (_, true) => self.sampling,
            _ => Sampling { seed: Seed(self.sampling.seed).derive("choice", &[index as u64]).0, ..self.sampling },
        }
    }
}
