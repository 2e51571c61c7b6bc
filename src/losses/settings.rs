//! How losses and metrics are configured.

/// Defines a type with a name in logs and options: `new`, `Default`, and one method per option that takes the value and gives the object back.
/// `(into)` after an option makes its method take whatever becomes the option's type. What comes after the name is an argument of `new`, and there is no `Default` then. `loss` in front adds the option `reduction`.
macro_rules! settings {
    ($(#[$doc:meta])* loss $type:ident($name:literal) { $($(#[$about:meta])* $option:ident $(($into:ident))?: $of:ty = $default:expr),* $(,)? }) => {
        crate::losses::settings::settings! {
            $(#[$doc])*
            $type($name) {
                $($(#[$about])* $option $(($into))?: $of = $default,)*
                /// How the values per sample become one number. Default: [`Reduction::SumOverBatchSize`](crate::losses::Reduction::SumOverBatchSize).
                reduction: crate::losses::Reduction = crate::losses::Reduction::SumOverBatchSize,
            }
        }
    };
    (
        $(#[$doc:meta])*
        $type:ident($name:literal $(, $needed:ident: $kind:ty)*) { $($(#[$about:meta])* $option:ident $(($into:ident))?: $of:ty = $default:expr),* $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $type {
            name: std::borrow::Cow<'static, str>,
            $($needed: $kind,)*
            $($option: $of,)*
        }

        impl $type {
            #[doc = concat!("With the default options, under the name `", $name, "`.")]
            pub fn new($($needed: $kind),*) -> $type {
                $type { name: $name.into(), $($needed,)* $($option: $default,)* }
            }

            /// Its name in logs and errors.
            #[must_use]
            pub fn named(mut self, name: impl Into<String>) -> $type {
                self.name = name.into().into();
                self
            }

            $(
                $(#[$about])*
                #[must_use]
                pub fn $option(mut self, $option: crate::losses::settings::settings!(argument $($into)? $of)) -> $type {
                    self.$option = $option.into();
                    self
                }
            )*
        }

        crate::losses::settings::settings!(default $type $($needed)*);
    };
    (argument into $of:ty) => { impl Into<$of> };
    (argument $of:ty) => { $of };
    (default $type:ident) => {
        impl Default for $type {
            fn default() -> $type {
                $type::new()
            }
        }
    };
    (default $type:ident $($needed:ident)+) => {};
}
pub(crate) use settings;

/// The methods of [`Loss`](super::Loss) that read what [`settings`] defined; stands in its `impl`.
macro_rules! settings_of_loss {
    () => {
        fn name(&self) -> &str {
            &self.name
        }
        fn reduction(&self) -> crate::losses::Reduction {
            self.reduction
        }
    };
}
pub(super) use settings_of_loss;
