//! Ways out of a folder, and into one that is for reading only.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{HOSTILES, parallel};

use super::Target;

/// Everything there is to see of a folder and its files, times of reading aside.
fn snapshot(folder: &Path) -> Vec<String> {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    entries.push(folder.to_owned());
    entries.sort();
    let describe = |path: &Path| {
        let data = fs::symlink_metadata(path).unwrap();
        let content = fs::read(path).unwrap_or_default();
        let links = if data.is_dir() { 0 } else { data.nlink() };
        format!("{path:?} {} {links} {} {:?}", data.ino(), data.mtime_nsec(), String::from_utf8_lossy(&content))
    };
    entries.iter().map(|path| describe(path)).collect()
}

fn lines<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(word)).collect()
}

fn tried(text: &str) -> u64 {
    let line = lines(text, "tried ").pop().unwrap_or_else(|| panic!("no end: {text}"));
    line["tried ".len()..].parse().unwrap()
}

#[test]
fn no_path_and_no_link_leads_out_of_a_folder() {
    for guest in HOSTILES {
        let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let place = outside.path().to_str().unwrap();
        let up = "../".repeat(12);
        for (name, target) in [
            ("absolute", place.to_owned()),
            ("absolute-file", format!("{place}/secret")),
            ("relative", format!("{up}{place}")),
            ("relative-file", format!("{up}{place}/secret")),
            ("root", "/".into()),
            ("up", "..".into()),
            ("process-root", "/proc/self/root".into()),
            ("process-folder", "/proc/self/cwd".into()),
            ("chain", "absolute".into()),
        ] {
            symlink(target, inside.path().join(name)).unwrap();
        }
        let before = snapshot(outside.path());
        let dir = format!("{}::/data", inside.path().display());
        let server = Target::start(guest, &["--dir", &dir]);
        for _ in 0..3 {
            let response = server.get(&format!("/escape?outside={place}&file=secret"));
            let text = response.text();
            assert_eq!(response.status, 200, "{guest}: {text}");
            assert_eq!(lines(&text, "escaped "), [""; 0], "{guest}");
            assert!(tried(&text) > 2_000, "{guest}: {}", tried(&text));
        }
        assert_eq!(snapshot(outside.path()), before, "{guest}");
        server.assert_stands();
    }
}

#[test]
fn nothing_changes_what_is_for_reading_only() {
    for guest in HOSTILES {
        let (ro, rw) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        fs::write(ro.path().join("file"), "unchanged").unwrap();
        fs::create_dir(ro.path().join("folder")).unwrap();
        let before = snapshot(ro.path());
        let dirs = [format!("{}::/ro:ro", ro.path().display()), format!("{}::/rw", rw.path().display())];
        let server = Target::start(guest, &["--dir", &dirs[0], "--dir", &dirs[1]]);
        let response = server.get("/readonly?times=100");
        let text = response.text();
        assert_eq!(response.status, 200, "{guest}: {text}");
        assert_eq!(lines(&text, "changed "), [""; 0], "{guest}");
        assert!(tried(&text) > 4_000, "{guest}: {}", tried(&text));
        assert_eq!(snapshot(ro.path()), before, "{guest}");
        server.assert_stands();
    }
}

#[test]
fn soak_a_link_that_takes_a_folders_place_is_never_followed_out() {
    for guest in HOSTILES {
        let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        fs::create_dir(inside.path().join("place")).unwrap();
        fs::write(inside.path().join("place/file"), "inside").unwrap();
        fs::write(outside.path().join("file"), "outside").unwrap();
        symlink(outside.path(), inside.path().join("link")).unwrap();
        let dir = format!("{}::/data", inside.path().display());
        let server = Target::start(guest, &["--dir", &dir]);

        // A million tries take a minute or so for each guest: WASMSERVE_SOAK=full.
        let is_full = std::env::var("WASMSERVE_SOAK").is_ok_and(|value| value == "full");
        let enough = if is_full { 1_000_000 } else { 2_000 };
        let (mut inside, mut refused, mut swaps) = (0, 0, 0);
        let began = std::time::Instant::now();
        while inside + refused < enough || inside == 0 || refused == 0 || swaps == 0 {
            assert!(
                began.elapsed() < Duration::from_secs(if is_full { 900 } else { 30 }),
                "no race: {inside} {refused}"
            );
            let targets = ["/race-swap?ms=500", "/race-open?ms=500", "/race-open?ms=500"];
            let answers = parallel(3, |n| server.get(targets[n]));
            for (answer, target) in answers.iter().zip(targets) {
                assert_eq!(answer.status, 200, "{guest} {target}: {}", answer.text());
                let counts: Vec<u64> = answer.text().split(' ').map(|count| count.parse().unwrap()).collect();
                match counts[..] {
                    [count] => swaps += count,
                    [kept, none, escaped] => {
                        assert_eq!(escaped, 0, "{guest}: got out");
                        (inside, refused) = (inside + kept, refused + none);
                    }
                    _ => panic!("{}", answer.text()),
                }
            }
        }
        eprintln!("{guest}: {inside} opened, {refused} refused, {swaps} swaps");
        server.assert_stands();
    }
}
