//! SPECIFICATION.md names a test for each promise, or says that there is none.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The tests of a file and of those in its folder, and the modules that they are in, by their paths.
fn collect(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let module = format!("{prefix}{stem}");
        if path.is_dir() {
            collect(&path, &format!("{module}::"), names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let tests = source.split("#[test]").skip(1).filter_map(|rest| {
                let (_, rest) = rest.split_once("fn ")?;
                rest.split_once('(').map(|(name, _)| format!("{module}::{name}"))
            });
            let before = names.len();
            names.extend(tests);
            if names.len() > before {
                names.insert(module);
            }
        }
    }
}

/// The last cell of each row of each table.
fn last_cells(text: &str) -> Vec<&str> {
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise |"));
    rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit(" | ").next()).collect()
}

#[test]
fn every_promise_has_a_test_that_exists_or_is_labelled_untested() {
    let text = fs::read_to_string(project().join("SPECIFICATION.md")).unwrap();
    let mut tests = BTreeSet::new();
    collect(&project().join("tests/it"), "", &mut tests);
    let cells = last_cells(&text);
    assert!(cells.len() > 60 && tests.len() > 300, "{} rows, {} tests", cells.len(), tests.len());
    let mut wrong = Vec::new();
    for cell in cells {
        if cell.starts_with("untested") {
            continue;
        }
        let named: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            wrong.push(format!("neither a test nor untested: {cell}"));
        }
        wrong.extend(named.iter().filter(|name| !tests.contains(**name)).map(|name| format!("no test {name}")));
    }
    assert!(wrong.is_empty(), "SPECIFICATION.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_hostile_test_is_in_the_specification() {
    let text = fs::read_to_string(project().join("SPECIFICATION.md")).unwrap();
    let mut tests = BTreeSet::new();
    collect(&project().join("tests/it/hostile"), "hostile::", &mut tests);
    let is_test = |name: &&String| name.matches("::").count() == 2;
    let missing: Vec<_> = tests.iter().filter(is_test).filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(tests.len() > 30 && missing.is_empty(), "not named in SPECIFICATION.md: {missing:?}");
}
