//! What to do, in order, in words.

use super::{Fate, Group, Lacking};

fn files<'g>(groups: &'g [Group], wanted: impl Fn(&Fate) -> bool + 'g) -> String {
    let files = groups.iter().filter(|group| wanted(&group.fate)).map(|group| group.runs.file.as_str());
    files.collect::<Vec<_>>().join(", ")
}

pub(super) fn planned(groups: &[Group], bridges: &[String], lacking: Option<Lacking>) -> Vec<String> {
    let mut steps = Vec::new();
    find(groups, &mut steps);
    let waiting = files(groups, |fate| matches!(fate, Fate::Bridge { .. }));
    if !waiting.is_empty() {
        steps.push(match (bridges.first(), lacking) {
            (None, _) => {
                "make the bridge: a release that carries the new key, signed by the old one; show it to this \
                          command, which proves it"
                    .into()
            }
            (Some(bridge), Some(_)) => {
                format!("show the image of {bridge}: its manifest alone proves no bridge")
            }
            (Some(bridge), None) => {
                format!("the bridge is {bridge}: signed by the old key, carries the new one")
            }
        });
        steps.push(format!("send the bridge to devices that run {waiting}"));
        steps.push("wait until they all report it: what the new key signs is refused by the others".into());
    }
    steps.push("from then on sign with the new key, and leave the old one out of the builds".into());
    by_hand(groups, &mut steps);
    if !waiting.is_empty() {
        let keep =
            "keep the old key until the last device is over: without it, the bridge cannot be made again";
        steps.push(keep.into());
    }
    steps
}

pub(super) fn compromised(groups: &[Group], clean: &[String], lacking: Option<Lacking>) -> Vec<String> {
    let mut steps = vec!["sign nothing with the old key any more, and build it into nothing".to_owned()];
    find(groups, &mut steps);
    let both = files(groups, |fate| matches!(fate, Fate::Retire { .. }));
    if !both.is_empty() {
        if let (Some(file), Some(_)) = (clean.first(), lacking) {
            steps.push(format!("show the image of {file}: its manifest alone proves nothing"));
        }
        steps.push(match clean.first() {
            Some(file) => format!("send {file} at once to devices that run {both}: it carries the new key alone"),
            None => format!(
                "make a release that carries the new key alone, signed by it, and send it at once to devices that run \
                 {both}"
            ),
        });
        steps.push(
            "one that does not report it, or reports what you did not send, counts as taken over".into(),
        );
    }
    by_hand(groups, &mut steps);
    steps
}

/// What must be known before anything is done.
fn find(groups: &[Group], steps: &mut Vec<String>) {
    let unknown = files(groups, |fate| matches!(fate, Fate::Unknown));
    if !unknown.is_empty() {
        steps.push(format!(
            "find the images of {unknown}, and show them to this command: their manifests do not say which keys they carry"
        ));
    }
    let doubtful = files(groups, |fate| matches!(fate, Fate::Doubtful { .. }));
    if !doubtful.is_empty() {
        steps.push(format!(
            "find out who signed {doubtful}, and whether it is whole; where devices run it all the same, show its unsigned \
             image to this command"
        ));
    }
}

fn by_hand(groups: &[Group], steps: &mut Vec<String>) {
    let lost = files(groups, |fate| matches!(fate, Fate::Stranded { .. }));
    if !lost.is_empty() {
        steps.push(format!("reflash by hand, over a cable, the devices that run {lost}"));
    }
    let unchecked = files(groups, |fate| matches!(fate, Fate::Unchecked));
    if !unchecked.is_empty() {
        steps.push(format!(
            "devices that run {unchecked} check no signature: they take the next release as it is, and until then \
             anybody's"
        ));
    }
}
