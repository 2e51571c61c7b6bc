//! What layers with windows do at the borders, as an argument.

use super::Base;
use crate::error::{Error, Result};
use crate::ops::window::Padding;
use crate::suggest;

/// A [`Padding`], or the name of one: `"valid"`, `"same"`, and `"causal"` for layers that allow it. A wrong name is reported when the layer is
/// built.
#[derive(Clone, Debug)]
pub struct PaddingArg(Given);

#[derive(Clone, Debug)]
enum Given {
    Value(Padding),
    Name(String),
}

impl PaddingArg {
    /// The padding, for layers that know no causal one.
    ///
    /// # Errors
    /// [`Error::Argument`] if it was named by a text that names none.
    pub(super) fn get(&self, layer: &Base) -> Result<Padding> {
        match &self.0 {
            Given::Value(padding) => Ok(*padding),
            Given::Name(name) if name.eq_ignore_ascii_case("causal") => {
                let what = format!("{}: padding", layer.title());
                Err(Error::argument(what, "valid or same; causal is for Conv1D, DepthwiseConv1D and SeparableConv1D", format!("{name:?}")))
            }
            Given::Name(name) => name.parse().map_err(|e: Error| e.at(layer.title())),
        }
    }

    /// The padding; `None` if it is causal: all of it in front, so that no output sees later inputs.
    ///
    /// # Errors
    /// [`Error::Argument`] if it was named by a text that names none.
    pub(super) fn get_or_causal(&self, layer: &Base) -> Result<Option<Padding>> {
        let known = [("valid", Some(Padding::Valid)), ("same", Some(Padding::Same)), ("causal", None)];
        match &self.0 {
            Given::Value(padding) => Ok(Some(*padding)),
            Given::Name(name) => suggest::find("padding", name, &known).map_err(|e| e.at(layer.title())),
        }
    }
}

impl Default for PaddingArg {
    fn default() -> PaddingArg {
        PaddingArg(Given::Value(Padding::Valid))
    }
}
impl From<Padding> for PaddingArg {
    fn from(padding: Padding) -> PaddingArg {
        PaddingArg(Given::Value(padding))
    }
}
impl From<&str> for PaddingArg {
    fn from(name: &str) -> PaddingArg {
        PaddingArg(Given::Name(name.to_string()))
    }
}
