//! Many devices at once.

use std::num::NonZeroUsize;

use super::*;

#[test]
fn two_hundred_devices_are_updated_at_once() {
    run(async {
        let mut devices = Vec::new();
        for _ in 0..200 {
            devices.push(start(settings(), HERE.parse().unwrap()).await.unwrap());
        }
        let image = image();
        let jobs = devices.iter().map(|device| Job {
            request: Request { times: Times::default(), ..request(device, image.clone()) },
            site: "house".into(),
        });
        let pace =
            Pace { at_once: NonZeroUsize::new(200).unwrap(), per_site: NonZeroUsize::new(200).unwrap() };
        let mut running: i32 = 0;
        let mut most = 0;
        let ends = push_all(jobs.collect(), pace, &mut |_, news| {
            running += match news {
                News::Begins => 1,
                News::Event(_) => 0,
                News::Ended(_) => -1,
            };
            most = most.max(running);
        })
        .await;
        assert_eq!(ends.len(), 200);
        ends.iter().for_each(assert_taken);
        assert_eq!(most, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
        for device in devices {
            let report = device.stop().await;
            assert!(report.board.running() == sample("2.0.0", 100_000), "a device runs something else");
        }
    });
}

#[test]
fn a_site_is_paced_and_holds_up_no_other_one() {
    run(async {
        let mut jobs = Vec::new();
        let mut devices = Vec::new();
        for number in 0..12 {
            let mut settings = settings();
            if number == 0 {
                settings.flags.fault = Some(Fault::Deaf);
            }
            let device = start(settings, HERE.parse().unwrap()).await.unwrap();
            let site = if number < 6 { "barn" } else { "house" };
            jobs.push(Job { request: request(&device, image()), site: site.into() });
            devices.push(device);
        }
        let pace = Pace { at_once: NonZeroUsize::new(3).unwrap(), per_site: NonZeroUsize::new(2).unwrap() };
        let (mut of_site, mut order) = ([0, 0], Vec::new());
        let ends = push_all(jobs, pace, &mut |number, news| {
            let site = &mut of_site[number / 6];
            match news {
                News::Begins => *site += 1,
                News::Event(_) => {}
                News::Ended(_) => {
                    *site -= 1;
                    order.push(number);
                }
            }
            assert!(*site <= 2);
            assert!(of_site.iter().sum::<i32>() <= 3);
        })
        .await;
        assert!(matches!(ends[0], End::Failed { .. }));
        ends[1..].iter().for_each(assert_taken);
        assert_eq!(order.len(), 12);
    });
}

#[test]
fn many_devices_share_a_few_ports() {
    run(async {
        let mut devices = Vec::new();
        for _ in 0..8 {
            devices.push(start(settings(), HERE.parse().unwrap()).await.unwrap());
        }
        let ports = two_free_ports();
        let jobs = devices.iter().map(|device| {
            let mut request = request(device, image());
            request.local.ports = Some(ports.clone());
            Job { request, site: String::new() }
        });
        let many = NonZeroUsize::new(8).unwrap();
        let ends = push_all(jobs.collect(), Pace { at_once: many, per_site: many }, &mut |_, _| {}).await;
        ends.iter().for_each(assert_taken);
    });
}

/// Two neighbours, below the ports that the system gives to others.
fn two_free_ports() -> RangeInclusive<u16> {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let first = (20_001..30_000).step_by(2).find(|port| is_free(port) && is_free(&(port + 1))).unwrap();
    first..=first + 1
}
