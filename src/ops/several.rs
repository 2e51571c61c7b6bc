//! Shaders that read several inputs through one function: `fn element(input: u32, i: u32) -> u32`, where `x0` and `y` are the first two bindings.

use crate::record::op::{Buffer, Shader};

/// Inputs that one dispatch can bind besides its output.
pub(super) const MOST_INPUTS: usize = 7;

/// The shader for these inputs of an op and its output 0, and the buffers that it binds.
pub(super) fn reading(mut shader: Shader, inputs: &[usize]) -> (Shader, Vec<Buffer>) {
    assert!((1..=MOST_INPUTS).contains(&inputs.len()), "{}: {} inputs", shader.name(), inputs.len());
    let mut body = "return x0[i];".to_string();
    for input in 1..inputs.len() {
        shader = shader.binding(input + 1, &format!("x{input}"), "u32", false);
        body = format!("if (input == {input}u) {{ return x{input}[i]; }} {body}");
    }
    let mut buffers: Vec<Buffer> = inputs.iter().map(|&input| Buffer::Input(input)).collect();
    buffers.insert(1, Buffer::Output(0));
    (shader.set("INPUTS", inputs.len()).hook("element", &body), buffers)
}
