//! Tells whether the other side's TCP has every byte that was handed to the system.
//!
//! Linux counts the bytes of a connection that were written and not acknowledged, and tells this to everybody who knows the
//! two addresses. The protocols of the devices have no such proof: their numbers are joined, and nobody can read them.
//!
//! Sources: Linux `include/uapi/linux/inet_diag.h`; `net/ipv4/tcp_diag.c`, `tcp_diag_get_info` (`write_seq - snd_una`).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::evidence::{Event, Evidence};

/// How often the system is asked after the last byte.
const OFTEN: Duration = Duration::from_millis(50);

/// The receipt for all bytes of one connection. Ask for it after the last byte alone: before, a pause looks the same.
pub(crate) struct Receipt {
    /// Our address and that of the other side.
    ends: Option<(SocketAddr, SocketAddr)>,
    has_come: bool,
}

impl Receipt {
    pub(crate) fn of(stream: &TcpStream) -> Self {
        Self { ends: stream.local_addr().ok().zip(stream.peer_addr().ok()), has_come: false }
    }

    pub(crate) fn has_come(&self) -> bool {
        self.has_come
    }

    /// Waits until it is time to [look](Self::look).
    pub(crate) async fn is_due() {
        sleep(OFTEN).await;
    }

    /// Asks the system. Where it does not tell, nothing comes.
    pub(crate) fn look(&mut self, tell: &mut dyn FnMut(Event)) {
        let is_whole = |(ours, theirs)| system::unacknowledged(ours, theirs) == Some(0);
        if !self.has_come && self.ends.is_some_and(is_whole) {
            self.comes(tell);
        }
    }

    /// The device itself says so.
    pub(crate) fn comes(&mut self, tell: &mut dyn FnMut(Event)) {
        if !std::mem::replace(&mut self.has_come, true) {
            tell(Event::Reached { evidence: Evidence::Sent });
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::io::{self, Read};
    use std::net::{IpAddr, SocketAddr};

    use socket2::{Domain, Protocol, Socket, Type};

    // `linux/socket.h`, `linux/netlink.h`, `linux/sock_diag.h`.
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    const AF_NETLINK: i32 = 16;
    const NETLINK_SOCK_DIAG: i32 = 4;
    const NLM_F_REQUEST: u16 = 1;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const IPPROTO_TCP: u8 = 6;
    // `net/tcp_states.h`: of a connection that is reset, nobody knows what arrived.
    const ESTABLISHED: u8 = 1;
    const CLOSE_WAIT: u8 = 8;

    /// Bytes of `nlmsghdr` and `inet_diag_req_v2`.
    const REQUEST: usize = 16 + 56;
    /// Where `inet_diag_msg` has the state, and the bytes that wait, behind `nlmsghdr`.
    const STATE: usize = 16 + 1;
    const WAITING: usize = 16 + 60;

    /// Returns how many bytes the other side did not acknowledge. `None` if the connection is over, or the system does not
    /// tell: a container may forbid the question.
    pub(super) fn unacknowledged(ours: SocketAddr, theirs: SocketAddr) -> Option<u32> {
        let mut answer = [0; 512];
        let length = ask(&request(ours, theirs), &mut answer).ok()?;
        let answer = answer.get(..length)?;
        let kind = answer.get(4..6)?;
        let is_open = [ESTABLISHED, CLOSE_WAIT].contains(answer.get(STATE)?);
        let waiting = answer.get(WAITING..WAITING + 4)?.try_into().ok()?;
        (kind == SOCK_DIAG_BY_FAMILY.to_ne_bytes() && is_open).then(|| u32::from_ne_bytes(waiting))
    }

    fn ask(request: &[u8], answer: &mut [u8]) -> io::Result<usize> {
        let protocol = Some(Protocol::from(NETLINK_SOCK_DIAG));
        let socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW, protocol)?;
        // The kernel answers before `send` returns.
        socket.set_nonblocking(true)?;
        socket.send(request)?;
        (&socket).read(answer)
    }

    fn request(ours: SocketAddr, theirs: SocketAddr) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(REQUEST);
        bytes.extend((REQUEST as u32).to_ne_bytes());
        bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend(NLM_F_REQUEST.to_ne_bytes());
        // Sequence number and sender: this socket asks once.
        bytes.extend([0; 8]);
        bytes.extend([if ours.is_ipv4() { AF_INET } else { AF_INET6 }, IPPROTO_TCP, 0, 0]);
        // In any state.
        bytes.extend(u32::MAX.to_ne_bytes());
        bytes.extend(ours.port().to_be_bytes());
        bytes.extend(theirs.port().to_be_bytes());
        bytes.extend(address(ours.ip()));
        bytes.extend(address(theirs.ip()));
        let interface = if let SocketAddr::V6(ours) = ours { ours.scope_id() } else { 0 };
        bytes.extend(interface.to_ne_bytes());
        // Whichever socket it is (`INET_DIAG_NOCOOKIE`).
        bytes.extend([0xFF; 8]);
        bytes
    }

    fn address(address: IpAddr) -> [u8; 16] {
        match address {
            IpAddr::V6(address) => address.octets(),
            IpAddr::V4(address) => {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&address.octets());
                bytes
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::net::SocketAddr;

    /// No other system tells this without code of our own that could break memory.
    pub(super) fn unacknowledged(_: SocketAddr, _: SocketAddr) -> Option<u32> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// Two ends of a connection, with small buffers.
    fn connection(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        socket2::SockRef::from(&theirs).set_recv_buffer_size(4096).unwrap();
        let ours = listener.accept().unwrap().0;
        socket2::SockRef::from(&ours).set_send_buffer_size(16 * 1024).unwrap();
        (ours, theirs)
    }

    fn waiting(stream: &TcpStream) -> Option<u32> {
        system::unacknowledged(stream.local_addr().unwrap(), stream.peer_addr().unwrap())
    }

    #[track_caller]
    fn until(mut is_so: impl FnMut() -> bool) {
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(std::time::Instant::now() < end, "it never is");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_system_tells_what_the_other_side_did_not_acknowledge() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (mut ours, mut theirs) = connection(address);
            assert_eq!(waiting(&ours), Some(0));
            ours.write_all(b"abc").unwrap();
            until(|| waiting(&ours) == Some(0));
            // It reads nothing, so its window closes.
            ours.set_nonblocking(true).unwrap();
            let mut handed = 3;
            while let Ok(bytes) = ours.write(&[0; 65536]) {
                handed += bytes;
            }
            std::thread::sleep(Duration::from_millis(100));
            assert!(waiting(&ours).is_some_and(|bytes| bytes > 0), "nobody read, and all is acknowledged");
            let mut buffer = vec![0; handed];
            theirs.read_exact(&mut buffer).unwrap();
            until(|| waiting(&ours) == Some(0));
        }
    }

    #[test]
    fn of_a_connection_that_is_over_nothing_is_known() {
        let (ours, theirs) = connection("127.0.0.1:0");
        let ends = (ours.local_addr().unwrap(), ours.peer_addr().unwrap());
        socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        until(|| system::unacknowledged(ends.0, ends.1).is_none());
    }

    #[test]
    fn a_receipt_comes_once() {
        let mut events = Vec::new();
        let mut receipt = Receipt { ends: None, has_come: false };
        receipt.look(&mut |event| events.push(event));
        assert!(!receipt.has_come() && events.is_empty());
        for _ in 0..2 {
            receipt.comes(&mut |event| events.push(event));
        }
        assert_eq!(events, [Event::Reached { evidence: Evidence::Sent }]);
    }
}
