//! One model, written three ways, is one model: the same names, the same weights, the same losses to the last bit.

use gradus::prelude::*;
use gradus::testing::gpu;

/// The course's model for digits.
#[derive(Layers)]
struct Mnist {
    conv1: Conv2D,
    conv2: Conv2D,
    flatten: Flatten,
    hidden: Dense,
    output: Dense,
}

impl Mnist {
    fn new() -> Mnist {
        Mnist {
            conv1: Conv2D::new(32, 3).activation(Relu),
            conv2: Conv2D::new(64, 3).activation(Relu),
            flatten: Flatten::new(),
            hidden: Dense::new(128).activation(Relu),
            output: Dense::new(10).activation(Softmax),
        }
    }
}

impl Subclass for Mnist {
    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        let x = self.conv1.apply(x, cx)?;
        let x = self.conv2.apply(&x, cx)?;
        let x = self.flatten.apply(&x, cx)?;
        let x = self.hidden.apply(&x, cx)?;
        self.output.apply(&x, cx)
    }
}

/// The course's model for CIFAR-100, its convolutions in a list of blocks.
#[derive(Layers)]
struct Cifar {
    blocks: Vec<Block>,
    flatten: Flatten,
    head: Head,
}

#[derive(Layers)]
struct Block {
    conv: Conv2D,
    pool: MaxPooling2D,
}

#[derive(Layers)]
struct Head(Option<Dense>, Dense);

impl Cifar {
    fn new() -> Cifar {
        let block = |filters| Block { conv: Conv2D::new(filters, 3).activation(Relu), pool: MaxPooling2D::new(2) };
        let head = Head(Some(Dense::new(256).activation(Relu)), Dense::new(100).activation(Softmax));
        Cifar { blocks: vec![block(16), block(32)], flatten: Flatten::new(), head }
    }
}

impl Subclass for Cifar {
    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        let mut x = x.clone();
        for block in &self.blocks {
            x = block.pool.apply(&block.conv.apply(&x, cx)?, cx)?;
        }
        x = self.flatten.apply(&x, cx)?;
        if let Some(hidden) = &self.head.0 {
            x = hidden.apply(&x, cx)?;
        }
        self.head.1.apply(&x, cx)
    }
}

fn mnist() -> Result<[Model; 3]> {
    let sequential = Sequential::new()
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(Conv2D::new(64, 3).activation(Relu))
        .add(Flatten::new())
        .add(Dense::new(128).activation(Relu))
        .add(Dense::new(10).activation(Softmax))
        .input([28, 28, 1]);
    let x = Input::new([28, 28, 1]);
    let h = Conv2D::new(32, 3).activation(Relu).on(&x)?;
    let h = Conv2D::new(64, 3).activation(Relu).on(&h)?;
    let h = Flatten::new().on(&h)?;
    let h = Dense::new(128).activation(Relu).on(&h)?;
    let y = Dense::new(10).activation(Softmax).on(&h)?;
    Ok([sequential.into_model(), Model::new([&x], [&y])?, Model::subclass(Mnist::new())])
}

fn cifar() -> Result<[Model; 3]> {
    let sequential = Sequential::new()
        .add(Conv2D::new(16, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(32, 3).activation(Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(256).activation(Relu))
        .add(Dense::new(100).activation(Softmax))
        .input([32, 32, 3]);
    let x = Input::new([32, 32, 3]);
    let h = Conv2D::new(16, 3).activation(Relu).on(&x)?;
    let h = MaxPooling2D::new(2).on(&h)?;
    let h = Conv2D::new(32, 3).activation(Relu).on(&h)?;
    let h = MaxPooling2D::new(2).on(&h)?;
    let h = Flatten::new().on(&h)?;
    let h = Dense::new(256).activation(Relu).on(&h)?;
    let y = Dense::new(100).activation(Softmax).on(&h)?;
    Ok([sequential.into_model(), Model::new([&x], [&y])?, Model::subclass(Cifar::new())])
}

/// Images and labels that follow from their numbers alone.
fn data(count: usize, shape: [usize; 3], classes: usize) -> Result<Data> {
    let pixels = count * shape.iter().product::<usize>();
    let x: Vec<f32> = (0..pixels).map(|i| ((i * 2_654_435_761) % 1009) as f32 / 1008.0).collect();
    let y: Vec<u8> = (0..count).map(|i| (i * 7 % classes) as u8).collect();
    Data::new(Samples::new([&[count], &shape[..]].concat(), &x)?, &y)
}

fn devices(what: &str) -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(gpu(what)).collect()
}

const STEPS: usize = 50;

/// The bits of the losses of each style, and of the weights after the steps.
fn same_bits(models: [Model; 3], data: &Data, batch_size: usize, device: &Device) -> Result<()> {
    let mut seen: Vec<(Vec<u64>, Vec<u32>)> = Vec::new();
    for model in models {
        let mut model = model.on_device(device).seed(11);
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
        let fit = Fit { batch_size, verbose: Verbose::Silent, record_steps: STEPS, steps_per_epoch: Some(STEPS), ..Fit::default() };
        let history = model.fit(data, fit)?;
        assert_eq!(history.step_losses.len(), STEPS);
        assert!(history.step_losses.iter().all(|loss| loss.is_finite()));
        let weights = model.get_weights()?.iter().flatten().map(|w| w.to_bits()).collect();
        seen.push((history.step_losses.iter().map(|loss| loss.to_bits()).collect(), weights));
    }
    let [first, second, third] = &seen[..] else { panic!("three styles") };
    assert!(first.0.windows(2).any(|pair| pair[0] != pair[1]), "a loss that never changes proves nothing");
    assert!(first == second && first == third, "{device}: the styles part");
    Ok(())
}

#[test]
fn mnist_three_ways() -> Result<()> {
    for device in devices("three styles of the model for digits") {
        same_bits(mnist()?, &data(64, [28, 28, 1], 10)?, 8, &device)?;
    }
    Ok(())
}

#[test]
fn cifar_three_ways() -> Result<()> {
    for device in devices("three styles of the model for CIFAR-100") {
        same_bits(cifar()?, &data(320, [32, 32, 3], 100)?, 32, &device)?;
    }
    Ok(())
}

#[test]
fn names_and_counts_are_the_same() -> Result<()> {
    for (models, input, params) in [(mnist()?, [28, 28, 1], 4_738_826), (cifar()?, [32, 32, 3], 325_956)] {
        let mut names: Vec<Vec<String>> = Vec::new();
        for model in models {
            let mut model = model.on_device(&Device::cpu());
            model.build(input)?;
            assert_eq!(model.count_params(), params);
            names.push(model.variables().iter().map(Variable::name).collect());
        }
        assert_eq!(names[0][..2], ["conv2d/kernel", "conv2d/bias"]);
        assert!(names[0] == names[1] && names[0] == names[2], "{names:?}");
    }
    Ok(())
}

#[test]
fn what_the_styles_print() -> Result<()> {
    let [sequential, functional, subclass] = cifar()?.map(|model| model.on_device(&Device::cpu()));
    let mut texts = Vec::new();
    for mut model in [sequential, functional, subclass] {
        model.build([32, 32, 3])?;
        texts.push(model.summary()?);
    }
    let rows = |text: &str| text.lines().skip(1).map(str::to_string).collect::<Vec<_>>();
    assert_eq!(rows(&texts[0]), rows(&texts[2]), "a subclass shows what a stack shows");
    assert!(texts[1].contains("│ input_layer (InputLayer)             │ (None, 32, 32, 3)           │               0 │"), "{}", texts[1]);
    assert!(texts[0].contains("│ conv2d (Conv2D)                      │ (None, 30, 30, 16)          │             448 │"), "{}", texts[0]);
    assert_eq!(texts[2].lines().next(), Some("Model: \"cifar\""));
    Ok(())
}
