//! Unix sockets and their files.

use super::holder;
use crate::exit::Failure;
use crate::supervisor::upgrade::predecessor;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// A socket file that we have made: by its place and its identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    pub path: String,
    device: u64,
    inode: u64,
}

impl File {
    /// Removes it, unless another file has taken its place.
    pub fn remove(&self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at a path, in place of a socket file that a server has left behind.
pub fn listen(path: &Path, mode: u32, backlog: i32) -> Result<(File, OwnedFd), Failure> {
    clear(path)?;
    let listening = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Nobody can connect before it listens, so that there is no moment with other permissions.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        let made = fs::symlink_metadata(path)?;
        socket.listen(backlog)?;
        // Absolute, because the working directory may change before it is removed.
        let absolute = std::path::absolute(path)?;
        let path = absolute.to_str().unwrap_or_default().to_owned();
        let file = File { path, device: made.dev(), inode: made.ino() };
        Ok((file, socket.into()))
    };
    listening().map_err(|error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "make its folder first",
            io::ErrorKind::PermissionDenied => "its folder must be one that you can write",
            _ => "choose another path",
        };
        refused(path, &format!("{error}; {advice}"))
    })
}

/// Makes room at the path: what a server has left behind is removed, anything else is not touched.
fn clear(path: &Path) -> Result<(), Failure> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        // Nothing there, or nothing that we may see: binding tells.
        Err(_) => return Ok(()),
    };
    if !there.file_type().is_socket() {
        return Err(refused(path, "a file that is no socket is there: remove it, or choose another path"));
    }
    match connect(path) {
        Err(Errno::ENOENT) => Ok(()),
        Err(Errno::ECONNREFUSED) => {
            tracing::debug!(event = "stale-socket", "{} was left behind and is replaced", path.display());
            fs::remove_file(path).map_err(|error| refused(path, &format!("the old socket cannot be removed: {error}")))
        }
        // An app's own, which its server before the upgrade has until it ends.
        Ok(_) if predecessor().is_some() => Ok(fs::remove_file(path)?),
        Ok(holder) => {
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            Err(refused(path, &format!("{holder} listens there: stop it, or choose another path")))
        }
        Err(error) => Err(refused(path, &format!("a socket is there, and it cannot be told who listens: {error}"))),
    }
}

/// Tries whether somebody listens, without waiting for it: who, if the kernel tells.
fn connect(path: &Path) -> nix::Result<Option<String>> {
    let attempt = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(socket)
    };
    match attempt().map_err(|error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default())) {
        Ok(socket) => {
            let holder = getsockopt(&socket, PeerCredentials).ok().filter(|holder| holder.pid() > 0);
            Ok(holder.map(|holder| holder::describe(holder.pid())))
        }
        // Its queue is full: somebody listens who is busy.
        Err(Errno::EAGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("cannot listen on unix:{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_a_server_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        drop(listen(&path, 0o666, 8).unwrap());
        assert_eq!(mode(&path), 0o666);
        let (file, _socket) = listen(&path, 0o600, 8).unwrap();
        assert_eq!(mode(&path), 0o600);
        file.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_and_any_other_file_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let (file, _socket) = listen(&path, 0o600, 8).unwrap();
        let refused = listen(&path, 0o600, 8).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.message.contains(&format!("(process {})", std::process::id())), "{refused}");
        assert!(path.exists());

        fs::remove_file(&path).unwrap();
        fs::write(&path, "notes").unwrap();
        file.remove();
        assert_eq!(listen(&path, 0o600, 8).unwrap_err().exit, Exit::Usage);
        assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
    }

    #[test]
    fn a_path_that_cannot_be_used_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(120));
        for path in [&folder.path().join("none/app.sock"), &long] {
            assert_eq!(listen(path, 0o600, 8).unwrap_err().exit, Exit::Usage);
        }
    }
}
