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

/// A push is faster than the tools, which wait for the number after each block. Other tests run beside this one, so the
/// best of several rounds counts. `examples/espota_speed.rs` measures a build for release.
#[test]
fn a_push_is_as_fast_as_the_device_takes_its_bytes() {
    run(async {
        let mut settings = settings();
        settings.flags.ok_after = Duration::ZERO;
        let image = Image::new(sample("2.0.0", 400_000).into());
        let mut best = [Duration::MAX; 3];
        for _ in 0..15 {
            let device = start(settings.clone(), HERE.parse().unwrap()).await.unwrap();
            best[0] = best[0].min(tool(device.address(), &image).await);
            let device = start(settings.clone(), HERE.parse().unwrap()).await.unwrap();
            best[1] = best[1].min(copy(device.address(), &image).await);
            let device = start(settings.clone(), HERE.parse().unwrap()).await.unwrap();
            best[2] = best[2].min(ours(device.address(), &image).await);
        }
        let [tool, copy, push] = best;
        assert!(push < tool, "push {push:?}, as the tools do {tool:?}");
        assert!(push <= 2 * copy, "push {push:?}, plain copy {copy:?}");
    });
}
