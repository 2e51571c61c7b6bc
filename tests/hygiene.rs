//! Laws of the tree: nothing unfinished, nothing switched off, nothing grown too long.

use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 400;

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} files under {folder}");
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    // Put together here, so that this file does not contain them.
    let refused = [
        ["to", "do!("].concat(),
        ["unimpl", "emented!("].concat(),
        ["#[ig", "nore"].concat(),
        ["// mo", "d "].concat(),
        ["FIX", "ME"].concat(),
    ];
    let mut faults = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        for path in files(folder, "rs") {
            for (line, text) in read(&path).lines().enumerate() {
                if refused.iter().any(|word| text.contains(word.as_str())) {
                    faults.push(format!("{}:{}: {}", path.display(), line + 1, text.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let all = files("src", "rs").into_iter().chain(files("shaders", "wgsl"));
    let long: Vec<String> = all
        .map(|p| (read(&p).lines().count(), p))
        .filter(|(n, _)| *n > LONGEST_FILE)
        .map(|(n, p)| format!("{n} {}", p.display()))
        .collect();
    assert!(long.is_empty(), "over {LONGEST_FILE} lines: is there a second room in it?\n{}", long.join("\n"));
}

#[test]
fn the_rooms_do_not_look_up() {
    // What a room must not know of: the device is asked for where programs are built and run, nowhere above; layers see tensors only.
    let laws = [
        ("src/layers", ["crate::device::gpu", "wgpu", "shader"]),
        ("src/losses", ["crate::device::gpu", "wgpu", "shader"]),
        ("src/optimizers", ["crate::device::gpu", "wgpu", "shader"]),
        ("src/metrics", ["crate::device::gpu", "wgpu", "shader"]),
        ("src/compile", ["crate::layers", "crate::models", "crate::train"]),
        ("src/device", ["crate::layers", "crate::models", "crate::train"]),
        ("src/ops", ["crate::layers", "crate::models", "crate::train"]),
        ("src/record", ["crate::layers", "crate::models", "crate::train"]),
    ];
    for (folder, words) in laws {
        for path in files(folder, "rs") {
            let text = read(&path);
            for word in words {
                let code = text.lines().filter(|l| !l.trim_start().starts_with("//")).any(|l| l.contains(word));
                assert!(!code, "{} mentions {word}", path.display());
            }
        }
    }
}
