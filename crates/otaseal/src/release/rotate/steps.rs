//! Writes the steps of a plan as sentences, in order.

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
                "make the bridge: a release that carries the new key, signed by the old one; then plan again with it"
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
        steps.push("wait until they all report it: the others refuse what the new key signs".into());
    }
    steps.push("from then on sign with the new key, and leave the old one out of the builds".into());
    by_hand(groups, &mut steps);
    if !waiting.is_empty() {
        let keep = "keep the old key until the last device has the bridge: only the old key can sign the bridge again";
        steps.push(keep.into());
    }
    steps
}

pub(super) fn compromised(groups: &[Group], clean: &[String], lacking: Option<Lacking>) -> Vec<String> {
    let mut steps = vec!["do not sign with the old key any more, and leave it out of all builds".to_owned()];
    find(groups, &mut steps);
    let both = files(groups, |fate| matches!(fate, Fate::Retire { .. }));
    if !both.is_empty() {
        if let (Some(file), Some(_)) = (clean.first(), lacking) {
            steps.push(format!("show the image of {file}: its manifest alone proves nothing"));
        }
        steps.push(match clean.first() {
            Some(file) => format!("send {file} at once to devices that run {both}: it carries only the new key"),
            None => format!(
                "make a release that carries only the new key, signed by it, and send it at once to devices that run \
                 {both}"
            ),
        });
        steps.push(
            "treat a device as taken over if it does not report it, or reports an image that you did not send".into(),
        );
    }
    by_hand(groups, &mut steps);
    steps
}

/// Facts that you must find out first.
fn find(groups: &[Group], steps: &mut Vec<String>) {
    let unknown = files(groups, |fate| matches!(fate, Fate::Unknown));
    if !unknown.is_empty() {
        steps.push(format!(
            "find the images of {unknown} and plan again with them: their manifests do not list the keys"
        ));
    }
    let doubtful = files(groups, |fate| matches!(fate, Fate::Doubtful { .. }));
    if !doubtful.is_empty() {
        steps.push(format!(
            "find out who signed {doubtful}, and whether it is damaged; if devices run it all the same, plan again \
             with its unsigned image"
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
            "devices that run {unchecked} check no signature: they take the next release, and until then any update \
             from anybody"
        ));
    }
}
