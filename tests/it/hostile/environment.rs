//! What a guest can learn of the machine.

use std::collections::BTreeSet;

use tempfile::TempDir;

use crate::support::{HOSTILES, Wasmserve};

use super::Target;

#[test]
fn a_guest_sees_what_it_was_given_and_nothing_of_the_machine() {
    for guest in HOSTILES {
        let folder = TempDir::new().unwrap();
        // The deepest folders that there are, and one whose links lead wherever the server is.
        let dirs = [format!("{}::/data", folder.path().display()), "/proc::/proc:ro".into(), "/sys::/sys:ro".into()];
        let mut command = Wasmserve::serving(guest, &["--env", "GIVEN=1"]).env("SECRET", "not for the guest");
        for dir in &dirs {
            command = command.args(&["--dir", dir]);
        }
        let server = Target::of(command);
        let response = server.get("/peek");
        assert_eq!(response.status, 200, "{guest}: {}", response.text());
        let text = response.text();
        let found = |word: &str| -> BTreeSet<&str> {
            text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).collect()
        };
        let expected = ["GIVEN", "WASMSERVE_APP", "WASMSERVE_GENERATION", "WASMSERVE_INSTANCE", "WASMSERVE_WORKER"];
        assert_eq!(found("env"), BTreeSet::from(expected), "{guest}");
        assert_eq!(found("arg"), BTreeSet::from([guest]), "{guest}");
        assert_eq!(found("cwd"), BTreeSet::new(), "{guest}");
        assert_eq!(found("read"), BTreeSet::new(), "{guest}");
        let tried: u64 = found("tried").first().unwrap().parse().unwrap();
        assert!(tried >= 300, "{guest}: {tried}");
        server.assert_stands();
    }
}
