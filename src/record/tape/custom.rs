//! A function with a gradient of its own.

use super::{Pause, Rule, Step, TAPES, each_recording, pause};
use crate::error::{Error, Result};
use crate::record::recording::Site;
use crate::shape::Spec;
use crate::tensor::Tensor;
use std::rc::{Rc, Weak};

type Backward = Box<dyn Fn(&[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>>;

pub(super) struct Custom {
    inputs: Vec<Spec>,
    backward: Backward,
}

/// Computes `forward(inputs)`, whose gradient is not found from its operations but by the closure that it returns beside its results.
///
/// That closure gets the gradient by each result (`None` for a result that the target does not depend on) and returns the gradient by each
/// input, of the input's shape and type; `None` where there is none. It may use what `forward` computed. Variables that `forward` reads get no
/// gradient: give their values as inputs. Gradients of gradients see the operations of the closure, and through them the inputs.
///
/// ```
/// use gradus::{Device, GradientTape, Tensor, record::custom_gradient};
/// // log(1 + exp(x)), whose gradient written out as exp(x) / (1 + exp(x)) is no number for large x.
/// let x = Tensor::scalar(&Device::cpu(), 100.0f32)?;
/// let tape = GradientTape::new();
/// tape.watch(&x);
/// let y = custom_gradient(&[&x], |x| {
///     let e = x[0].exp()?;
///     let y = e.add_scalar(1.0)?.log()?;
///     let backward = move |dys: &[Option<Tensor>]| {
///         let slope = e.add_scalar(1.0)?.recip()?.neg()?.add_scalar(1.0)?;
///         dys[0].iter().map(|dy| Ok(Some(dy.mul(&slope)?))).collect()
///     };
///     Ok((vec![y], backward))
/// })?;
/// assert_eq!(tape.gradient(&y[0], [&x])?.get(0)?.item()?, 1.0);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// What `forward` returns. Asking for the gradient returns what the closure returns, and [`Error::Gradient`] if its results do not fit the inputs.
#[track_caller]
pub fn custom_gradient<G>(inputs: &[&Tensor], forward: impl FnOnce(&[Tensor]) -> Result<(Vec<Tensor>, G)>) -> Result<Vec<Tensor>>
where
    G: Fn(&[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> + 'static,
{
    let site = Site::here();
    let owned: Vec<Tensor> = inputs.iter().map(|x| (*x).clone()).collect();
    // A tape that is made inside records as ever.
    let tapes: Vec<_> = TAPES.with_borrow(|tapes| tapes.iter().filter_map(Weak::upgrade).collect());
    let hidden: Vec<_> = tapes.iter().map(|tape| pause(tape, Pause::Custom)).collect();
    let (results, backward) = forward(&owned)?;
    // Under identities of their own: a result may be an input, or known to the tape by other means.
    let outputs = results.iter().map(Tensor::under_another_name).collect::<Result<Vec<_>>>()?;
    drop(hidden);
    let custom = Rc::new(Custom { inputs: inputs.iter().map(|x| x.spec().clone()).collect(), backward: Box::new(backward) });
    each_recording(|inner| {
        let rule = Rule::Custom(custom.clone());
        inner.push(Step { rule, layer: site.layer_path(), inputs: owned.clone(), outputs: outputs.clone() });
    });
    Ok(outputs)
}

impl Custom {
    pub fn grad(&self, dys: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let dxs = (self.backward)(dys)?;
        if dxs.len() != self.inputs.len() {
            return Err(Error::Gradient(format!("custom_gradient: {} gradients for {} inputs", dxs.len(), self.inputs.len())));
        }
        for (i, (dx, input)) in dxs.iter().zip(&self.inputs).enumerate() {
            if let Some(dx) = dx.as_ref().filter(|dx| dx.spec() != input) {
                return Err(Error::Gradient(format!("custom_gradient: the gradient by input {i} is {}, the input is {input}", dx.spec())));
            }
        }
        Ok(dxs)
    }
}
