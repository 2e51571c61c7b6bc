//! `Fused`: another operation with an expression that works on its results before they leave the kernel.
//!
//! On the CPU the kernel hands over each part of its output while it is in cache; on a GPU the expression stands in the kernel's `put`. So a
//! bias, an activation, a mask or an optimizer's update costs no pass over memory of its own.

use super::Pointwise;
use super::cpu::{Handed, Job};
use super::gpu::{self, MOST_BUFFERS, Tensors};
use crate::device::cpu::{Epilogue, Region};
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op};
use crate::shape::{DType, Shape, Spec};
use crate::tensor::Tensor;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Inputs: those of the main operation, then those of the expression but for the product. Outputs: the expression's, then those of the main
/// operation but for the product.
pub(crate) struct Fused {
    main: Arc<dyn Op>,
    inputs: usize,
    expression: Pointwise,
    /// Which input of the expression is the product: the main operation's first output.
    product: usize,
}

impl fmt::Debug for Fused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}/{} then {:?} of {}", self.main, self.inputs, self.expression, self.product)
    }
}

impl Fused {
    /// `main` takes `inputs` inputs; its first output has the elements of the expression's outputs.
    pub fn new(main: Arc<dyn Op>, inputs: usize, expression: Pointwise, product: usize) -> Fused {
        assert!(main.takes_epilogue(), "{}: it hands nothing over", main.name());
        Fused { main, inputs, expression, product }
    }

    /// What the main operation gives for these inputs, and its product as the expression sees it: with the shape of its outputs.
    fn made(&self, inputs: &[Spec], shape: &Shape) -> Result<(Vec<Spec>, Spec)> {
        let made = self.main.infer(&inputs[..self.inputs])?;
        let seen = Spec::new(shape.clone(), made[0].dtype);
        assert_eq!(made[0].shape.elements(), shape.elements(), "{}: an expression of another size", self.main.name());
        Ok((made, seen))
    }

    /// The expression's inputs in its order, of which `product` is one.
    fn arrange<T: Clone>(&self, inputs: &[T], product: T) -> Vec<T> {
        let mut all = inputs[self.inputs..].to_vec();
        all.insert(self.product, product);
        all
    }

    /// The input of the expression that is input `i` of this operation.
    fn inside(&self, i: usize) -> usize {
        let extra = i - self.inputs;
        extra + usize::from(extra >= self.product)
    }

    /// Bytes of memory of its own that the CPU needs: the product's, where no output can hold it until it is overwritten.
    pub fn scratch(&self, inputs: &[Spec], outputs: &[Spec], in_place: &[Option<usize>]) -> Option<usize> {
        let (made, seen) = self.made(inputs, &outputs[0].shape).expect("infer accepted these inputs");
        home(&seen, &outputs[..self.expression.output_count()], in_place).is_none().then(|| made[0].bytes())
    }
}

/// The output whose memory can hold the product until the expression's value takes its place.
fn home(product: &Spec, outputs: &[Spec], in_place: &[Option<usize>]) -> Option<usize> {
    (0..outputs.len()).find(|&j| in_place[j].is_none() && outputs[j] == *product)
}

impl Op for Fused {
    fn name(&self) -> &'static str {
        self.main.name()
    }

    fn label(&self) -> String {
        format!("{} + {}", self.main.label(), self.expression.name())
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let shape = self.expression.shape.clone().expect("a fused expression states its shape");
        let (mut made, seen) = self.made(inputs, &shape)?;
        let mut outputs = self.expression.infer(&self.arrange(inputs, seen))?;
        outputs.extend(made.drain(1..));
        Ok(outputs)
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        unreachable!("{}: operations are fused when a program is compiled, after all gradients were taken", cx.outputs.len())
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let specs: Vec<Spec> = (0..args.input_count()).map(|i| args.input_spec(i).clone()).collect();
        let out_specs: Vec<Spec> = (0..args.output_count()).map(|j| args.output_spec(j).clone()).collect();
        let in_place: Vec<Option<usize>> = (0..out_specs.len()).map(|j| args.in_place(j)).collect();
        // Here f16 is seen as f32, also where the main operation itself says what it makes.
        let (made, seen) = self.made(&specs, &out_specs[0].shape)?;
        let [own, seen] = [made[0].clone(), seen].map(|s| Spec { dtype: s.dtype.computed(), ..s });
        let outputs: Vec<Region> = (0..out_specs.len()).map(|j| args.take_output(j)).collect();
        let taken = |i: usize| (0..outputs.len()).find(|&j| in_place[j] == Some(i));
        let inputs: Vec<Region> = (0..specs.len()).map(|i| taken(i).map_or_else(|| args.input_region(i), |j| outputs[j])).collect();
        let (outputs, further) = outputs.split_at(self.expression.output_count());
        let home = home(&seen, &out_specs[..outputs.len()], &in_place);
        let memory = home.map(|j| outputs[j].ptr).or(args.scratch()).expect("the planner gave memory for the product");
        let handed = Handed { input: self.product, output: home };
        let job = Job::new(&self.expression, &self.arrange(&inputs, Region { ptr: memory, spec: &seen }), outputs, Some(handed));
        let done = AtomicUsize::new(0);
        let apply = |start: usize, part: &mut [u8]| {
            done.fetch_add(part.len(), Ordering::Relaxed);
            job.part(start, part);
        };
        let made: Vec<Region> = std::iter::once(Region { ptr: memory, spec: &own }).chain(further.iter().copied()).collect();
        let fresh = vec![None; made.len()];
        // SAFETY: the regions are this operation's own, of which the caller promised the same; the product's is an output's or the scratch,
        // which nothing else reads or writes but the parts that the kernel hands over, when it no longer uses them. Outputs that took an
        // input over took one of the expression, which the main kernel does not read.
        let mut main = unsafe { CpuArgs::new(&inputs[..self.inputs], &made, &fresh) }.with_epilogue(Epilogue(Some(&apply)));
        self.main.cpu(&mut main)?;
        let done = done.into_inner();
        assert_eq!(done, own.bytes(), "{}: it handed over another number of bytes than it has", self.main.name());
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let specs: Vec<Spec> = (0..launch.input_count()).map(|i| launch.input(i).clone()).collect();
        let (own, seen) = self.made(&specs, launch.output_shape(0))?;
        assert_eq!(own.len(), 1, "{}: only the CPU's kernels have outputs besides the product", self.main.name());
        let mut main = launch.inner(&specs[..self.inputs], &own, &[None]);
        self.main.gpu(&mut main)?;
        let (dispatches, scratch) = launch.end_inner(main);
        let given: Vec<(Buffer, &Spec)> = (0..specs.len()).map(|i| (Buffer::Input(i), launch.input(i))).collect();
        let in_place = (0..launch.output_count()).map(|j| launch.in_place(j).map(|i| self.inside(i))).collect();
        let outputs = (0..launch.output_count()).map(|j| launch.output(j)).collect();
        let most = dispatches.iter().filter(|d| d.buffers.contains(&Buffer::Output(0))).map(|d| d.buffers.len()).max().unwrap_or(0);
        let mut tensors = Tensors { prefix: "in", inputs: self.arrange(&given, (Buffer::Output(0), &seen)), outputs, in_place };
        // The kernel no longer binds its output, nor the expression the product.
        let too_many = most + tensors.buffers() > MOST_BUFFERS + 2;
        // Bytes are handed over four at a time.
        let apart = too_many || (own[0].dtype == DType::U8 && !tensors.in_fours());
        if apart {
            tensors.inputs[self.product].0 = launch.scratch(own[0].shape.elements());
        }
        for mut dispatch in dispatches {
            let last = dispatch.buffers.contains(&Buffer::Output(0));
            for buffer in &mut dispatch.buffers {
                match *buffer {
                    Buffer::Output(_) if apart => *buffer = tensors.inputs[self.product].0,
                    Buffer::Scratch(k) => *buffer = scratch[k],
                    _ => {}
                }
            }
            if last && !apart {
                dispatch = gpu::attach(&self.expression, &tensors, self.product, dispatch)?;
            }
            launch.push(dispatch);
        }
        if apart { gpu::alone(&self.expression, &tensors, launch) } else { Ok(()) }
    }

    fn may_overwrite(&self, inputs: &[Spec], output: usize) -> Vec<usize> {
        let Ok(outputs) = self.infer(inputs) else { return Vec::new() };
        let own = output < self.expression.output_count();
        (self.inputs..inputs.len()).filter(|&i| own && inputs[i] == outputs[output]).collect()
    }
}
