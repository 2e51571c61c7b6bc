//! What layers compute in.

use crate::error::{Error, Result};
use crate::shape::DType;
use crate::suggest;
use std::str::FromStr;

/// The types of a layer's values, by Keras's names. Weights are f32 under every policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DTypePolicy {
    /// `"float32"`: what layers take and give is f32.
    #[default]
    Float32,
    /// `"mixed_float16"`: what layers take and give is f16, half the memory and its traffic. Kernels compute in f32 and round what they store;
    /// normalizations keep their moments and weights in f32; a model's outputs, and with them its losses and metrics, are f32. `compile` puts a
    /// [`LossScaleOptimizer`](crate::optimizers::LossScaleOptimizer) around the optimizer, without which small gradients would round to 0.
    /// For GPUs that have the feature `shader-f16`; the CPU computes the same, but no faster.
    MixedFloat16,
}

impl DTypePolicy {
    /// The type of what layers take and give.
    pub fn compute_dtype(self) -> DType {
        match self {
            DTypePolicy::Float32 => DType::F32,
            DTypePolicy::MixedFloat16 => DType::F16,
        }
    }
}

impl FromStr for DTypePolicy {
    type Err = Error;

    fn from_str(name: &str) -> Result<DTypePolicy> {
        suggest::find("dtype_policy", name, &[("float32", DTypePolicy::Float32), ("mixed_float16", DTypePolicy::MixedFloat16)])
    }
}

/// A [`DTypePolicy`], or the name of one. A wrong name is reported when the layer or model is built.
#[derive(Clone, Debug)]
pub struct DTypePolicyArg(pub(crate) Result<DTypePolicy>);

impl From<DTypePolicy> for DTypePolicyArg {
    fn from(policy: DTypePolicy) -> DTypePolicyArg {
        DTypePolicyArg(Ok(policy))
    }
}

impl From<&str> for DTypePolicyArg {
    fn from(name: &str) -> DTypePolicyArg {
        DTypePolicyArg(name.parse())
    }
}

/// The policy of one layer: its own, or else that of its model.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    own: Option<DTypePolicyArg>,
    of_model: DTypePolicy,
}

impl Policy {
    pub fn set(&mut self, policy: DTypePolicyArg) {
        self.own = Some(policy);
    }

    pub fn inherit(&mut self, policy: DTypePolicy) {
        self.of_model = policy;
    }

    pub fn get(&self) -> Result<DTypePolicy> {
        self.own.as_ref().map_or(Ok(self.of_model), |own| own.0.clone())
    }
}
