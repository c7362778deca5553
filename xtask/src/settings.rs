//! `cargo xtask settings`: writes the tables of docs/reference/settings.md, from the table of settings in the library.

use crate::Result;
use otaseal::project::settings::{SETTINGS, Section, Setting};
use std::fs;
use std::path::Path;

/// The sections of the page and the names in their markers.
const SECTIONS: [(Section, &str); 5] = [
    (Section::Keys, "keys"),
    (Section::Build, "build"),
    (Section::Package, "package"),
    (Section::Devices, "devices"),
    (Section::Evidence, "evidence"),
];

/// Writes the tables, or with `check` compares them with the page.
///
/// # Errors
///
/// A page without a marker, a page that cannot be written, and with `check` a table that differs.
pub(crate) fn run(root: &Path, check: bool) -> Result<String> {
    let path = root.join("docs/reference/settings.md");
    let before = fs::read_to_string(&path)?;
    let mut page = before.clone();
    for (section, name) in SECTIONS {
        let (begin, end) = (format!("<!-- settings: {name} -->\n"), "<!-- end of settings -->");
        let lost = || format!("{} has lost the markers of `{name}`", path.display());
        let from = page.find(&begin).ok_or_else(lost)? + begin.len();
        let to = from + page[from..].find(end).ok_or_else(lost)?;
        page.replace_range(from..to, &table(section));
    }
    match (page == before, check) {
        (true, _) => {}
        (false, true) => {
            return Err(format!("{} is not up to date\nrun: cargo xtask settings", path.display()).into());
        }
        (false, false) => fs::write(&path, page)?,
    }
    Ok(format!("{} settings", SETTINGS.len()))
}

fn table(section: Section) -> String {
    let mut text = "\n| setting | meaning | default | read by |\n|---|---|---|---|\n".to_owned();
    for setting in SETTINGS.iter().filter(|setting| setting.section == section) {
        let default = match (setting.default, setting.xtask_default) {
            (default, None) => default.to_owned(),
            (default, Some(xtask)) => format!("{default}; cargo xtask: {xtask}"),
        };
        let (name, meaning) = (setting.name, setting.documentation());
        text.push_str(&format!("| `{name}` | {meaning} | {default} | {} |\n", readers(setting)));
    }
    text + "\n"
}

/// Returns the commands that read a setting, by program. A star marks those that have no option for it.
fn readers(setting: &Setting) -> String {
    let mut programs: Vec<(&str, Vec<String>)> = Vec::new();
    for command in setting.both.iter().chain(setting.file_only) {
        let (program, name) = command.name();
        let option = setting.option(*command);
        let name = match (setting.both.contains(command), option == setting.name) {
            (false, _) => format!("{name}\\*"),
            (true, true) => name.to_owned(),
            (true, false) => format!("{name} (`--{option}`)"),
        };
        match programs.iter_mut().find(|(known, _)| *known == program) {
            Some((_, names)) => names.push(name),
            None => programs.push((program, vec![name])),
        }
    }
    programs.sort();
    let programs = programs.iter().map(|(program, names)| format!("{program} {}", names.join(", ")));
    programs.collect::<Vec<_>>().join("; ")
}
