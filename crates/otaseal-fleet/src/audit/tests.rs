use super::*;

fn chain() -> Vec<AuditRow> {
    let mut lines: Vec<AuditRow> = Vec::new();
    for number in 0..6_u64 {
        let object = format!("rollout/{number}");
        let deed =
            Deed { actor: "anna", action: "rollout.pause", object: &object, before: "{}", after: "[]" };
        lines.push(next(lines.last(), 1_000 + number, deed));
    }
    lines
}

#[test]
fn a_chain_is_whole() {
    assert_eq!(verify(&[]), Ok(()));
    let lines = chain();
    assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(verify(&lines), Ok(()));
    assert_eq!(verify(&lines[..3]), Ok(()), "the chain does not know how long it was");
}

#[test]
fn the_form_is_fixed() {
    // SHA-256 of the bytes that the documentation gives, by `sha256sum`.
    let line = next(None, 5, Deed { actor: "a", action: "b", object: "", before: "é", after: "" });
    let shown: String = line.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(shown, "e4d0e4dbae52674e562d3a97e3d77b035362aa0fdda9331c0f1b6b3000de5200");
}

#[test]
fn a_change_of_any_field_is_seen() {
    let changes: [fn(&mut AuditRow); 8] = [
        |line| line.at += 1,
        |line| line.actor.push(' '),
        |line| line.action = "rollout.resume".into(),
        |line| line.object = "rollout/9".into(),
        |line| line.before.clear(),
        |line| line.after = "{}".into(),
        |line| line.hash[31] ^= 1,
        // The bytes move from one field to the next.
        |line| (line.actor, line.action) = ("annar".into(), "ollout.pause".into()),
    ];
    for (change, at) in changes.iter().zip([0, 1, 2, 3, 4, 5, 0, 5]) {
        let mut lines = chain();
        change(&mut lines[at]);
        assert_eq!(verify(&lines), Err(Broken::Hash(at as u64 + 1)));
    }
    let mut lines = chain();
    lines[2].number = 9;
    assert_eq!(verify(&lines), Err(Broken::Number { expected: 3, found: 9 }));
}

#[test]
fn a_line_made_again_does_not_fit_the_next() {
    let mut lines = chain();
    let deed = Deed { actor: "mallory", action: "rollout.pause", object: "", before: "", after: "" };
    lines[2] = next(Some(&lines[1]), 1_002, deed);
    assert_eq!(verify(&lines), Err(Broken::Hash(4)));
}

#[test]
fn removed_swapped_and_doubled_lines_are_seen() {
    for at in 0..5 {
        let mut lines = chain();
        lines.remove(at);
        let found = at as u64 + 2;
        assert_eq!(verify(&lines), Err(Broken::Number { expected: found - 1, found }));
        // With the numbers closed up, the hash shows it.
        (1..).zip(&mut lines).for_each(|(number, line)| line.number = number);
        assert_eq!(verify(&lines), Err(Broken::Hash(found - 1)));
        let mut lines = chain();
        lines.swap(at, at + 1);
        assert!(matches!(verify(&lines), Err(Broken::Number { .. })));
        (1..).zip(&mut lines).for_each(|(number, line)| line.number = number);
        assert_eq!(verify(&lines), Err(Broken::Hash(at as u64 + 1)));
        let mut lines = chain();
        lines.insert(at, lines[at].clone());
        assert!(matches!(verify(&lines), Err(Broken::Number { .. })));
    }
}

#[test]
fn the_log_of_a_store_is_checked() {
    use crate::store::sqlite::Sqlite;
    use crate::store::{Store, Write};
    let folder = tempfile::tempdir().unwrap();
    for (name, change, expected) in [
        ("whole", None, Ok(2_500)),
        ("changed", Some(1_234), Err(Broken::Hash(1_235))),
        ("first", Some(0), Err(Broken::Hash(1))),
        ("last", Some(2_499), Err(Broken::Hash(2_500))),
    ] {
        let mut lines: Vec<AuditRow> = Vec::new();
        for at in 0..2_500 {
            lines.push(next(lines.last(), at, Deed { actor: "anna", ..Deed::default() }));
        }
        if let Some(at) = change {
            lines[at].actor.push('x');
        }
        let mut store = Sqlite::open(&folder.path().join(name)).unwrap();
        store.apply(&lines.into_iter().map(Write::Audit).collect::<Vec<_>>()).unwrap();
        assert_eq!(verify_log(&mut *store.reader().unwrap()).unwrap(), expected, "{name}");
    }
    let store = Sqlite::open(&folder.path().join("empty")).unwrap();
    assert_eq!(verify_log(&mut *store.reader().unwrap()).unwrap(), Ok(0));
}
