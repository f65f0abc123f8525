//! Names that guests send requests to, with a name server of the test's own in place of the system's.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

use crate::support::{Server, Trap, Upstream, Wasmserve, reply, unshare_options};

const A: u16 = 1;

/// Answers questions for IPv4 addresses (RFC 1035); for others there is nothing.
struct NameServer {
    address: IpAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// `answer` gets a name, and how often it was asked for before; no addresses mean that there is no such name. None
    /// where port 53 is not to be had, as only root may.
    fn start(answer: impl Fn(&str, usize) -> Vec<[u8; 4]> + Send + 'static) -> Option<Self> {
        // The first address that no other test has at the same time.
        let addresses = (1..=254).map(|last| IpAddr::from([127, 53, 53, last]));
        let bound = addresses.map(|address| (address, UdpSocket::bind((address, 53))));
        let mut free =
            bound.skip_while(|(_, bound)| bound.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse));
        let (address, socket) = match free.next().unwrap() {
            (_, Err(error)) if error.kind() == ErrorKind::PermissionDenied => return None,
            (address, bound) => (address, bound.unwrap()),
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let names = asked.clone();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let (name, kind, end) = question(&buffer[..length]);
                let addresses = if kind == A {
                    let before = names.lock().unwrap().iter().filter(|other| **other == name).count();
                    names.lock().unwrap().push(name.clone());
                    Some(answer(&name, before))
                } else {
                    None
                };
                socket.send_to(&response(&buffer[..end], addresses), from).unwrap();
            }
        });
        Some(Self { address, asked })
    }

    /// A server on a system that asks this one.
    fn serve(&self, folder: &TempDir, args: &[&str]) -> Option<Server> {
        let unshare = unshare_options(&["--mount"])?;
        let (resolv, hosts) = (folder.path().join("resolv.conf"), folder.path().join("hosts"));
        fs::write(&resolv, format!("nameserver {}\n", self.address)).unwrap();
        fs::write(&hosts, "").unwrap();
        let mount = format!(
            "mount --bind {} /etc/resolv.conf && mount --bind {} /etc/hosts",
            resolv.display(),
            hosts.display()
        );
        Some(Wasmserve::serving("testbed-async", args).through_shell(&mount).through("unshare", &unshare).start())
    }
}

/// The name that is asked for, the kind of record, and where the question ends.
fn question(packet: &[u8]) -> (String, u16, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while packet[at] != 0 {
        let length = usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..][..length]).to_lowercase());
        at += 1 + length;
    }
    (labels.join("."), u16::from_be_bytes([packet[at + 1], packet[at + 2]]), at + 5)
}

/// To the question at the end of `packet`, with addresses that may not be kept.
fn response(packet: &[u8], addresses: Option<Vec<[u8; 4]>>) -> Vec<u8> {
    let is_unknown = addresses.as_ref().is_some_and(Vec::is_empty);
    let addresses = addresses.unwrap_or_default();
    let flags = if is_unknown { [0x81, 0x83] } else { [0x81, 0x80] };
    let mut bytes = [&packet[..2], &flags, &[0, 1, 0, addresses.len() as u8, 0, 0, 0, 0], &packet[12..]].concat();
    for address in addresses {
        bytes.extend([&[0xc0, 12, 0, A as u8, 0, 1, 0, 0, 0, 0, 0, 4][..], &address].concat());
    }
    bytes
}

const LOOPBACK: [u8; 4] = Ipv4Addr::LOCALHOST.octets();
const ARGS: [&str; 4] = ["--allow-http", "*.test:*", "--allow-private-network", "127.0.0.1"];

#[test]
fn names_are_asked_of_the_systems_name_server_and_judged_by_its_answer() {
    let names = NameServer::start(|name, _| match name {
        "up.test" => vec![LOOPBACK],
        "mixed.test" => vec![[10, 0, 0, 1], LOOPBACK],
        "metadata.test" => vec![[169, 254, 169, 254]],
        "shared.test" => vec![[100, 64, 0, 1]],
        _ => Vec::new(),
    });
    let folder = TempDir::new().unwrap();
    let Some(server) = names.as_ref().and_then(|names| names.serve(&folder, &ARGS)) else { return };
    let upstream = Upstream::greeting();
    let fetch = |name: &str| server.get(&format!("/fetch?url=http://{name}:{}", upstream.address.port())).text();
    assert_eq!(fetch("up.test"), "greetings");
    assert_eq!(fetch("mixed.test"), "greetings");
    for name in ["metadata.test", "shared.test"] {
        assert!(fetch(name).contains("DestinationIpProhibited"), "{name}: {}", fetch(name));
    }
    assert!(fetch("none.test").contains("DestinationNotFound"), "{}", fetch("none.test"));
    assert!(fetch("up.example").contains("HttpRequestDenied"), "{}", fetch("up.example"));
    let asked = names.iter().flat_map(|names| names.asked.lock().unwrap().clone()).collect::<Vec<_>>();
    assert!(asked.iter().any(|name| name == "up.test"), "{asked:?}");
    assert!(!asked.iter().any(|name| name == "up.example"), "not looked up: {asked:?}");
}

#[test]
fn a_name_that_changes_its_address_leads_nowhere_else() {
    let trap = Trap::set("127.0.0.2:0");
    // Allowed when it is asked for the first time, forbidden from then on.
    let names = NameServer::start(|_, before| vec![if before == 0 { LOOPBACK } else { [127, 0, 0, 2] }]);
    let folder = TempDir::new().unwrap();
    let Some(server) = names.as_ref().and_then(|names| names.serve(&folder, &ARGS)) else { return };
    let upstream = Upstream::start(|_, stream| reply(stream, "200 OK", &[("connection", "close")], b"greetings"));
    assert_eq!(server.get(&format!("/fetch?url=http://re.test:{}", upstream.address.port())).text(), "greetings");
    for _ in 0..3 {
        let response = server.get(&format!("/fetch?url=http://re.test:{}", trap.port()));
        assert_eq!(response.status, 502, "{}", response.text());
    }
    trap.is_untouched();
}
