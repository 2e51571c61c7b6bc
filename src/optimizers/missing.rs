//! Gradients that are not there.

use crate::error::{Error, Result};
use crate::tensor::{Tensor, lock};
use crate::variable::Variable;
use std::collections::HashSet;
use std::sync::Mutex;

/// Each gradient with its variable, for [`Optimizer::apply`](super::Optimizer::apply): variables without a gradient are left out, and named in a
/// warning, once each. The gradients are those of [`Gradients::into_vec`](crate::record::Gradients::into_vec).
///
/// # Errors
/// [`Error::Gradient`] if no variable has a gradient; [`Error::Argument`] if there are more or fewer gradients than variables.
pub fn pair_gradients(gradients: Vec<Option<Tensor>>, variables: &[Variable]) -> Result<Vec<(Tensor, Variable)>> {
    if gradients.len() != variables.len() {
        return Err(Error::argument("gradients", format!("one for each of {} variables", variables.len()), gradients.len()));
    }
    let (mut pairs, mut missing) = (Vec::with_capacity(variables.len()), Vec::new());
    for (gradient, variable) in gradients.into_iter().zip(variables) {
        match gradient {
            Some(gradient) => pairs.push((gradient, variable.clone())),
            None => missing.push(variable),
        }
    }
    if pairs.is_empty() {
        let names = missing.iter().map(|v| v.name()).collect::<Vec<_>>().join(", ");
        return Err(Error::Gradient(format!(
            "no gradients provided for any variable ({names}); was the loss computed from them, inside the tape, with tensor operations only?"
        )));
    }
    if let Some(text) = warning(&missing) {
        eprintln!("{text}");
    }
    Ok(pairs)
}

/// The variables that were named before.
static NAMED: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

fn warning(missing: &[&Variable]) -> Option<String> {
    let mut named = lock(&NAMED);
    let named = named.get_or_insert_with(HashSet::new);
    let new: Vec<String> = missing.iter().filter(|v| named.insert(v.id())).map(|v| v.name()).collect();
    (!new.is_empty()).then(|| {
        let names = new.join(", ");
        format!("warning: the loss does not depend on {names}: they get no gradient and do not change; freeze them if that is meant")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    #[test]
    fn some_are_named_once_and_none_at_all_is_an_error() {
        let cpu = Device::cpu();
        let x = Tensor::scalar(&cpu, 1.0f32).expect("a scalar");
        let [a, b] = ["a", "lost"].map(|name| Variable::new(name, &x).expect("a variable"));
        assert_eq!(warning(&[&b]).expect("the first time").matches("lost").count(), 1);
        assert_eq!(warning(&[&b]), None);
        let pairs = pair_gradients(vec![Some(x.clone()), None], &[a.clone(), b.clone()]).expect("one has a gradient");
        assert_eq!(pairs.iter().map(|(_, v)| v.name()).collect::<Vec<_>>(), ["a"]);
        let text = pair_gradients(vec![None, None], &[a.clone(), b]).expect_err("none").to_string();
        assert!(text.starts_with("gradient: no gradients provided for any variable (a, lost)"), "{text}");
        assert!(matches!(pair_gradients(vec![], &[a]), Err(Error::Argument { .. })));
    }
}
