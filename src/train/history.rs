//! What `fit` returns.

use std::fmt;

/// The losses and metrics of every epoch.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    /// The epochs that ran, counted from 0.
    pub epochs: Vec<usize>,
    /// For each name, in the order of the progress line (`loss`, the metrics, then the same with `val_`), a value per epoch.
    pub logs: Vec<(String, Vec<f64>)>,
    /// The losses of the first steps, as many as [`Fit::record_steps`](super::Fit::record_steps) asked for; each is computed before its step
    /// changes the weights.
    pub step_losses: Vec<f64>,
}

impl History {
    /// The values of one name: `history.get("val_loss")`.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.logs.iter().find(|(n, _)| n == name).map(|(_, values)| values.as_slice())
    }

    /// The newest value of one name.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.get(name)?.last().copied()
    }

    pub(super) fn push(&mut self, epoch: usize, logs: &[(String, f64)]) {
        self.epochs.push(epoch);
        for (name, value) in logs {
            match self.logs.iter_mut().find(|(n, _)| n == name) {
                Some((_, values)) => values.push(*value),
                None => self.logs.push((name.clone(), vec![*value])),
            }
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (i, epoch) in self.epochs.iter().enumerate() {
            let logs: Vec<(String, f64)> = self.logs.iter().filter_map(|(name, v)| Some((name.clone(), *v.get(i)?))).collect();
            writeln!(f, "epoch {}{}", epoch + 1, super::progress::line(&logs))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_in_order() {
        let mut history = History::default();
        history.push(0, &[("loss".into(), 2.0), ("accuracy".into(), 0.5)]);
        history.push(1, &[("loss".into(), 1.0), ("accuracy".into(), 0.75)]);
        assert_eq!(history.get("loss"), Some(&[2.0, 1.0][..]));
        assert_eq!(history.last("accuracy"), Some(0.75));
        assert_eq!(history.get("val_loss"), None);
        assert_eq!(history.to_string(), "epoch 1 - loss: 2.0000 - accuracy: 0.5000\nepoch 2 - loss: 1.0000 - accuracy: 0.7500\n");
    }
}
