//! What must be sendable is, and the compiler can tell so in a user's crate within its default recursion limit.

use gradus::models::Sequential;
use gradus::optimizers::{Adam, Optimizer};
use gradus::{Device, Tensor, Variable};

fn shareable<T: Send + Sync>() {}

#[test]
fn handles_can_be_sent_and_shared() {
    shareable::<Device>();
    shareable::<Tensor>();
    shareable::<Variable>();
    shareable::<Sequential>();
    shareable::<Adam>();
    shareable::<Box<dyn Optimizer>>();
    shareable::<gradus::Program>();
}

#[test]
fn a_model_moves_to_another_thread() {
    let model = Sequential::new().on_device(&Device::cpu());
    let name = std::thread::spawn(move || model.name().to_string()).join().expect("the thread returns");
    assert_eq!(name, "sequential");
}
