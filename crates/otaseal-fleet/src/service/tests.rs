use super::*;
use crate::engine::Target;
use crate::rollout::machine::{Counts, Phase};
use crate::rollout::plan::Plan;
use crate::rollout::update::State;
use crate::store::rows::{DeviceId, ReleaseId, RolloutId, Standing};
use crate::store::sqlite::Sqlite;
use crate::testing::{image, release};
use otaseal::profile::Profile;
use otaseal_delivery::pull::server::{self, Answers};
use otaseal_delivery::sim::board::Board;
use otaseal_delivery::sim::http::{Device, Fault, Mode, Outcome};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

const ROLLOUT: RolloutId = RolloutId(1);

fn start(folder: &Path) -> Arc<Service> {
    let store = Sqlite::open(&folder.join("fleet.db")).unwrap();
    let prepare = |engine: &mut Engine, _: &Loaded| {
        engine.add_release(ReleaseId(1), release("lamp", "1.0.0"), true);
        engine.add_release(ReleaseId(2), release("lamp", "2.0.0"), true);
    };
    Arc::new(Service::start(Box::new(store), Settings::default(), prepare).unwrap())
}

/// A service with its port, and devices that poll it with the bytes of real ones.
struct Bench {
    folder: tempfile::TempDir,
    service: Arc<Service>,
    devices: Vec<Device>,
}

impl Bench {
    async fn new(count: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = start(folder.path());
        let mut bench = Self { folder, service, devices: Vec::new() };
        let address = bench.open();
        for number in 0..count {
            let profile: Profile = "esp8266@3.1.2/unsigned".parse().unwrap();
            let board = Board::new(profile, &image("lamp", "1.0.0"));
            let mut device = Device::new(board, &address.to_string(), "/update");
            device.mac = [0x5C, 0xCF, 0x7F, 0, 0, number];
            bench.devices.push(device);
        }
        for number in 0..usize::from(count) {
            assert_eq!(bench.poll(number).await, Outcome::NoUpdates, "nobody has accepted it");
            let id = DeviceId(number as u32 + 1);
            let (done, receipt) =
                bench.service.change(|engine, now| engine.set_standing(id, Standing::Accepted, now));
            done.unwrap();
            assert!(receipt.wait());
        }
        bench
    }

    /// Opens the port of the service. Must be called in a `LocalSet`.
    fn open(&self) -> SocketAddr {
        let listener = server::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, service) = (Arc::clone(&self.service) as Arc<dyn Answers>, Arc::clone(&self.service));
        tokio::task::spawn_local(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            server::serve(listener, answers, None, Rc::new(move |record| service.ended(&record))).await
        });
        address
    }

    async fn poll(&mut self, number: usize) -> Outcome {
        let outcome = self.devices[number].poll(Mode::Sketch).await;
        // The server sees the end of the connection a moment after the device.
        tokio::time::sleep(Duration::from_millis(30)).await;
        outcome
    }

    fn rollout(&self) {
        let targets: Vec<Target> = (1..=self.devices.len() as u32)
            .map(|id| Target { device: DeviceId(id), from_stage: 0 })
            .collect();
        let (done, receipt) = self.service.change(|engine, now| {
            engine.draft(ROLLOUT, "all", ReleaseId(2), Plan::default(), "ann", now)?;
            engine.start(ROLLOUT, &targets, now)
        });
        done.unwrap();
        assert!(receipt.wait());
    }

    fn later(&self, seconds: u64) {
        self.service.clock.pass(seconds);
        self.service.note(|engine, now| engine.tick(now));
        self.service.note(|engine, now| engine.tick(now));
    }

    fn counts(&self) -> Counts {
        self.service.look(|engine| engine.rollout(ROLLOUT).unwrap().counts)
    }

    fn phase(&self) -> Phase {
        self.service.look(|engine| engine.rollout(ROLLOUT).unwrap().state.phase)
    }

    fn state(&self, number: usize) -> State {
        let id = DeviceId(number as u32 + 1);
        self.service.look(|engine| engine.devices().get(id).unwrap().assigned.unwrap().update.state)
    }

    /// Ends the service as a crash does, and starts another one with the same data.
    fn crash(&mut self) -> SocketAddr {
        // What was submitted is written, and nothing else: the engine's state is gone.
        let copy = tempfile::tempdir().unwrap();
        self.service.writer.with(|_| ());
        for name in ["fleet.db", "fleet.db-wal"] {
            let _ = std::fs::copy(self.folder.path().join(name), copy.path().join(name));
        }
        self.folder = copy;
        self.service = start(self.folder.path());
        let address = self.open();
        for device in &mut self.devices {
            device.host = address.to_string();
        }
        address
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn devices_pull_a_rollout_until_all_are_proved() {
    run(async {
        let mut bench = Bench::new(6).await;
        bench.rollout();
        for _ in 0..6 {
            for number in 0..6 {
                bench.poll(number).await;
            }
            bench.later(60);
        }
        assert_eq!(bench.counts().verdicts().confirmed, 6);
        assert_eq!(bench.phase(), Phase::Completed);
        for device in &bench.devices {
            assert_eq!(device.board.tokens().version.unwrap().value.as_str(), "2.0.0");
        }
    });
}

#[test]
fn what_was_answered_is_there_after_a_crash() {
    run(async {
        let mut bench = Bench::new(4).await;
        bench.rollout();
        assert_eq!(bench.poll(0).await, Outcome::Updated);
        assert_eq!(bench.state(0), State::Served);
        bench.crash();
        assert_eq!(bench.state(0), State::Served, "it is not offered again");
        assert_eq!(bench.poll(0).await, Outcome::NoUpdates);
        assert_eq!(bench.state(0), State::Confirmed);
        bench.crash();
        assert_eq!(bench.state(0), State::Confirmed);
        assert_eq!(bench.counts().verdicts().confirmed, 1);
        for _ in 0..4 {
            for number in 0..4 {
                bench.poll(number).await;
            }
            bench.later(60);
        }
        assert_eq!((bench.counts().verdicts().confirmed, bench.phase()), (4, Phase::Completed));
    });
}

#[test]
fn a_device_that_loses_its_power_is_tried_again() {
    run(async {
        let mut bench = Bench::new(1).await;
        bench.rollout();
        bench.devices[0].flags.fault = Some(Fault::LosesPowerAfter(20_000));
        bench.poll(0).await;
        bench.devices[0].flags.fault = None;
        // It is on again, as it was.
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.devices[0].poll(Mode::Sketch).await;
        assert_eq!(bench.state(0), State::Retry);
        bench.later(30 * 3_600);
        assert_eq!(bench.poll(0).await, Outcome::Updated);
        bench.poll(0).await;
        assert_eq!(bench.state(0), State::Confirmed);
    });
}

#[test]
fn a_poll_without_the_password_is_not_heard() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("fleet.db")).unwrap();
        let credentials = Some(Secret(b"device:secret".to_vec()));
        let settings = Settings { credentials, ..Settings::default() };
        let service = Arc::new(Service::start(Box::new(store), settings, |_, _| {}).unwrap());
        let mut bench = Bench { folder, service, devices: Vec::new() };
        let address = bench.open();
        let profile: Profile = "esp8266@3.1.2/unsigned".parse().unwrap();
        let board = Board::new(profile, &image("lamp", "1.0.0"));
        bench.devices.push(Device::new(board, &address.to_string(), "/update"));
        assert!(matches!(bench.poll(0).await, Outcome::Failed(_)));
        assert!(bench.service.look(|engine| engine.devices().is_empty()));
        bench.devices[0].login = Some("ZGV2aWNlOnNlY3JldA==".into());
        assert_eq!(bench.poll(0).await, Outcome::NoUpdates);
        assert_eq!(bench.service.look(|engine| engine.devices().len()), 1);
    });
}
