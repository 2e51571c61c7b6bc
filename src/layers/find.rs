//! Finding the layers in the fields of a struct: what `#[derive(Layers)]` is made of.

use super::Layer;
use std::collections::BTreeMap;

/// A layer, or something that holds layers. Derive it for a struct: `#[derive(Layers)] struct Net { conv: Conv2D, blocks: Vec<Block> }`.
#[diagnostic::on_unimplemented(
    message = "the layers of `{Self}` cannot be found",
    note = "write `#[derive(Layers)]` above `struct {Self}`"
)]
pub trait Layers {
    /// Shows every layer to `f`, in the order of the fields.
    fn each_layer<'a>(&'a self, f: &mut dyn FnMut(&'a dyn Layer));
}

impl<L: Layer> Layers for L {
    fn each_layer<'a>(&'a self, f: &mut dyn FnMut(&'a dyn Layer)) {
        f(self);
    }
}

impl<T: Layers> Layers for Vec<T> {
    fn each_layer<'a>(&'a self, f: &mut dyn FnMut(&'a dyn Layer)) {
        self.iter().for_each(|item| item.each_layer(f));
    }
}

impl<T: Layers> Layers for Option<T> {
    fn each_layer<'a>(&'a self, f: &mut dyn FnMut(&'a dyn Layer)) {
        self.iter().for_each(|item| item.each_layer(f));
    }
}

impl<T: Layers, const N: usize> Layers for [T; N] {
    fn each_layer<'a>(&'a self, f: &mut dyn FnMut(&'a dyn Layer)) {
        self.iter().for_each(|item| item.each_layer(f));
    }
}

impl<K, T: Layers> Layers for BTreeMap<K, T> {
    fn each_layer<'a>(&'a self, f: &mut dyn FnMut(&'a dyn Layer)) {
        self.values().for_each(|item| item.each_layer(f));
    }
}

/// A field, of which the derive macro does not know whether it holds layers. The compiler takes [`Found`] if it does, else [`Missed`], which
/// is one reference further away.
#[doc(hidden)]
pub struct Probe<'a, T>(pub &'a T);

#[doc(hidden)]
pub trait Found<'a> {
    fn show(&self, f: &mut dyn FnMut(&'a dyn Layer));
}

#[doc(hidden)]
pub trait Missed<'a> {
    fn show(&self, _f: &mut dyn FnMut(&'a dyn Layer)) {}
}

impl<'a, T: Layers> Found<'a> for Probe<'a, T> {
    fn show(&self, f: &mut dyn FnMut(&'a dyn Layer)) {
        self.0.each_layer(f);
    }
}

impl<'a, T> Missed<'a> for &Probe<'a, T> {}
