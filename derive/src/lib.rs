//! `#[derive(Layers)]` for Gradus: finds the layers in the fields of a struct.

use proc_macro::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Index, Member, parse_macro_input};

/// Implements `gradus::layers::Layers` for a struct: every field that is a layer, a struct with this derive, a model, or a vector, array,
/// option or map of them is shown in the order of declaration; other fields are passed over.
#[proc_macro_derive(Layers)]
pub fn layers(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let Data::Struct(data) = &input.data else {
        let message = "Layers can only be derived for a struct; for an enum, implement `each_layer` by hand";
        return syn::Error::new(input.ident.span(), message).to_compile_error().into();
    };
    let name = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let fields = data.fields.iter().enumerate().map(|(i, field)| {
        let member = field.ident.clone().map_or_else(|| Member::Unnamed(Index::from(i)), Member::Named);
        quote_spanned! { field.ty.span() => (&::gradus::layers::Probe(&self.#member)).show(each); }
    });
    quote! {
        impl #generics ::gradus::layers::Layers for #name #arguments #bounds {
            fn each_layer<'layers>(&'layers self, each: &mut dyn FnMut(&'layers dyn ::gradus::layers::Layer)) {
                #[allow(unused_imports, reason = "a struct may have no layers, or nothing else")]
                use ::gradus::layers::{Found as _, Missed as _};
                #(#fields)*
            }
        }
    }
    .into()
}
