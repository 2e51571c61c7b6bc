//! Work on its way to the adapter: what is recorded, what is submitted, what is waited for.
//!
//! A submission costs the host tens of microseconds however little is in it, and the first commands after a long wait cost several times those
//! that follow. So programs that run one after another share a submission: more of them, the shorter they are.

use super::Faults;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::tensor::lock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Longer than any submission may take. A wait that passes it means that the driver hangs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Submissions that may wait in the queue; more would only add latency and memory.
const IN_FLIGHT: usize = 3;

/// Host writes that may wait for a submission; drivers keep a staging copy of each.
const MOST_WRITES: usize = 64;

/// Bytes of host writes that may lie beside what is recorded.
const MOST_STAGED: u64 = 16 << 20;

/// Dispatches of one submission: by then its own cost is small beside theirs.
const MOST_DISPATCHES: usize = 512;

/// A program that comes so long after the queue was busy last is submitted at once: whoever runs one for each picture that is drawn gets an even
/// load.
const QUIET: Duration = Duration::from_millis(10);

/// The way to the adapter. Everything takes effect in the order in which it was asked for, whoever asked.
pub(super) struct Queue {
    device: wgpu::Device,
    queue: wgpu::Queue,
    name: String,
    faults: Arc<Faults>,
    /// The longest that the programs of one submission may take together, unless it is one program.
    budget: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    writes: usize,
    in_flight: VecDeque<Submitted>,
    submissions: u64,
    /// Recorded work that is expected to take so long is submitted: at once while the adapter has nothing to do, then up to the budget ever more,
    /// so that it always has work while the host records as much again.
    allowed: Duration,
    /// Since the end of a submission was noticed last.
    noticed: Option<Stopwatch>,
    /// Since something was submitted or waited for.
    busy: Option<Stopwatch>,
}

/// What is recorded and not submitted.
struct Open {
    encoder: wgpu::CommandEncoder,
    /// The pass that is open in the encoder; it ends before anything else is recorded there.
    pass: Option<wgpu::ComputePass<'static>>,
    dispatches: usize,
    expected: Duration,
    runs: Vec<Run>,
    /// Bytes of host writes among the commands.
    staged: u64,
}

/// One run of a program, and how long it was expected to take.
struct Run {
    cost: Arc<Cost>,
    expected: Duration,
}

struct Submitted {
    number: u64,
    since: Stopwatch,
    index: wgpu::SubmissionIndex,
    runs: Vec<Run>,
}

/// Names a submission to whoever waits for it.
pub(super) struct Ticket {
    number: u64,
    index: wgpu::SubmissionIndex,
}

/// How long a program takes, as far as is known: it decides what shares a submission, and nothing else.
pub(super) struct Cost(AtomicU64);

impl Cost {
    /// Of a program that never ran; it is submitted by itself.
    pub fn unknown() -> Arc<Cost> {
        Arc::new(Cost(AtomicU64::new(u64::MAX)))
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Never zero: what is multiplied must be able to grow.
    fn set(&self, seconds: f64) {
        self.0.store((seconds * 1e9).clamp(1e3, 1e12) as u64, Ordering::Relaxed);
    }
}

impl Queue {
    pub fn new(device: &wgpu::Device, queue: wgpu::Queue, name: &str, software: bool, faults: &Arc<Faults>) -> Queue {
        // A card that also draws the screen draws nothing meanwhile, and its driver resets it after seconds. In a browser, work that is recorded
        // and not submitted could wait for ever.
        let budget = match (cfg!(target_arch = "wasm32"), software) {
            (true, _) => Duration::ZERO,
            (false, true) => Duration::from_millis(500),
            (false, false) => Duration::from_millis(50),
        };
        Queue { device: device.clone(), queue, name: name.to_string(), faults: faults.clone(), budget, state: Mutex::default() }
    }

    /// Records the dispatches of a program, and submits when enough is recorded.
    pub fn run(&self, cost: &Arc<Cost>, dispatches: usize, record: impl FnOnce(&mut wgpu::ComputePass)) -> Result<()> {
        let mut state = lock(&self.state);
        let (allowed, quiet) = (state.allowed, state.busy.is_none_or(|busy| busy.elapsed() >= QUIET));
        let open = state.open(&self.device);
        record(open.pass());
        let expected = cost.get().min(self.budget);
        open.runs.push(Run { cost: cost.clone(), expected });
        open.dispatches += dispatches;
        open.expected += expected;
        if open.expected >= allowed || open.dispatches >= MOST_DISPATCHES || quiet {
            self.submit(state)?;
        }
        Ok(())
    }

    /// Records commands other than dispatches.
    pub fn encode(&self, record: impl FnOnce(&mut wgpu::CommandEncoder)) {
        let mut state = lock(&self.state);
        let open = state.open(&self.device);
        open.pass = None;
        record(&mut open.encoder);
    }

    /// Whether something is recorded and not submitted.
    pub fn is_recording(&self) -> bool {
        lock(&self.state).open.is_some()
    }

    /// Records that the first `length` bytes of an unmapped buffer are copied; the buffer is mapped again when that is done, and handed to `back`.
    pub fn copy_in(
        &self,
        staging: wgpu::Buffer,
        length: u64,
        to: &wgpu::Buffer,
        back: impl FnOnce(wgpu::Buffer) + Send + 'static,
    ) -> Result<()> {
        let mut state = lock(&self.state);
        state.writes += 1;
        let writes = state.writes;
        let open = state.open(&self.device);
        open.pass = None;
        open.encoder.copy_buffer_to_buffer(&staging, 0, to, 0, length);
        let mapped = staging.clone();
        open.encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Write, .., move |result| {
            if result.is_ok() {
                back(mapped);
            }
        });
        open.staged += staging.size();
        if writes >= MOST_WRITES || open.staged >= MOST_STAGED {
            self.submit(state)?;
        }
        self.faults.check()
    }

    /// Writes from the host.
    pub fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<()> {
        let mut state = lock(&self.state);
        if state.open.is_some() {
            // wgpu puts writes before all commands of the next submission, but what is recorded may still have to read what lies there.
            self.submit(state)?;
            state = lock(&self.state);
        }
        let whole = bytes.len() / 4 * 4;
        if whole > 0 {
            self.queue.write_buffer(buffer, 0, &bytes[..whole]);
        }
        if whole < bytes.len() {
            let mut word = [0; 4];
            word[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            self.queue.write_buffer(buffer, whole as u64, &word);
        }
        state.writes += 1;
        if state.writes >= MOST_WRITES {
            self.submit(state)?;
        }
        self.faults.check()
    }

    /// Submissions so far.
    pub fn submissions(&self) -> u64 {
        lock(&self.state).submissions
    }

    /// Submits what is recorded and written.
    pub fn flush(&self) -> Result<Ticket> {
        self.submit(lock(&self.state))
    }

    /// Submits, keeps the queue short, and lets wgpu clean up.
    fn submit(&self, mut state: MutexGuard<State>) -> Result<Ticket> {
        state.writes = 0;
        let (mut commands, mut runs) = (None, Vec::new());
        if let Some(mut open) = state.open.take() {
            state.allowed = (2 * open.expected).min(self.budget);
            open.pass = None;
            commands = Some(open.encoder.finish());
            runs = open.runs;
        }
        let since = Stopwatch::start();
        let index = self.queue.submit(commands);
        state.busy = Some(since);
        state.submissions += 1;
        let number = state.submissions;
        state.in_flight.push_back(Submitted { number, since, index: index.clone(), runs });
        let oldest = (state.in_flight.len() > IN_FLIGHT).then(|| &state.in_flight[0]);
        let oldest = oldest.map(|s| Ticket { number: s.number, index: s.index.clone() });
        drop(state);
        match &oldest {
            Some(oldest) => self.wait_for(oldest)?,
            None => {
                // Dropped buffers and bind groups are given back to the driver only in a poll.
                let _ = self.device.poll(wgpu::PollType::Poll);
            }
        }
        self.faults.check()?;
        Ok(Ticket { number, index })
    }

    /// Waits until a submission has run, and all before it.
    pub fn wait_for(&self, ticket: &Ticket) -> Result<()> {
        let index = Some(ticket.index.clone());
        let waited = self.device.poll(wgpu::PollType::Wait { submission_index: index, timeout: Some(TIMEOUT) });
        lock(&self.state).finished(ticket.number);
        self.faults.check()?;
        waited.map(|_| ()).map_err(|e| Error::Device(format!("{} did not finish within {} s: {e}", self.name, TIMEOUT.as_secs())))
    }
}

impl State {
    fn open(&mut self, device: &wgpu::Device) -> &mut Open {
        self.open.get_or_insert_with(|| Open {
            encoder: device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()),
            pass: None,
            dispatches: 0,
            expected: Duration::ZERO,
            runs: Vec::new(),
            staged: 0,
        })
    }

    /// Learns from all submissions up to this one how long their programs take.
    fn finished(&mut self, number: u64) {
        let count = self.in_flight.partition_point(|s| s.number <= number);
        let Some(first) = self.in_flight.front().filter(|_| count > 0) else { return };
        let began = first.since.elapsed();
        let time = self.noticed.map_or(began, |noticed| noticed.elapsed().min(began));
        let runs: Vec<Run> = self.in_flight.drain(..count).flat_map(|s| s.runs).collect();
        let expected: Duration = runs.iter().map(|run| run.expected).sum();
        for run in &runs {
            run.cost.set(run.expected.as_secs_f64() * time.as_secs_f64() / expected.as_secs_f64());
        }
        self.noticed = Some(Stopwatch::start());
        self.busy = self.noticed;
        if self.in_flight.is_empty() {
            self.allowed = Duration::ZERO;
        }
    }
}

impl Open {
    fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        self.pass.get_or_insert_with(|| self.encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime())
    }
}
