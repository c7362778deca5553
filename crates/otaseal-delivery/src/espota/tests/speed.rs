//! How fast a push is beside a plain copy to the same device.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Invites the device and lets it in.
async fn connect(device: SocketAddr, image: &Image) -> TcpStream {
    let listener = TcpListener::bind(HERE).await.unwrap();
    let udp = UdpSocket::bind(HERE).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let line = Request::new(device, image.clone()).invitation(port);
    udp.send_to(line.as_bytes(), device).await.unwrap();
    listener.accept().await.unwrap().0
}

async fn wait_for_ok(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut answer = [0; 4096];
    loop {
        let length = stream.read(&mut answer).await.unwrap();
        if answer[..length].ends_with(b"OK") || length == 0 {
            return;
        }
    }
}

/// Sends the image as the old tools do: a block, then a wait for the number that answers it.
async fn tool(device: SocketAddr, image: &Image) -> Duration {
    let mut stream = connect(device, image).await;
    let began = Instant::now();
    for block in image.bytes().chunks(1460) {
        stream.write_all(block).await.unwrap();
        let _ = stream.read(&mut [0; 32]).await.unwrap();
    }
    wait_for_ok(&mut stream).await;
    began.elapsed()
}

/// Copies the blocks to the device, whatever it says.
async fn copy(device: SocketAddr, image: &Image) -> Duration {
    let mut stream = connect(device, image).await;
    let began = Instant::now();
    let (mut from, mut to) = stream.split();
    let send = async {
        for block in image.bytes().chunks(1460) {
            to.write_all(block).await.unwrap();
        }
    };
    tokio::join!(send, wait_for_ok(&mut from));
    began.elapsed()
}

async fn ours(device: SocketAddr, image: &Image) -> Duration {
    let mut began = None;
    let end = push(Request::new(device, image.clone()), &mut |event| {
        if let Event::Progress { sent: 0, .. } = event {
            began = Some(Instant::now());
        }
    })
    .await;
    assert_taken(&end);
    began.unwrap().elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[allow(clippy::print_stderr)]
#[test]
fn a_push_is_as_fast_as_the_device_takes_its_bytes() {
    run(async {
        let mut settings = settings();
        settings.flags.ok_after = Duration::ZERO;
        let image = Image::new(sample("2.0.0", 400_000).into());
        let (mut tools, mut copies, mut pushes) =
            ([Duration::ZERO; 11], [Duration::ZERO; 11], [Duration::ZERO; 11]);
        for round in 0..11 {
            let device = start(settings.clone(), HERE.parse().unwrap()).await.unwrap();
            tools[round] = tool(device.address(), &image).await;
            let device = start(settings.clone(), HERE.parse().unwrap()).await.unwrap();
            copies[round] = copy(device.address(), &image).await;
            let device = start(settings.clone(), HERE.parse().unwrap()).await.unwrap();
            pushes[round] = ours(device.address(), &image).await;
        }
        let (tool, copy, push) = (median(&mut tools), median(&mut copies), median(&mut pushes));
        eprintln!("as the tools do {tool:?}, plain copy {copy:?}, push {push:?}");
        // This build is not optimised, and other tests run beside it. docs/benchmarks.md has the numbers of a release.
        assert!(push <= copy.mul_f64(1.5), "{push:?} {copy:?}");
    });
}
