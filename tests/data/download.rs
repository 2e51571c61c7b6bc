//! Downloads from a small server on this machine, which misbehaves as told and ends by itself.

use super::*;
use gradus::data::fetch::Download;
use gradus::data::{Remote, cifar100, mnist};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What to answer to one request.
enum Answer {
    /// The content with its length.
    Whole(Vec<u8>),
    /// The content without a length: it ends where the connection ends.
    Unannounced(Vec<u8>),
    /// The length of the content, then only its first bytes, then the end.
    Cut(Vec<u8>, usize),
    /// The first bytes, then silence.
    Stalled(Vec<u8>, usize),
    /// A status without content.
    Status(&'static str),
}

/// Serves one connection after the other, each with the next answer, and gives the paths that were asked for.
struct Server {
    address: String,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn start(answers: Vec<Answer>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || answers.into_iter().map_while(|answer| serve(accept(&listener)?, answer)).collect());
        Server { address, thread }
    }

    fn asked(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

/// The next connection; `None` if none comes in time, so that a failing test does not hang.
fn accept(listener: &TcpListener) -> Option<TcpStream> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return Some(stream);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    None
}

fn serve(mut stream: TcpStream, answer: Answer) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes();
    // The client may have hung up, and then writing fails: that is its right.
    let _ = match answer {
        Answer::Whole(content) => stream.write_all(&[head(content.len()), content].concat()),
        Answer::Unannounced(content) => stream.write_all(&[b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(), content].concat()),
        Answer::Cut(content, sent) => stream.write_all(&[head(content.len()), content[..sent].to_vec()].concat()),
        Answer::Stalled(content, sent) => {
            let outcome = stream.write_all(&[head(content.len()), content[..sent].to_vec()].concat());
            // Until the client gives up and closes.
            let _ = lines.next();
            outcome
        }
        Answer::Status(status) => {
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
        }
    };
    request.split(' ').nth(1).map(String::from)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content() -> Vec<u8> {
    (0..200_000u32).map(|i| (i.wrapping_mul(i) >> 5) as u8).collect()
}

#[test]
fn sha256_is_the_standards() {
    // FIPS 180-2, appendix B.1.
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_good_transfer_makes_the_file_and_its_folder() {
    for answer in [Answer::Whole(content()), Answer::Unannounced(content())] {
        let folder = Folder::new();
        let server = Server::start(vec![answer]);
        let to = folder.0.join("new/file.gz");
        let digest = Some(sha256(&content()).to_uppercase());
        let outcome = Download { sha256: digest, ..Download::new(format!("{}some/file.gz", server.address), &to) }.run();
        assert_eq!(outcome, Ok(()));
        assert_eq!(server.asked(), ["/some/file.gz"]);
        assert!(fs::read(&to).unwrap() == content());
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }
}

#[test]
fn a_bad_transfer_is_explained_and_leaves_the_folder_as_it_was() {
    let cases = [
        (Answer::Cut(content(), 150_000), "broke off after 150000 of 200000 bytes"),
        (Answer::Cut(content(), 0), "broke off after 0 of 200000 bytes"),
        (Answer::Stalled(content(), 1000), "broke off after 1000 of 200000 bytes"),
        (Answer::Whole(vec![1; 1000]), "SHA-256"),
        (Answer::Whole(vec![1; 300_001]), "announces 300001 bytes, the limit is 300000"),
        (Answer::Unannounced(vec![1; 300_001]), "more than the limit of 300000 bytes"),
        (Answer::Status("404 Not Found"), "404"),
        (Answer::Status("500 Internal Server Error"), "500"),
    ];
    for (answer, words) in cases {
        let folder = Folder::new();
        let old = folder.write("file.gz", b"old");
        let server = Server::start(vec![answer]);
        let download = Download {
            sha256: Some(sha256(&content())),
            max_bytes: 300_000,
            stall: Duration::from_millis(300),
            ..Download::new(format!("{}file.gz", server.address), &old)
        };
        let error = download.run().expect_err(words);
        let text = error.to_string();
        assert!(matches!(&error, Error::Download { url, .. } if *url == download.url), "{text}");
        assert!(text.contains(words), "expected {words:?}: {text}");
        assert_eq!(folder.names(), ["file.gz"], "{words}");
        assert_eq!(fs::read(&old).unwrap(), b"old");
        server.asked();
    }
}

#[test]
fn nobody_listening_is_said() {
    let folder = Folder::new();
    // Port 1 needs privileges and is never handed out to the servers of the tests beside this one.
    let error = Download::new("http://127.0.0.1:1/x", folder.0.join("x")).run().expect_err("nobody listens").to_string();
    assert!(error.contains("refuses the connection"), "{error}");
    assert!(folder.names().is_empty());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    let file = folder.write("file", b"not a folder");
    let server = Server::start(vec![Answer::Whole(content())]);
    let error = Download::new(format!("{}x", server.address), file.join("x")).run().expect_err("a file is no folder");
    assert!(matches!(&error, Error::Io { path, .. } if *path == file), "{error}");
    server.asked();
}

/// The four files of a small data set, in the order of [`Remote::sha256`].
fn small_mnist() -> [Vec<u8>; 4] {
    [images(20), labels(20), images(10), labels(10)].map(|bytes| gzip(&bytes))
}

fn remote(folder: &Folder, mirrors: &[&Server]) -> Remote {
    from(mnist::remote(), folder, mirrors, &small_mnist())
}

/// A set whose files are these, on these servers.
fn from(mut remote: Remote, folder: &Folder, mirrors: &[&Server], files: &[Vec<u8>]) -> Remote {
    remote.cache = Some(folder.0.join("cache"));
    remote.mirrors = mirrors.iter().map(|server| server.address.clone()).collect();
    remote.sha256 = files.iter().map(|bytes| sha256(bytes)).collect();
    remote.stall = Duration::from_millis(500);
    remote
}

#[test]
fn mnist_is_downloaded_once() {
    let folder = Folder::new();
    let server = Server::start(small_mnist().map(Answer::Whole).into());
    let remote = remote(&folder, &[&server]);
    let first = remote.load().unwrap();
    // The server ends after four answers: whoever asked again would be refused.
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!((asked[0].as_str(), asked[3].as_str()), ("/train-images-idx3-ubyte.gz", "/t10k-labels-idx1-ubyte.gz"));
    let second = remote.load().unwrap();
    assert_eq!((first.train.len(), first.test.len()), (20, 10));
    assert!(
        first.train.source.contains("downloaded") && second.train.source.contains("cache"),
        "{} {}",
        first.train.source,
        second.train.source
    );
    assert_eq!((first.train.images, first.test.labels), (second.train.images, second.test.labels));
}

#[test]
fn the_second_mirror_helps_where_the_first_fails() {
    let folder = Folder::new();
    let [a, b, c, d] = small_mnist();
    let statuses = || Answer::Status("404 Not Found");
    let first = Server::start(vec![statuses(), Answer::Whole(b), Answer::Cut(c.clone(), 5), Answer::Whole(d)]);
    let second = Server::start(vec![Answer::Whole(a), Answer::Whole(c)]);
    let splits = remote(&folder, &[&first, &second]).load().unwrap();
    assert_eq!((splits.train.len(), splits.test.len(), first.asked().len(), second.asked().len()), (20, 10, 4, 2));
}

#[test]
fn without_a_mirror_that_works_there_are_digits_that_say_so() {
    let folder = Folder::new();
    let server = Server::start((0..4).map(|_| Answer::Status("503 Service Unavailable")).collect());
    let remote = remote(&folder, &[&server, &server]);
    let text = remote.load().expect_err("503").to_string();
    assert!(text.contains("503") && text.contains("before that") && text.contains("put train-images-idx3-ubyte.gz into"), "{text}");
    let splits = remote.load_or_generate(4).unwrap();
    assert_eq!(server.asked().len(), 4);
    assert_eq!((splits.train.len(), splits.test.len(), splits.train.shape), (60_000, 10_000, [28, 28, 1]));
    let source = &splits.train.source;
    assert!(source.contains("503") && source.contains("using generated digits") && !source.contains('\n'), "{source}");
}

#[test]
fn a_damaged_cache_is_an_error_with_advice_and_no_fallback() {
    let folder = Folder::new();
    let server = Server::start(small_mnist().map(Answer::Whole).into());
    let remote = remote(&folder, &[&server]);
    remote.load().unwrap();
    server.asked();
    fs::write(folder.0.join("cache/t10k-labels-idx1-ubyte.gz"), &gzip(&labels(10))[..20]).unwrap();
    let text = remote.load_or_generate(1).expect_err("a cut file").to_string();
    assert!(text.contains("t10k-labels-idx1-ubyte.gz") && text.contains("delete the file"), "{text}");
}

#[test]
fn the_archive_of_cifar_100_is_downloaded_once() {
    let folder = Folder::new();
    let archive = gzip(&cifar::archive(&cifar::cifar100(20, 10)));
    let server = Server::start(vec![Answer::Whole(archive.clone())]);
    let remote = from(cifar100::remote(Labels::Coarse), &folder, &[&server], std::slice::from_ref(&archive));
    let first = remote.load().unwrap();
    assert_eq!(server.asked(), ["/cifar-100-binary.tar.gz"]);
    let second = remote.load_or_generate(1).unwrap();
    assert_eq!((first.train.len(), first.test.len(), first.train.classes), (20, 10, 20));
    assert!(first.test.source.contains("downloaded") && second.test.source.contains("cache"), "{}", first.test.source);
    assert_eq!((first.train.images, first.test.labels), (second.train.images, second.test.labels));

    fs::write(folder.0.join("cache/cifar-100-binary.tar.gz"), &archive[..archive.len() / 2]).unwrap();
    let text = remote.load_or_generate(1).expect_err("a cut file").to_string();
    assert!(text.contains("cifar-100-binary.tar.gz") && text.contains("delete the file"), "{text}");
}

#[test]
fn without_a_network_there_are_patterns_that_say_so() {
    let folder = Folder::new();
    let server = Server::start(vec![Answer::Whole(b"something else".to_vec())]);
    let remote = from(cifar100::remote(Labels::Coarse), &folder, &[&server], &[b"what was published".to_vec()]);
    let splits = remote.load_or_generate(4).unwrap();
    assert_eq!((splits.train.len(), splits.test.len(), splits.train.shape, splits.train.classes), (50_000, 10_000, [32, 32, 3], 20));
    let source = &splits.test.source;
    assert!(source.contains("SHA-256") && source.contains("using generated patterns (seed 4)") && !source.contains('\n'), "{source}");
    assert!(!folder.0.join("cache").read_dir().is_ok_and(|mut files| files.next().is_some()), "a file that was refused is there");
    server.asked();
}
