//! Components: the prebuilt guests, and small ones written as text.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

const ERROR_CODE: &str = include_str!("../components/error-code.wat");

/// The path of a prebuilt guest.
pub fn guest(name: &str) -> String {
    format!("{}/guests/prebuilt/{name}.wasm", env!("CARGO_MANIFEST_DIR"))
}

/// The text of an app of wasi:http 0.2 that answers 200 with no body.
pub fn sync_app() -> String {
    include_str!("../components/handler-0.2.wat").replace("ERROR-CODE", ERROR_CODE)
}

/// The text of an app of wasi:http 0.3 that traps at each request.
pub fn async_app() -> String {
    include_str!("../components/handler-0.3.wat").replace("ERROR-CODE", ERROR_CODE)
}

/// A component's text with definitions added at its end.
pub fn with(component: &str, definitions: &str) -> String {
    let open = component.trim_end().strip_suffix(')').unwrap();
    format!("{open}\n{definitions}\n)\n")
}

/// The app of both generations.
pub fn app_of_both() -> String {
    let async_app = async_app();
    let (_, definitions) = async_app.split_once("(component").unwrap();
    with(&sync_app(), definitions.trim_end().strip_suffix(')').unwrap())
}

/// Code that takes its time to compile, on one core: a function of so many instructions.
pub fn code_to_compile(instructions: usize) -> String {
    let mut module = String::from("(core module (func (param i64) (result i64) (local.get 0)");
    for n in 0..instructions / 4 {
        write!(module, "(i64.const {n})(i64.mul)(i64.const {})(i64.rotl)", n % 64).unwrap();
    }
    module + "))"
}

/// Writes a component into a folder.
pub fn write_component(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

/// A component file that is served while tests put others in its place.
pub struct AppFile {
    folder: TempDir,
    pub path: PathBuf,
}

impl AppFile {
    /// A copy of a prebuilt guest.
    pub fn of(guest: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = write_component(folder.path(), "app.wasm", prebuilt(guest));
        Self { folder, path }
    }

    /// Puts a prebuilt guest there, by an atomic rename, as build tools do.
    pub fn become_guest(&self, guest: &str) {
        self.become_file(prebuilt(guest));
    }

    /// The same with any content.
    pub fn become_file(&self, content: impl AsRef<[u8]>) {
        let new = write_component(self.folder.path(), "app.wasm.new", content);
        fs::rename(new, &self.path).unwrap();
    }

    pub fn remove(&self) {
        fs::remove_file(&self.path).unwrap();
    }
}

/// The bytes of a prebuilt guest.
pub fn prebuilt(name: &str) -> Vec<u8> {
    fs::read(guest(name)).unwrap()
}
