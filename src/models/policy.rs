//! What the layers of a model compute in.

use super::Model;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::layers::{DTypePolicy, DTypePolicyArg, Layer};
use crate::shape::DType;

impl Model {
    /// What its layers compute in, by itself or by name, but for layers that have a policy of their own. Its outputs are f32 under every policy.
    /// Default: `"float32"`. To be set before it is built or compiled; a wrong name is reported then.
    #[must_use]
    pub fn dtype_policy(mut self, policy: impl Into<DTypePolicyArg>) -> Model {
        self.policy = Some(policy.into());
        self
    }

    /// Whether any of its layers computes in f16. Those without a policy of their own take the model's.
    pub(super) fn is_mixed(&self) -> Result<bool> {
        let own = self.policy.as_ref().map(|policy| policy.0.clone().map_err(|e| e.at(self.name()))).transpose()?;
        let mut policies = Vec::new();
        each_layer(self.root.as_ref(), &mut |layer| {
            if let Some(policy) = own {
                layer.base().inherit_dtype_policy(policy);
            }
            policies.push(layer.base().dtype_policy());
        });
        let policies = policies.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(policies.contains(&DTypePolicy::MixedFloat16))
    }

    /// Refuses a device that cannot store what a layer computes in.
    pub(super) fn check_policies(&self, device: &Device) -> Result<()> {
        if !self.is_mixed()? || device.stores(DType::F16) {
            return Ok(());
        }
        let name = self.name();
        Err(Error::Device(format!("{name}: mixed_float16: {device} has no 16-bit floats (`shader-f16`); leave the policy out")))
    }
}

/// The layer and all layers inside it.
fn each_layer(layer: &dyn Layer, f: &mut dyn FnMut(&dyn Layer)) {
    f(layer);
    layer.sublayers().into_iter().for_each(|inner| each_layer(inner, f));
}
