use super::*;
use crate::intake::Said;
use crate::objects::{Depot, Folder};
use crate::rollout::plan::Plan;
use crate::store::rows::{RolloutId, Standing};
use crate::store::sqlite::Sqlite;
use crate::testing::image;
use crate::token::Scopes;
use crate::trust::Faults;
use otaseal::format::digest::Digests;
use otaseal_delivery::pull::request::Request;
use otaseal_delivery::pull::server::Answers;
use std::net::Ipv4Addr;

struct Bench {
    folder: tempfile::TempDir,
    operations: Arc<Operations>,
}

fn start(folder: &Path, unsigned: bool) -> Arc<Operations> {
    let depot = Depot::new(Folder::open(folder.join("objects")).unwrap(), 1 << 20);
    let mut config = Config::default();
    config.releases.unsigned = unsigned;
    let store = |path: &Path| Ok(Box::new(Sqlite::open(path)?) as Box<dyn Store>);
    Operations::start(folder, store, depot, config, Settings::default()).unwrap()
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    Bench { operations: start(folder.path(), true), folder }
}

fn who(scopes: &[Scope]) -> Caller {
    Caller { name: "ann".into(), scopes: Scopes::of(scopes) }
}

fn owner() -> Caller {
    who(&[Scope::Own])
}

impl Bench {
    fn upload(&self, name: &str, version: &str) -> Result<ReleaseId, OperationError> {
        let mut upload = self.operations.begin_upload(&owner())?;
        upload.file(&format!("{name}.bin"))?;
        upload.write(&image(name, version))?;
        match self.operations.finish_upload(&owner(), upload, &Said::default())? {
            Uploaded::Release(row) => Ok(row.id),
            Uploaded::Asked(asked) => panic!("{asked:?}"),
        }
    }

    /// A device that runs this version polls. Returns the status that it gets.
    fn poll(&self, number: u8, version: &str) -> u16 {
        let running = image("lamp", version);
        let mac = format!("5C:CF:7F:00:00:{number:02X}");
        let (md5, size) = (Digests::of(&running).md5.to_string(), running.len().to_string());
        let fields = [
            ("user-agent", "ESP8266-http-Update"),
            ("x-esp8266-sta-mac", &mac),
            ("x-esp8266-free-space", "2000000"),
            ("x-esp8266-sketch-size", &size),
            ("x-esp8266-sketch-md5", &md5),
            ("x-esp8266-chip-size", "4194304"),
            ("x-esp8266-mode", "sketch"),
        ];
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let request = Request::parse("GET", "/update", fields).unwrap();
        let (service, peer) = (self.operations.service(), (Ipv4Addr::LOCALHOST, 1).into());
        let served = service.quick(&request, peer, 0).unwrap_or_else(|| service.slow(&request, peer, 0));
        served.answer.status()
    }

    fn accept(&self, number: u32) {
        let edit = Edit { standing: Some(Standing::Accepted), ..Edit::default() };
        self.operations.edit(&owner(), DeviceId(number), &edit).unwrap();
    }

    fn actions(&self) -> Vec<String> {
        let log = self.operations.audit_log(&owner(), None, 100).unwrap();
        log.into_iter().rev().map(|line| format!("{} {}", line.action, line.object)).collect()
    }
}

#[test]
fn a_first_evening() {
    let bench = bench();
    let (old, new) = (bench.upload("lamp", "1.0.0").unwrap(), bench.upload("lamp", "2.0.0").unwrap());
    assert_eq!((old, new), (ReleaseId(1), ReleaseId(2)));
    for number in 1..=3 {
        assert_eq!(bench.poll(number, "1.0.0"), 304);
    }
    assert_eq!(bench.operations.count(&owner(), "standing:pending").unwrap(), 3);
    (1..=3).for_each(|number| bench.accept(number));
    let plan = Plan { target: "standing:accepted".into(), ..Plan::default() };
    let dry = bench.operations.dry_run(&owner(), new, &plan).unwrap();
    assert_eq!((dry.targets, dry.eligible(), dry.not_accepted), (3, 3, 0), "{dry:?}");
    assert_eq!(dry.bytes, 3 * image("lamp", "2.0.0").len() as u64);
    let id = bench.operations.draft(&owner(), "all of them", new, &plan).unwrap();
    bench.operations.start_rollout(&owner(), id).unwrap();
    assert_eq!(bench.poll(1, "1.0.0"), 200);
    let shown = bench.operations.rollout(&owner(), id).unwrap();
    assert_eq!((shown.phase, shown.devices["sending"], shown.devices["queued"]), ("open", 1, 2));
    bench.operations.command(&owner(), id, Command::Pause).unwrap();
    assert_eq!(bench.poll(2, "1.0.0"), 304);
    let shown = bench.operations.rollout(&owner(), id).unwrap();
    assert_eq!(shown.paused.as_deref(), Some("paused by a person"));
    let sent = bench.operations.updates(&owner(), id, None, None, 10).unwrap();
    assert_eq!(sent.len(), 3);
    assert_eq!(
        bench.actions(),
        [
            "release.upload release",
            "release.upload release",
            "device.edit device/1",
            "device.edit device/2",
            "device.edit device/3",
            "rollout.draft rollout",
            "rollout.start rollout/1",
            "rollout.pause rollout/1",
        ]
    );
    let log = bench.operations.audit_log(&owner(), None, 100).unwrap();
    let lines: Vec<AuditRow> = log.into_iter().rev().collect();
    assert_eq!(audit::verify(&lines), Ok(()));
}

#[test]
fn everything_is_there_after_a_restart() {
    let Bench { folder, operations } = bench();
    let bench = Bench { folder, operations };
    bench.upload("lamp", "1.0.0").unwrap();
    bench.poll(1, "1.0.0");
    bench.accept(1);
    let token = bench.operations.first_token().unwrap().unwrap();
    assert!(bench.operations.first_token().unwrap().is_none(), "once");
    let Bench { folder, operations } = bench;
    drop(operations);
    let bench = Bench { operations: start(folder.path(), true), folder };
    assert_eq!(bench.operations.faults(), Vec::<String>::new());
    assert_eq!(bench.operations.releases(&owner()).unwrap().len(), 1);
    let ShownDevice { row, update, events } = bench.operations.device(&owner(), DeviceId(1)).unwrap();
    assert_eq!((row.standing, row.running, update), (Standing::Accepted, Some(ReleaseId(1)), None));
    assert!(events.iter().any(|(_, event)| event.code == "new"));
    let caller = bench.operations.caller(&token).unwrap();
    assert_eq!((caller.name.as_str(), caller.scopes), ("owner", Scopes::of(&[Scope::Own])));
    assert_eq!(bench.upload("lamp", "2.0.0").unwrap(), ReleaseId(2));
}

#[test]
fn a_release_that_is_not_trusted_any_more_is_not_offered() {
    let Bench { folder, operations } = bench();
    let bench = Bench { folder, operations };
    bench.upload("lamp", "1.0.0").unwrap();
    let Bench { folder, operations } = bench;
    drop(operations);
    // The owner takes the permission for unsigned releases back.
    let bench = Bench { operations: start(folder.path(), false), folder };
    assert!(bench.operations.faults()[0].contains("release 1"), "{:?}", bench.operations.faults());
    let draft = bench.operations.draft(&owner(), "x", ReleaseId(1), &Plan::default());
    assert!(matches!(draft, Err(OperationError::Control(_))), "{draft:?}");
    assert!(matches!(bench.upload("lamp", "2.0.0"), Err(OperationError::Intake(_))));
}

#[test]
fn a_damaged_object_is_not_offered() {
    let Bench { folder, operations } = bench();
    let bench = Bench { folder, operations };
    bench.upload("lamp", "1.0.0").unwrap();
    let Bench { folder, operations } = bench;
    drop(operations);
    let mut objects = vec![folder.path().join("objects")];
    while let Some(path) = objects.pop() {
        if path.is_dir() {
            objects.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            let mut permissions = std::fs::metadata(&path).unwrap().permissions();
            #[allow(clippy::permissions_set_readonly_false, reason = "a file of this test")]
            permissions.set_readonly(false);
            std::fs::set_permissions(&path, permissions).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let operations = start(folder.path(), true);
    assert!(operations.faults()[0].contains("release 1"), "{:?}", operations.faults());
}

#[test]
fn each_operation_needs_its_scope() {
    let bench = bench();
    let release = bench.upload("lamp", "1.0.0").unwrap();
    bench.poll(1, "1.0.0");
    let (plan, id, device) = (Plan::default(), RolloutId(1), DeviceId(1));
    let operations = &bench.operations;
    let edit = Edit { name: Some("lamp".into()), ..Edit::default() };
    type Try<'a> = (&'a str, Scope, Box<dyn Fn(&Caller) -> Option<OperationError> + 'a>);
    fn error<T>(result: Result<T, OperationError>) -> Option<OperationError> {
        result.err()
    }
    let tries: Vec<Try<'_>> = vec![
        ("audit", Scope::Read, Box::new(|who| error(operations.audit_log(who, None, 1)))),
        ("releases", Scope::Read, Box::new(|who| error(operations.releases(who)))),
        ("devices", Scope::Read, Box::new(|who| error(operations.devices(who, "", None, 1)))),
        ("count", Scope::Read, Box::new(|who| error(operations.count(who, "")))),
        ("device", Scope::Read, Box::new(|who| error(operations.device(who, device)))),
        ("dry run", Scope::Read, Box::new(|who| error(operations.dry_run(who, release, &plan)))),
        ("rollouts", Scope::Read, Box::new(|who| error(operations.rollouts(who)))),
        ("rollout", Scope::Read, Box::new(|who| error(operations.rollout(who, id)))),
        ("updates", Scope::Read, Box::new(|who| error(operations.updates(who, id, None, None, 1)))),
        ("upload", Scope::Upload, Box::new(|who| error(operations.begin_upload(who)))),
        ("edit", Scope::Operate, Box::new(|who| error(operations.edit(who, device, &edit)))),
        ("push", Scope::Operate, Box::new(|who| error(operations.push(who, device, release)))),
        ("again", Scope::Operate, Box::new(|who| error(operations.again(who, device)))),
        ("cancel", Scope::Operate, Box::new(|who| error(operations.cancel(who, device)))),
        ("draft", Scope::Operate, Box::new(|who| error(operations.draft(who, "x", release, &plan)))),
        ("start", Scope::Operate, Box::new(|who| error(operations.start_rollout(who, id)))),
        ("pause", Scope::Operate, Box::new(|who| error(operations.command(who, id, Command::Pause)))),
        ("withdraw", Scope::Operate, Box::new(|who| error(operations.withdraw(who, ReleaseId(9))))),
        ("delete release", Scope::Own, Box::new(|who| error(operations.delete_release(who, ReleaseId(9))))),
        ("delete device", Scope::Own, Box::new(|who| error(operations.delete_device(who, DeviceId(9))))),
        ("keys", Scope::Read, Box::new(|who| error(operations.keys(who)))),
        ("add key", Scope::Own, Box::new(|who| error(operations.add_key(who, b"x", Faults::Refuse)))),
        ("tokens", Scope::Own, Box::new(|who| error(operations.tokens(who)))),
        (
            "make token",
            Scope::Own,
            Box::new(|who| error(operations.make_token(who, "a b", Scopes::default(), None))),
        ),
        ("revoke token", Scope::Own, Box::new(|who| error(operations.revoke_token(who, "x")))),
    ];
    let is_forbidden = |error: &Option<OperationError>| matches!(error, Some(OperationError::Forbidden(_)));
    for (name, scope, attempt) in &tries {
        for other in Scope::ALL {
            let allowed = Scopes::of(&[other]).allow(*scope);
            // A name that is none is refused before the scope is asked.
            let result = attempt(&who(&[other]));
            if *name != "make token" {
                assert_eq!(is_forbidden(&result), !allowed, "{name} with {other:?}: {result:?}");
            }
        }
        let nobody = attempt(&who(&[]));
        assert!(nobody.is_some(), "{name} with no scope");
    }
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let bench = bench();
    let release = bench.upload("lamp", "1.0.0").unwrap();
    let unused = bench.upload("fan", "1.0.0").unwrap();
    bench.poll(1, "1.0.0");
    assert!(matches!(bench.operations.delete_release(&owner(), release), Err(OperationError::InUse(_))));
    bench.operations.delete_release(&owner(), unused).unwrap();
    assert!(matches!(bench.operations.delete_release(&owner(), unused), Err(OperationError::NoRelease(_))));
    assert_eq!(bench.upload("fan", "1.0.0").unwrap(), ReleaseId(3), "a number is not used twice");
    assert!(matches!(bench.upload("fan", "1.0.0"), Err(OperationError::Same(ReleaseId(3)))));
}

#[test]
fn texts_of_people_are_bounded_and_kept() {
    let bench = bench();
    bench.poll(1, "1.0.0");
    let hostile = "<script>'; DROP TABLE devices; --";
    let edit = Edit {
        name: Some(hostile.into()),
        site: Some("berlin".into()),
        tags: Some(vec!["b".into(), "a".into(), "b".into()]),
        profile: Some("esp8266@3.1.2".into()),
        ..Edit::default()
    };
    bench.operations.edit(&owner(), DeviceId(1), &edit).unwrap();
    let row = bench.operations.device(&owner(), DeviceId(1)).unwrap().row;
    assert_eq!((row.name.as_str(), row.site.as_str(), row.tags.len()), (hostile, "berlin", 2));
    assert_eq!(bench.operations.count(&owner(), "site:berlin tag:a").unwrap(), 1);
    for edit in [
        Edit { name: Some(String::new()), ..Edit::default() },
        Edit { name: Some("a\nb".into()), ..Edit::default() },
        Edit { note: Some("x".repeat(257)), ..Edit::default() },
        Edit { tags: Some(vec!["t".into(); 33]), ..Edit::default() },
        Edit { tags: Some(vec![" ".into()]), ..Edit::default() },
        Edit { profile: Some("esp9999".into()), ..Edit::default() },
    ] {
        let result = bench.operations.edit(&owner(), DeviceId(1), &edit);
        assert!(matches!(result, Err(OperationError::Text { .. })), "{edit:?}");
    }
    let nobody = bench.operations.edit(&owner(), DeviceId(7), &Edit::default());
    assert!(matches!(nobody, Err(OperationError::NoDevice(_))));
}

#[test]
fn a_rollout_that_would_strand_devices_must_say_so() {
    use crate::testing::signed;
    let bench = bench();
    bench.upload("lamp", "1.0.0").unwrap();
    bench.poll(1, "1.0.0");
    bench.accept(1);
    // The image carries a key, and the fleet trusts none.
    let mut upload = bench.operations.begin_upload(&owner()).unwrap();
    upload.file("lamp.bin").unwrap();
    upload.write(&signed::image("2.0.0")).unwrap();
    let Uploaded::Release(row) = bench.operations.finish_upload(&owner(), upload, &Said::default()).unwrap()
    else {
        panic!("it says all")
    };
    let mut plan = Plan { target: "id:1".into(), ..Plan::default() };
    let id = bench.operations.draft(&owner(), "x", row.id, &plan).unwrap();
    let refused = bench.operations.start_rollout(&owner(), id);
    assert!(matches!(refused, Err(OperationError::Strands { devices: 1 })), "{refused:?}");
    plan.strand = true;
    let id = bench.operations.draft(&owner(), "x", row.id, &plan).unwrap();
    bench.operations.start_rollout(&owner(), id).unwrap();
}

#[test]
fn a_plan_that_reaches_nobody_does_not_start() {
    let bench = bench();
    let release = bench.upload("lamp", "1.0.0").unwrap();
    bench.poll(1, "1.0.0");
    let plan = Plan { target: "site:nowhere".into(), ..Plan::default() };
    let id = bench.operations.draft(&owner(), "x", release, &plan).unwrap();
    assert!(matches!(bench.operations.start_rollout(&owner(), id), Err(OperationError::NoTargets)));
    let wrong = Plan { target: "colour:red".into(), ..Plan::default() };
    assert!(matches!(bench.operations.draft(&owner(), "x", release, &wrong), Err(OperationError::Filter(_))));
    for name in ["", "  ", "a\u{7}b", &"x".repeat(200)] {
        assert!(bench.operations.draft(&owner(), name, release, &plan).is_err(), "{name:?}");
    }
}

#[test]
fn a_rule_accepts_new_devices_and_a_rollout_takes_them_in() {
    let folder = tempfile::tempdir().unwrap();
    let depot = Depot::new(Folder::open(folder.path().join("objects")).unwrap(), 1 << 20);
    let mut config = Config::default();
    config.releases.unsigned = true;
    config.inventory.accept = Some("mac:5C:CF:7F:00:00:01 or mac:5C:CF:7F:00:00:02".into());
    let store = |path: &Path| Ok(Box::new(Sqlite::open(path)?) as Box<dyn Store>);
    let operations = Operations::start(folder.path(), store, depot, config, Settings::default()).unwrap();
    let bench = Bench { folder, operations };
    bench.upload("lamp", "1.0.0").unwrap();
    let new = bench.upload("lamp", "2.0.0").unwrap();
    let standing = |id| bench.operations.device(&owner(), DeviceId(id)).unwrap().row.standing;
    bench.poll(1, "1.0.0");
    bench.operations.admit().unwrap();
    assert_eq!(standing(1), Standing::Accepted);
    let plan = Plan { target: "family:esp8266".into(), follow: true, ..Plan::default() };
    let id = bench.operations.draft(&owner(), "follows", new, &plan).unwrap();
    bench.operations.start_rollout(&owner(), id).unwrap();
    for number in [2, 3] {
        bench.poll(number, "1.0.0");
    }
    // Once for the rule, once for the rollout.
    bench.operations.admit().unwrap();
    bench.operations.admit().unwrap();
    assert_eq!((standing(2), standing(3)), (Standing::Accepted, Standing::Pending));
    assert_eq!(bench.poll(2, "1.0.0"), 200);
    assert_eq!(bench.poll(3, "1.0.0"), 304);
    assert_eq!(bench.operations.rollout(&owner(), id).unwrap().devices.values().sum::<u64>(), 2);
    drop(bench.folder);
}

#[test]
fn signed_releases_come_in_by_a_trusted_key_and_go_with_it() {
    use crate::testing::signed;
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { operations: start(folder.path(), false), folder };
    let upload = || {
        let mut upload = bench.operations.begin_upload(&owner())?;
        for (name, bytes) in signed::package(&signed::image("1.0.0")) {
            upload.file(&name)?;
            upload.write(&bytes)?;
        }
        bench.operations.finish_upload(&owner(), upload, &Said::default())
    };
    assert!(matches!(upload(), Err(OperationError::Intake(_))), "nobody is trusted yet");
    let pem = signed::public().to_spki_pem();
    let refused = bench.operations.add_key(&owner(), pem.as_bytes(), Faults::Refuse);
    assert!(matches!(refused, Err(OperationError::Trust(_))), "everybody has the private half of it");
    let id = bench.operations.add_key(&owner(), pem.as_bytes(), Faults::Accept).unwrap().to_string();
    let Ok(Uploaded::Release(row)) = upload() else { panic!("it is signed by a trusted key") };
    assert_eq!(row.key_id.as_ref(), Some(&id));
    let used = bench.operations.remove_key(&owner(), &id, false);
    assert!(matches!(used, Err(OperationError::Trust(_))), "{used:?}");
    bench.operations.remove_key(&owner(), &id, true).unwrap();
    assert!(matches!(bench.operations.remove_key(&owner(), &id, true), Err(OperationError::NoKey)));
    assert!(bench.operations.draft(&owner(), "x", row.id, &Plan::default()).is_err());
    assert!(bench.operations.faults()[0].contains("not trusted any more"));
}
