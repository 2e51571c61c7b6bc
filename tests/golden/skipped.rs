//! Cases that are not run, each with its reason: a case that is neither run nor listed fails, and so does a listed one that could be run.

use super::reader::{Case, File};

/// Cases of one file that share a reason.
pub struct Skipped {
    pub reason: &'static str,
    pub cases: &'static [&'static str],
}

/// Which cases of a file to run.
///
/// # Panics
/// If a case is neither runnable nor listed, listed and runnable, listed twice, or listed and not there.
pub fn cases_to_run<'a>(file: &'a File, skipped: &[Skipped], runnable: impl Fn(&Case) -> bool) -> Vec<&'a Case> {
    let listed: Vec<&str> = skipped.iter().flat_map(|s| s.cases.iter().copied()).collect();
    for (i, name) in listed.iter().enumerate() {
        assert!(file.find(name).is_some(), "{}: {name} is listed and is not in the file", file.name());
        assert!(!listed[..i].contains(name), "{}: {name} is listed twice", file.name());
    }
    assert!(skipped.iter().all(|s| !s.reason.is_empty()), "{}: a list without a reason", file.name());
    let (run, rest): (Vec<&Case>, Vec<&Case>) = file.cases().partition(|case| runnable(case));
    let names = |cases: &[&Case], keep: bool| -> Vec<String> {
        cases.iter().filter(|c| listed.contains(&c.name.as_str()) == keep).map(|c| c.name.clone()).collect()
    };
    let (both, neither) = (names(&run, true), names(&rest, false));
    assert!(both.is_empty(), "{}: listed as skipped, though the crate has what they need: {both:?}", file.name());
    assert!(neither.is_empty(), "{}: neither run nor listed as skipped: {neither:?}", file.name());
    run
}

mod tests {
    use super::{Skipped, cases_to_run};
    use crate::reader::File;

    #[test]
    fn nothing_goes_quiet() {
        let file = File::parse("text", "a | x | | 1\nb | x | | 2\n");
        let run = |cases: &'static [&'static str], runnable: &'static str| {
            std::panic::catch_unwind(|| cases_to_run(&file, &[Skipped { reason: "a test", cases }], |c| runnable.contains(&c.name)).len())
        };
        assert_eq!(run(&["b"], "a").expect("all is told"), 1);
        for (cases, runnable) in [(&[][..], "a"), (&["b"], "ab"), (&["b", "c"], "a"), (&["b", "b"], "a")] {
            assert!(run(cases, runnable).is_err(), "{cases:?} {runnable}");
        }
    }
}
