//! Other engines, as commands that somebody else installed.

use super::job::Mode;
use anyhow::{Context, Result};
use std::process::Command;

/// A command that trains or asks model M or C and prints a row.
#[derive(Clone, PartialEq, Debug)]
pub struct Peer {
    pub name: String,
    /// What of ours it is compared with.
    pub device: String,
    /// `None` if nobody said how to run it.
    pub command: Option<String>,
}

/// Peers that are missing if they have no command.
pub const KNOWN: [&str; 4] = ["keras", "torch", "burn-flex", "burn-wgpu"];

const PREFIX: &str = "GRADUS_PEER_";

impl Peer {
    /// A command may begin with `@DEVICE`.
    pub fn new(name: &str, command: Option<&str>) -> Peer {
        let usual = if name == "burn-wgpu" { "gpu" } else { "cpu" };
        let command = command.map(str::trim).filter(|c| !c.is_empty());
        let (device, command) = match command.and_then(|c| c.strip_prefix('@')).and_then(|c| c.split_once(' ')) {
            Some((device, command)) => (device, Some(command.trim())),
            None => (usual, command),
        };
        Peer { name: name.into(), device: device.into(), command: command.map(String::from) }
    }

    /// The known ones, and those that the environment names.
    pub fn all(environment: impl Iterator<Item = (String, String)>) -> Vec<Peer> {
        let mut peers: Vec<Peer> = KNOWN.iter().map(|name| Peer::new(name, None)).collect();
        for (key, command) in environment {
            let Some(name) = key.strip_prefix(PREFIX) else { continue };
            let peer = Peer::new(&name.to_lowercase().replace('_', "-"), Some(&command));
            match peers.iter_mut().find(|known| known.name == peer.name) {
                Some(known) => *known = peer,
                None => peers.push(peer),
            }
        }
        peers
    }

    /// The variable that holds its command.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// The command's text for a row.
    ///
    /// # Errors
    /// If it is missing.
    pub fn text(&self, mode: Mode, model: &str, batch: usize) -> Result<String> {
        let command = self.command.as_deref().with_context(|| format!("{} is not set", self.variable()))?;
        let mode = if mode == Mode::Predict { "infer" } else { mode.name() };
        let filled = command.replace("{mode}", mode).replace("{model}", model).replace("{batch}", &batch.to_string());
        let filled = filled.replace("{device}", &self.device);
        Ok(if filled == command { format!("{command} {mode} {model} {batch}") } else { filled })
    }

    /// The command for a row, through the system's shell.
    ///
    /// # Errors
    /// If it is missing.
    pub fn run(&self, mode: Mode, model: &str, batch: usize) -> Result<Command> {
        let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
        let mut command = Command::new(shell);
        command.arg(flag).arg(self.text(mode, model, batch)?);
        Ok(command)
    }
}
