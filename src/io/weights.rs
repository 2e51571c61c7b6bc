//! A model's weights in a file, with what is needed to go on training where it stopped.

use super::safetensors::{Contents, Entry, decode, encode_header};
use super::{Fault, PartFile};
use crate::error::{Error, Result};
use crate::layers::Layer;
use crate::models::Model;
use crate::shape::Spec;
use crate::suggest;
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

/// The key of a file's metadata under which its [`VERSION`] stands.
const FORMAT: &str = "gradus";
/// Grows when older programs could no longer read what is written.
const VERSION: &str = "1";
/// How the names of what an optimizer keeps begin.
const OPTIMIZER: &str = "optimizer/";
/// How the names of the states of random layers end.
const SEEDS: &str = "/seed_generator_state";
/// So many names are listed in an error.
const LISTED: usize = 8;

impl Model {
    /// Writes its weights to a file in the safetensors format, under the names of their variables (`conv2d/kernel`) and in their order; then the
    /// counters of random layers (`dropout/seed_generator_state`); and if it is compiled and has taken a step, what the optimizer keeps
    /// (`optimizer/adam/iteration`). After [`Model::load_weights`] it trains on to the same bits as if it had never stopped.
    ///
    /// Folders are made as needed. A file that was there is replaced only by a complete one.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built; [`Error::Argument`] if the path does not end in `.safetensors`; [`Error::Io`]; what the device
    /// reports.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save(path.as_ref(), true)
    }

    /// [`Model::save_weights`], with or without what the optimizer keeps.
    pub(crate) fn save(&self, path: &Path, with_optimizer: bool) -> Result<()> {
        check_suffix("save_weights", path)?;
        self.ready()?;
        let kept = Kept::of(self);
        let optimizer: &[Named] = if with_optimizer { &kept.optimizer } else { &[] };
        let all: Vec<&Named> = kept.weights.iter().chain(&kept.seeds).chain(optimizer).collect();
        let specs: Vec<(String, Spec)> = all.iter().map(|(name, v)| (name.clone(), v.spec().clone())).collect();
        let mut file = PartFile::create(path)?;
        file.write(&encode_header(&[(FORMAT, VERSION)], &specs))?;
        for (_, variable) in all {
            file.write(&pollster::block_on(variable.value()?.start_reading()?.bytes())?)?;
        }
        file.keep_as(path)
    }

    /// Replaces its weights by those of a file that [`Model::save_weights`] wrote, or any safetensors file with the same names, shapes and
    /// types, in any order. The counters of random layers and what the optimizer keeps are taken too, where the file has them and they fit;
    /// an optimizer that is not the file's begins anew, and one line on standard error says so.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built; [`Error::Io`]; [`Error::Data`] with the byte of the file for one that is damaged, lacks a
    /// weight, has one that the model lacks, or has one of another shape or type. The model then is as it was.
    pub fn load_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.ready()?;
        let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
        let contents = decode(&bytes).map_err(|fault| fault.of(path))?;
        let takes_optimizer = contents.tensors.iter().any(|entry| entry.name.starts_with(OPTIMIZER));
        if let Some(compiled) = self.compiled().filter(|_| takes_optimizer) {
            let trainable = self.trainable_variables();
            if !trainable.is_empty() {
                compiled.optimizer_mut().build(&trainable)?;
            }
        }
        let kept = Kept::of(self);
        let pairs = pair(&kept, &contents, path).map_err(|fault| fault.of(path))?;
        // All are made before one is assigned, so that too little memory leaves the model as it was.
        let tensors = pairs.iter().map(|(variable, entry)| {
            let storage = variable.device().upload(&entry.spec, &bytes[entry.data.clone()])?;
            Ok(Tensor::stored(variable.device(), entry.spec.clone(), storage))
        });
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        pairs.iter().zip(&tensors).try_for_each(|((variable, _), tensor)| variable.assign(tensor))
    }
}

/// Refuses names that other programs would take for another format.
pub(crate) fn check_suffix(what: &str, path: &Path) -> Result<()> {
    if path.extension().is_some_and(|suffix| suffix == "safetensors") {
        return Ok(());
    }
    Err(Error::argument(format!("{what}: path"), "a file name that ends in .safetensors", path.display()))
}

type Named = (String, Variable);

/// What a model keeps, under the names that it has in a file.
struct Kept {
    weights: Vec<Named>,
    seeds: Vec<Named>,
    optimizer: Vec<Named>,
}

impl Kept {
    fn of(model: &Model) -> Kept {
        let mut taken = HashSet::new();
        let weights = model.variables().into_iter().map(|v| (distinct(v.name(), &mut taken), v)).collect();
        let mut generators = Vec::new();
        seed_generators(model.layers(), "", &mut HashSet::new(), &mut generators);
        let seeds = generators.into_iter().map(|(name, v)| (distinct(name, &mut taken), v)).collect();
        let optimizer = model.compiled().map_or(Vec::new(), |compiled| compiled.optimizer().variables());
        let optimizer = optimizer.into_iter().map(|v| (distinct(format!("{OPTIMIZER}{}", v.name()), &mut taken), v)).collect();
        Kept { weights, seeds, optimizer }
    }
}

/// The name, or with a number after it if another has it: weights of models that were built apart and then put together.
fn distinct(name: String, taken: &mut HashSet<String>) -> String {
    let numbered = |i: usize| match name.strip_suffix(SEEDS) {
        Some(stem) => format!("{stem}_{i}{SEEDS}"),
        None => format!("{name}_{i}"),
    };
    let free = (0..).map(|i| if i == 0 { name.clone() } else { numbered(i) }).find(|name| !taken.contains(name));
    let free = free.expect("more numbers than names");
    taken.insert(free.clone());
    free
}

/// The states of random layers, each once, by the path of its layer.
fn seed_generators(layers: Vec<&dyn Layer>, path: &str, seen: &mut HashSet<usize>, found: &mut Vec<Named>) {
    for layer in layers.into_iter().filter(|layer| seen.insert(layer.base().id())).collect::<Vec<_>>() {
        let path = if path.is_empty() { layer.name() } else { format!("{path}/{}", layer.name()) };
        if let Ok(seeds) = layer.base().seeds() {
            found.push((format!("{path}{SEEDS}"), seeds.state().clone()));
        }
        seed_generators(layer.sublayers(), &path, seen, found);
    }
}

/// Which tensor of the file goes to which variable.
fn pair<'f>(kept: &Kept, contents: &'f Contents, path: &Path) -> Result<Vec<(Variable, &'f Entry)>, Fault> {
    if let Some((_, version)) = contents.metadata.iter().find(|(key, version)| key == FORMAT && version != VERSION) {
        return Err(Fault::new(8, format!("expected version {VERSION} of the file, found {version:?}; a newer gradus wrote it")));
    }
    let by_name: HashMap<&str, &Entry> = contents.tensors.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let mut pairs = Vec::new();
    for (name, variable) in &kept.weights {
        let entry = by_name.get(name.as_str()).copied().ok_or_else(|| missing(name, contents))?;
        same_spec(name, variable, entry)?;
        pairs.push((variable.clone(), entry));
    }
    for (name, variable) in &kept.seeds {
        if let Some(entry) = by_name.get(name.as_str()) {
            same_spec(name, variable, entry)?;
            pairs.push((variable.clone(), *entry));
        }
    }
    let known: HashSet<&str> = kept.weights.iter().map(|(name, _)| name.as_str()).collect();
    let optional = |name: &str| name.starts_with(OPTIMIZER) || name.ends_with(SEEDS);
    if let Some(unknown) = contents.tensors.iter().find(|entry| !known.contains(entry.name.as_str()) && !optional(&entry.name)) {
        let names: Vec<&str> = kept.weights.iter().map(|(name, _)| name.as_str()).collect();
        let near = suggest::did_you_mean(&unknown.name, &names);
        return Err(Fault::new(unknown.at, format!("the model has no weight {:?}{near}", unknown.name)));
    }
    let stored: Vec<&Entry> = contents.tensors.iter().filter(|entry| entry.name.starts_with(OPTIMIZER)).collect();
    if !stored.is_empty() && !kept.optimizer.is_empty() {
        match pair_optimizer(&kept.optimizer, &stored, &by_name) {
            Ok(found) => pairs.extend(found),
            Err(why) => eprintln!("{}: the optimizer begins anew, for the file is of another: {why}", path.display()),
        }
    }
    Ok(pairs)
}

/// All that the optimizer keeps, or why the file has not that.
fn pair_optimizer<'f>(
    own: &[Named],
    stored: &[&'f Entry],
    by_name: &HashMap<&str, &'f Entry>,
) -> Result<Vec<(Variable, &'f Entry)>, String> {
    let found = own.iter().map(|(name, variable)| {
        let entry = by_name.get(name.as_str()).ok_or_else(|| format!("it has no {name}"))?;
        same_spec(name, variable, entry).map_err(|fault| fault.message)?;
        Ok((variable.clone(), *entry))
    });
    let found = found.collect::<Result<Vec<_>, String>>()?;
    match stored.iter().find(|entry| !own.iter().any(|(name, _)| *name == entry.name)) {
        Some(more) => Err(format!("it has {}", more.name)),
        None => Ok(found),
    }
}

fn same_spec(name: &str, variable: &Variable, entry: &Entry) -> Result<(), Fault> {
    if *variable.spec() == entry.spec {
        return Ok(());
    }
    Err(Fault::new(entry.at, format!("{name:?}: expected {}, found {}", variable.spec(), entry.spec)))
}

fn missing(name: &str, contents: &Contents) -> Fault {
    let names: Vec<&str> = contents.tensors.iter().map(|entry| entry.name.as_str()).collect();
    let listed = match &names[..] {
        [] => "none".to_string(),
        [first @ .., _] if first.len() >= LISTED => format!("{}, …", names[..LISTED].join(", ")),
        all => all.join(", "),
    };
    Fault::new(8, format!("the file has no weight {name:?} but {listed}{}", suggest::did_you_mean(name, &names)))
}
