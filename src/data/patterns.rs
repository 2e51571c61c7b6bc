//! Drawn things in front of blotchy backgrounds, for machines that have no photographs: they stand in for CIFAR-10, CIFAR-100 and
//! Fashion-MNIST, with their sizes and numbers of classes.
//!
//! A thing is an outline (a disc, a square, …) filled with a texture (plain, striped, …); the two are its group, its hue makes five classes
//! of each group. It is turned, scaled, moved and shaded at random, something smaller of any hue may lie behind it, and the background has
//! colours of its own, so that the mean colour of an image says little about its class: what counts is which colour forms which edges.
//! Of 100 classes, after five epochs with 50,000 images, a linear classifier gets 15 % right and a convolutional net with layers of 16 and
//! 32 filters 78 %; of 10 classes, with 10,000 grey images and four epochs, 38 % and 85 %.
//!
//! The same seed gives the same bytes on every platform and for any number of threads, as in [`digits`](super::digits) and by the same means.

use super::cifar100::Labels;
use super::dataset::{Dataset, Splits};
use super::random::{Random, smooth};
use rayon::prelude::*;

/// Draws `train` and `test` images of `[32, 32, 3]` of ten classes: five outlines, plain or checked, of any hue.
///
/// In each split every class occurs equally often, up to one, in random order. The splits draw from different random streams.
pub fn colour(train: usize, test: usize, seed: u64) -> Splits {
    let class = |outline, texture| Class { outline, texture, hue: None };
    generate(32, 3, &every(OUTLINES.len(), &[PLAIN, CHECKED], class), (train, test), seed)
}

/// Draws `train` and `test` images of `[32, 32, 3]` of 100 classes, or of the 20 groups of them.
///
/// A group is an outline with a texture; its five classes differ in hue. A seed draws the same images with both kinds of labels.
/// In each split every class occurs equally often, up to one, in random order. 50,000 images take about 2 s on one core.
pub fn colour100(train: usize, test: usize, labels: Labels, seed: u64) -> Splits {
    let groups = every(OUTLINES.len(), &[PLAIN, STRIPED, CHECKED, DOTTED], |outline, texture| (outline, texture));
    let classes = groups.iter().flat_map(|&(outline, texture)| (0..HUES.len()).map(move |hue| Class { outline, texture, hue: Some(hue) }));
    let fine = generate(32, 3, &classes.collect::<Vec<Class>>(), (train, test), seed);
    match labels {
        Labels::Fine => fine,
        Labels::Coarse => Splits { train: grouped(fine.train, &groups), test: grouped(fine.test, &groups) },
    }
}

/// Draws `train` and `test` images of `[28, 28, 1]` of ten classes: five outlines, plain or checked.
///
/// In each split every class occurs equally often, up to one, in random order. The splits draw from different random streams.
pub fn grey(train: usize, test: usize, seed: u64) -> Splits {
    let class = |outline, texture| Class { outline, texture, hue: None };
    generate(28, 1, &every(OUTLINES.len(), &[PLAIN, CHECKED], class), (train, test), seed)
}

/// What an image shows.
#[derive(Clone, Copy)]
struct Class {
    /// Places in [`OUTLINES`] and [`TEXTURES`].
    outline: usize,
    texture: usize,
    /// A place in [`HUES`], or any hue.
    hue: Option<usize>,
}

/// How deep a point lies inside an outline that reaches about 1 from the origin; negative outside.
type Outline = fn(f32, f32) -> f32;

/// How much of the second colour a point has, 0 to 1.
type Texture = fn(f32, f32) -> f32;

const OUTLINES: [(&str, Outline); 5] = [
    ("disc", |x, y| 0.95 - length(x, y)),
    ("square", |x, y| 0.82 - x.abs().max(y.abs())),
    // With its tip at (0, -1), and a base that is as wide as the triangle is high.
    ("triangle", |x, y| (0.75 - y).min(0.894 * (0.5 * (y + 1.0) - 0.9 * x.abs()))),
    ("ring", |x, y| 0.27 - (length(x, y) - 0.7).abs()),
    ("cross", |x, y| (0.36 - x.abs()).min(1.0 - y.abs()).max((1.0 - x.abs()).min(0.36 - y.abs()))),
];

const TEXTURES: [(&str, Texture); 4] = [
    ("plain", |_, _| 0.0),
    ("striped", |_, y| edge(wave(y) - 0.5)),
    ("checked", |x, y| edge((wave(x) - 0.5) * (wave(y) - 0.5) * 4.0)),
    ("dotted", |x, y| edge(0.62 - length(1.0 - wave(x), 1.0 - wave(y)))),
];
const PLAIN: usize = 0;
const STRIPED: usize = 1;
const CHECKED: usize = 2;
const DOTTED: usize = 3;

/// Positions on the circle of hues, whose circumference is 1.
const HUES: [(&str, f32); 5] = [("red", 0.0), ("yellow", 0.16), ("green", 0.36), ("blue", 0.6), ("violet", 0.8)];

/// Standard deviation of a thing's hue around that of its class: neighbouring classes hardly overlap.
const HUE_SPREAD: f32 = 0.03;

impl Class {
    fn name(self) -> String {
        let hue = self.hue.map_or_else(String::new, |hue| format!("{} ", HUES[hue].0));
        hue + &group_name(self.outline, self.texture)
    }
}

fn group_name(outline: usize, texture: usize) -> String {
    format!("{} {}", TEXTURES[texture].0, OUTLINES[outline].0)
}

/// All pairs of outline and texture.
fn every<T>(outlines: usize, textures: &[usize], pair: impl Fn(usize, usize) -> T) -> Vec<T> {
    (0..outlines).flat_map(|outline| textures.iter().map(move |&texture| (outline, texture))).map(|(o, t)| pair(o, t)).collect()
}

/// The same images, labelled with their groups.
fn grouped(fine: Dataset, groups: &[(usize, usize)]) -> Dataset {
    Dataset {
        labels: fine.labels.iter().map(|label| label / HUES.len() as u8).collect(),
        classes: groups.len(),
        class_names: groups.iter().map(|&(outline, texture)| group_name(outline, texture)).collect(),
        ..fine
    }
}

fn generate(side: usize, channels: usize, classes: &[Class], (train, test): (usize, usize), seed: u64) -> Splits {
    let split = |count: usize, which: u64| {
        let mut labels: Vec<u8> = (0..count).map(|i| (i % classes.len()) as u8).collect();
        Random::stream(seed, which, u64::MAX).shuffle(&mut labels);
        let size = side * side * channels;
        let mut images = vec![0; count * size];
        images.par_chunks_exact_mut(size).zip(&labels).enumerate().for_each(|(i, (image, &label))| {
            draw(classes[usize::from(label)], side, channels, &mut Random::stream(seed, which, i as u64), image);
        });
        Dataset {
            images,
            shape: [side, side, channels],
            labels,
            classes: classes.len(),
            class_names: classes.iter().map(|class| class.name()).collect(),
            source: format!("generated patterns (seed {seed})"),
        }
    };
    Splits { train: split(train, 0), test: split(test, 1) }
}

fn draw(class: Class, side: usize, channels: usize, random: &mut Random, image: &mut [u8]) {
    // Without hues a thing would be lost in a bright background.
    let brightest = if channels == 1 { 0.4 } else { 0.9 };
    let background = Background::random(brightest, random);
    let distractor = Thing::random(random.below(OUTLINES.len()), PLAIN, random.range(0.0, 1.0), random.range(0.15, 0.3), random);
    let hue = match class.hue {
        Some(hue) => HUES[hue].1 + HUE_SPREAD * random.bell(),
        None => random.range(0.0, 1.0),
    };
    let mut thing = Thing::random(class.outline, class.texture, hue, random.range(0.56, 0.84), random);
    if channels == 1 {
        // Pale on bright cannot be seen without colours.
        thing.colours[1] = thing.colours[0].map(|value| 0.3 * value);
    }
    let noise = random.range(8.0, 40.0);
    let pixel = 2.0 / side as f32;
    for (i, bytes) in image.chunks_exact_mut(channels).enumerate() {
        // Coordinates from -1 to 1.
        let (x, y) = (((i % side) as f32 + 0.5) * pixel - 1.0, ((i / side) as f32 + 0.5) * pixel - 1.0);
        let mut colour = background.at(x, y);
        distractor.paint(x, y, pixel, &mut colour);
        thing.paint(x, y, pixel, &mut colour);
        let grain = random.uniform3();
        if channels == 1 {
            // The brightest of the channels, not their mean: blue things are as bright as yellow ones.
            let level = colour[0].max(colour[1]).max(colour[2]);
            colour = [level; 3];
        }
        for ((byte, value), grain) in bytes.iter_mut().zip(colour).zip(grain) {
            *byte = (255.0 * value + noise * (grain - 0.5)).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Red, green and blue, 0 to 1.
type Colour = [f32; 3];

/// Nodes along each axis of the grid of blotches.
const NODES: usize = 4;

/// Two colours that pass into each other in blotches.
struct Background {
    colours: [Colour; 2],
    /// The part of the second colour at the nodes of a grid.
    nodes: [[f32; NODES]; NODES],
}

impl Background {
    fn random(brightest: f32, random: &mut Random) -> Background {
        let mut colour = || hsv(random.range(0.0, 1.0), random.range(0.0, 0.9), random.range(0.1, brightest));
        let colours = [colour(), colour()];
        let nodes = [(); NODES].map(|()| [(); NODES].map(|()| random.range(0.0, 1.0)));
        Background { colours, nodes }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let node = |v: f32| (0.5 * v + 0.5) * (NODES - 1) as f32;
        let (u, v) = (node(x), node(y));
        let (column, row) = ((u as usize).min(NODES - 2), (v as usize).min(NODES - 2));
        let (s, t) = (smooth(u - column as f32), smooth(v - row as f32));
        let along = |row: usize| self.nodes[row][column] + s * (self.nodes[row][column + 1] - self.nodes[row][column]);
        let (upper, lower) = (along(row), along(row + 1));
        mix(self.colours[0], self.colours[1], upper + t * (lower - upper))
    }
}

/// An outline with its texture, in its place.
struct Thing {
    outline: Outline,
    texture: Texture,
    colours: [Colour; 2],
    /// From the image's coordinates to the outline's: turn and scale, after the centre was moved to the origin.
    matrix: [[f32; 2]; 2],
    centre: [f32; 2],
    radius: f32,
    /// How many waves of the texture there are to a unit, and where they begin.
    waves: f32,
    phase: [f32; 2],
}

impl Thing {
    fn random(outline: usize, texture: usize, hue: f32, radius: f32, random: &mut Random) -> Thing {
        // The rational parametrisation of the circle: with t = tan(angle / 2) cosine and sine need no trigonometry.
        let t = random.range(-0.17, 0.17);
        let (cos, sin) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
        let stretch = random.range(0.85, 1.15);
        let scale = [1.0 / (radius * stretch), stretch / radius];
        let room = 1.05 - radius;
        let bright = random.range(0.65, 1.0);
        let second =
            if random.below(2) == 0 { hsv(hue, random.range(0.7, 1.0), 0.3 * bright) } else { hsv(hue, random.range(0.1, 0.25), 1.0) };
        Thing {
            outline: OUTLINES[outline].1,
            texture: TEXTURES[texture].1,
            colours: [hsv(hue, random.range(0.65, 1.0), bright), second],
            matrix: [[cos * scale[0], sin * scale[0]], [-sin * scale[1], cos * scale[1]]],
            centre: [random.range(-room, room), random.range(-room, room)],
            radius,
            waves: random.range(1.3, 1.7),
            phase: [random.range(0.0, 1.0), random.range(0.0, 1.0)],
        }
    }

    /// Paints over the colour of the point (x, y) where the thing is; `pixel` is the width over which its edge is soft.
    fn paint(&self, x: f32, y: f32, pixel: f32, colour: &mut Colour) {
        let (x, y) = (x - self.centre[0], y - self.centre[1]);
        let [[xx, xy], [yx, yy]] = self.matrix;
        let (x, y) = (xx * x + xy * y, yx * x + yy * y);
        let coverage = ((self.outline)(x, y) * self.radius / pixel + 0.5).clamp(0.0, 1.0);
        if coverage > 0.0 {
            let part = (self.texture)(self.waves * x + self.phase[0], self.waves * y + self.phase[1]);
            *colour = mix(*colour, mix(self.colours[0], self.colours[1], part), coverage);
        }
    }
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// From 1 at every whole number linearly to 0 halfway between.
fn wave(t: f32) -> f32 {
    (2.0 * (t - t.floor()) - 1.0).abs()
}

/// A soft step at 0.
fn edge(t: f32) -> f32 {
    (3.0 * t + 0.5).clamp(0.0, 1.0)
}

fn mix(a: Colour, b: Colour, part: f32) -> Colour {
    [0, 1, 2].map(|i| a[i] + part * (b[i] - a[i]))
}

/// The colour of a hue (on a circle of circumference 1), a saturation and a brightness.
fn hsv(hue: f32, saturation: f32, brightness: f32) -> Colour {
    let hue = 6.0 * (hue - hue.floor());
    let pure = [(hue - 3.0).abs() - 1.0, 2.0 - (hue - 2.0).abs(), 2.0 - (hue - 4.0).abs()];
    pure.map(|value| brightness * (1.0 - saturation * (1.0 - value.clamp(0.0, 1.0))))
}
