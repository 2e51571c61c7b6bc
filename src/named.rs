//! What options take that may be given as an object, by name, or not at all.

use crate::error::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// An object, the name of one, or nothing (the default). A wrong name is reported when the layer is built.
pub struct Named<T: ?Sized>(Result<Option<Arc<T>>, Error>);

impl<T: ?Sized> Named<T> {
    pub(crate) fn of(object: Arc<T>) -> Named<T> {
        Named(Ok(Some(object)))
    }

    pub(crate) fn found(object: Result<Arc<T>>) -> Named<T> {
        Named(object.map(Some))
    }

    /// The object, if there is to be one.
    ///
    /// # Errors
    /// [`Error::Argument`] if it was named by a text that names none.
    pub fn get(&self) -> Result<Option<Arc<T>>> {
        self.0.clone()
    }
}

impl<T: ?Sized> Clone for Named<T> {
    fn clone(&self) -> Named<T> {
        Named(self.0.clone())
    }
}

impl<T: ?Sized> Default for Named<T> {
    fn default() -> Named<T> {
        Named(Ok(None))
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}
