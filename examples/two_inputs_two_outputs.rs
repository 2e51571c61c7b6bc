//! A model with two inputs and two outputs: two digits are read by the same layers, and their sum and the larger of them are told.
//!
//! `cargo run --release --example two_inputs_two_outputs -- --help` lists the options.

#[path = "common/mod.rs"]
mod common;

use anyhow::Result;
use common::Options;
use gradus::data::Dataset;
use gradus::prelude::*;

fn main() -> Result<()> {
    let options = Options::from_args("Two digits in; their sum and which is larger out.", 5, 32)?;
    let device = options.device()?;
    let data = options.digits(20_000);

    // One layer that is put on two inputs is one layer: it has its weights once.
    let shape = data.train.shape;
    let (left, right) = (Input::named("left", shape), Input::named("right", shape));
    let reader = Sequential::new()
        .add(Rescaling::new(1.0 / 255.0))
        .add(Conv2D::new(8, 3).strides(2).activation("relu"))
        .add(Flatten::new())
        .add(Dense::new(32).activation("relu"))
        .named("reader");
    let both = Concatenate::new().on([reader.on(&left)?, reader.on(&right)?])?;
    let x = Dense::new(64).activation("relu").on(&both)?;
    let sum = Dense::new(19).activation("softmax").named("sum").on(&x)?;
    let larger = Dense::new(1).activation("sigmoid").named("larger").on(&x)?;
    let mut model = Model::new([left, right], [sum, larger])?.seed(options.seed).on_device(&device);

    let compile = Compile::new("adam", [("sum", "sparse_categorical_crossentropy"), ("larger", "binary_crossentropy")])
        .loss_weights([1.0, 0.5])
        .metrics([("sum", "accuracy"), ("larger", "accuracy")]);
    model.compile_with(compile)?;
    println!("{}", model.summary()?);

    model.fit(pairs(&data.train)?, options.fit())?;
    let test = pairs(&data.test)?;
    println!("\ntest  {}", model.evaluate(&test)?);

    let shown = test.take(5);
    let [sums, larger] = &model.predict_all(&shown.x, 32)?[..] else { anyhow::bail!("two outputs give two predictions") };
    for (i, digits) in data.test.labels.chunks_exact(2).take(5).enumerate() {
        let sum = (0..19).fold(0, |best, k| if sums[[i, k]] > sums[[i, best]] { k } else { best });
        let percent = 100.0 * larger[[i, 0]];
        println!("{} and {}: the sum is {sum}; the left one is larger with {percent:.0} %", digits[0], digits[1]);
    }
    Ok(())
}

/// Each two digits as one sample, with the sum of the two and whether the left one is larger.
fn pairs(digits: &Dataset) -> Result<Data> {
    let count = digits.len() / 2;
    let side = |which: usize| {
        let images: Vec<u8> = (0..count).flat_map(|i| digits.image(2 * i + which)).copied().collect();
        Samples::new([&[count], &digits.shape[..]].concat(), &images)
    };
    let labels = digits.labels.chunks_exact(2);
    let sums: Vec<u8> = labels.clone().map(|pair| pair[0] + pair[1]).collect();
    let larger: Vec<f32> = labels.map(|pair| if pair[0] > pair[1] { 1.0 } else { 0.0 }).collect();
    let sums = Samples::new([count], &sums)?;
    Ok(Data::new([("left", side(0)?), ("right", side(1)?)], [("sum", sums), ("larger", Samples::new([count, 1], &larger)?)])?)
}
