//! Pointwise methods and operators of `Tensor`.

use super::{Expr, map_to, map1, one};
use crate::device::Device;
use crate::error::Result;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::Tensor;

macro_rules! unary_methods {
    ($($method:ident $doc:literal),*) => {
        impl Tensor { $(
            #[doc = $doc]
            ///
            /// # Errors
            /// [`Error::DType`](crate::Error::DType) if this is no float.
            #[track_caller]
            pub fn $method(&self) -> Result<Tensor> { map1(&[self], |e| e[0].$method()) }
        )* }
    };
}
unary_methods!(abs "Absolute values.", sign "-1, 0 or 1.", exp "`eˣ` of every element.", log "Natural logarithms.", sqrt "Square roots.",
    rsqrt "`1/√x` of every element.", recip "`1/x` of every element.", square "`x²` of every element.", sin "Sines of radians.", cos "Cosines of radians.",
    tanh "Hyperbolic tangents.", softplus "`log(1+eˣ)` of every element.", relu "`max(x, 0)` of every element; NaN stays NaN.",
    erf "The error function of every element.", floor "Rounds down.", ceil "Rounds up.");

macro_rules! binary_methods {
    ($($method:ident $expr:expr, $doc:literal);*) => {
        impl Tensor { $(
            #[doc = $doc]
            ///
            /// # Errors
            /// [`Error::Shape`](crate::Error::Shape) if the shapes do not broadcast; [`Error::DType`](crate::Error::DType) if the types differ.
            #[track_caller]
            pub fn $method(&self, other: &Tensor) -> Result<Tensor> {
                let f: fn(&Expr, &Expr) -> Expr = $expr;
                map1(&[self, other], |e| f(&e[0], &e[1]))
            }
        )* }
    };
}
binary_methods!(add |a, b| a + b, "Sums, with broadcasting."; sub |a, b| a - b, "Differences, with broadcasting.";
    mul |a, b| a * b, "Products, with broadcasting."; div |a, b| a / b, "Quotients, with broadcasting.";
    pow |a, b| a.pow(b), "Powers, with broadcasting."; maximum |a, b| a.max(b), "The larger of two, with broadcasting; a tie's gradient goes to `self`.";
    minimum |a, b| a.min(b), "The smaller of two, with broadcasting; a tie's gradient goes to `self`.";
    eq |a, b| a.eq(b), "`u32` 1 where equal, else 0."; ne |a, b| a.ne(b), "`u32` 1 where not equal, else 0.";
    lt |a, b| a.lt(b), "`u32` 1 where less, else 0."; le |a, b| a.le(b), "`u32` 1 where less or equal, else 0.";
    gt |a, b| a.gt(b), "`u32` 1 where greater, else 0."; ge |a, b| a.ge(b), "`u32` 1 where greater or equal, else 0.");

impl Tensor {
    /// The negative of every element.
    ///
    /// # Errors
    /// [`Error::DType`](crate::Error::DType) for unsigned numbers.
    #[track_caller]
    pub fn neg(&self) -> Result<Tensor> {
        map1(&[self], |e| -&e[0])
    }

    /// `1/(1+e⁻ˣ)` of every element. A crossentropy on it goes back to the logits.
    ///
    /// # Errors
    /// [`Error::DType`](crate::Error::DType) if this is no float.
    #[track_caller]
    pub fn sigmoid(&self) -> Result<Tensor> {
        Ok(map1(&[self], |e| e[0].sigmoid())?.with_logits(crate::tensor::Squash::Sigmoid, self))
    }

    /// Every element plus a number. The number is part of the program: for one that changes from step to step, use a tensor.
    ///
    /// # Errors
    /// None for a tensor that is valid.
    #[track_caller]
    pub fn add_scalar(&self, number: f64) -> Result<Tensor> {
        map1(&[self], |e| &e[0] + number)
    }

    /// Every element times a number. The number is part of the program: for one that changes from step to step, use a tensor.
    ///
    /// # Errors
    /// None for a tensor that is valid.
    #[track_caller]
    pub fn mul_scalar(&self, number: f64) -> Result<Tensor> {
        map1(&[self], |e| &e[0] * number)
    }

    /// `yes` where this (`u32`) is not 0, else `no`; all broadcast.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::DType`](crate::Error::DType).
    #[track_caller]
    pub fn select(&self, yes: &Tensor, no: &Tensor) -> Result<Tensor> {
        map1(&[self, yes, no], |e| e[0].select(&e[1], &e[2]))
    }

    /// The elements as another type: floats to whole numbers toward zero, f32 to the nearest f16, where what is beyond 65504 is infinite.
    ///
    /// # Errors
    /// [`Error::DType`](crate::Error::DType) to `u8`, and between f64 and other floats.
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Result<Tensor> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        if dtype.is_float() && self.dtype().is_float() && (dtype == DType::F64 || self.dtype() == DType::F64) {
            return Err(crate::Error::dtype("cast", self.dtype().to_string(), format!("{dtype}; make the tensor in that type")));
        }
        if !self.device().stores(dtype) {
            return Err(crate::Error::dtype(
                "cast",
                format!("f32 on {}", self.device()),
                format!("{dtype}, which this device does not have"),
            ));
        }
        let y = map1(&[self], |e| e[0].cast(dtype))?;
        match self.value.logits.get() {
            Some((squash, logits)) if dtype.is_float() => Ok(y.with_logits(*squash, &logits.cast(dtype)?)),
            _ => Ok(y),
        }
    }

    /// `u32` 1 where an element is neither NaN nor infinite.
    ///
    /// # Errors
    /// [`Error::DType`](crate::Error::DType) if this is no float.
    #[track_caller]
    pub fn is_finite(&self) -> Result<Tensor> {
        map1(&[self], |e| e[0].is_finite())
    }

    /// The same elements, stretched to a larger shape.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if it does not stretch to it.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if shape == *self.shape() {
            return Ok(self.clone());
        }
        one(map_to(&[self], Some(shape), |e| vec![e[0].clone()])?)
    }

    /// A tensor of one value.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory); [`Error::DType`](crate::Error::DType) for f64 on a GPU.
    pub fn full(device: &Device, shape: impl Into<Shape>, dtype: DType, value: f64) -> Result<Tensor> {
        let spec = Spec::new(shape, dtype);
        let one: Vec<u8> = match dtype {
            DType::F16 => half::f16::from_f64(value).to_ne_bytes().to_vec(),
            DType::F32 => (value as f32).to_ne_bytes().to_vec(),
            DType::F64 => value.to_ne_bytes().to_vec(),
            DType::U32 => (value as u32).to_ne_bytes().to_vec(),
            DType::I32 => (value as i32).to_ne_bytes().to_vec(),
            DType::U8 => vec![value as u8],
        };
        let storage = device.upload(&spec, &one.repeat(spec.shape.elements()))?;
        Ok(Tensor::stored(device, spec, storage))
    }

    /// f32 zeros.
    ///
    /// # Errors
    /// As [`Tensor::full`].
    pub fn zeros(device: &Device, shape: impl Into<Shape>) -> Result<Tensor> {
        Tensor::full(device, shape, DType::F32, 0.0)
    }

    /// Ones of this shape and type; the value of this tensor is not needed for it.
    ///
    /// # Errors
    /// As [`Tensor::full`].
    #[track_caller]
    pub fn ones_like(&self) -> Result<Tensor> {
        self.filled_like(1.0)
    }

    /// Zeros of this shape and type.
    ///
    /// # Errors
    /// As [`Tensor::full`].
    #[track_caller]
    pub fn zeros_like(&self) -> Result<Tensor> {
        self.filled_like(0.0)
    }

    fn filled_like(&self, value: f64) -> Result<Tensor> {
        let scalar = Tensor::full(self.device(), [], self.dtype(), value)?;
        scalar.broadcast_to(self.shape())
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident),*) => { $(
        impl std::ops::$trait<&Tensor> for &Tensor {
            type Output = Result<Tensor>;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Result<Tensor> { Tensor::$method(self, other) }
        }
        impl std::ops::$trait<&Tensor> for Tensor {
            type Output = Result<Tensor>;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Result<Tensor> { Tensor::$method(&self, other) }
        }
        impl std::ops::$trait<Tensor> for &Tensor {
            type Output = Result<Tensor>;
            #[track_caller]
            fn $method(self, other: Tensor) -> Result<Tensor> { Tensor::$method(self, &other) }
        }
        impl std::ops::$trait<Tensor> for Tensor {
            type Output = Result<Tensor>;
            #[track_caller]
            fn $method(self, other: Tensor) -> Result<Tensor> { Tensor::$method(&self, &other) }
        }
    )* };
}
operators!(Add add, Sub sub, Mul mul, Div div);
