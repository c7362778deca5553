//! Reads messages, causes and cures from the sources of the library and the program.

use quote::ToTokens;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, File, Item, ItemImpl, Local, Pat, Type, UseTree};

/// An error type.
pub(crate) struct Shape {
    pub(crate) name: String,
    /// Its module, for names that there are twice.
    module: Vec<String>,
    pub(crate) is_error: bool,
    pub(crate) variants: Vec<Variant>,
}

/// One error.
pub(crate) struct Variant {
    pub(crate) name: String,
    /// The message, with `…` in the place of what differs. `None` if it is another error's.
    pub(crate) text: Option<String>,
    /// The documentation.
    pub(crate) cause: String,
}

/// Reads all types of a crate.
pub(crate) fn shapes(source: &Path) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (path, file) in files(source) {
        let relative = path.strip_prefix(source).unwrap().with_extension("");
        let module: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let module: Vec<String> = module.into_iter().filter(|part| part != "mod").collect();
        let displayed = displayed(&file);
        for item in &file.items {
            let (name, attributes, variants) = match item {
                Item::Enum(item) => {
                    let of = |name: &str, attributes: &[Attribute]| Variant {
                        name: name.to_owned(),
                        text: message(attributes)
                            .or_else(|| displayed.get(&item.ident.to_string())?.get(name).cloned()),
                        cause: documentation(attributes),
                    };
                    let variants =
                        item.variants.iter().map(|variant| of(&variant.ident.to_string(), &variant.attrs));
                    (item.ident.to_string(), &item.attrs, variants.collect())
                }
                Item::Struct(item) => {
                    let by_hand = || displayed.get(&item.ident.to_string())?.get("").cloned();
                    let variant = Variant {
                        name: String::new(),
                        text: message(&item.attrs).or_else(by_hand),
                        cause: documentation(&item.attrs),
                    };
                    (item.ident.to_string(), &item.attrs, vec![variant])
                }
                _ => continue,
            };
            let is_error = attributes.iter().any(|attribute| {
                attribute.path().is_ident("derive")
                    && attribute.to_token_stream().to_string().contains("thiserror :: Error")
            });
            shapes.push(Shape { name, module: module.clone(), is_error, variants });
        }
    }
    shapes
}

fn files(source: &Path) -> Vec<(PathBuf, File)> {
    let mut found = Vec::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap_or_default();
            if stem == "tests" || stem == "testing" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                found.push((path, file));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

/// Returns the first paragraph of a documentation, as a sentence.
fn documentation(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let text = strings(&attribute.to_token_stream()).concat();
        match text.trim() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut text = lines.join(" ");
    // A link in the documentation of the code leads nowhere in the book.
    while let Some(at) = text.find("`](") {
        let end = at + text[at..].find(')').unwrap_or(3);
        text.replace_range(at + 2..=end, "");
    }
    // One in brackets is for programmers alone.
    while let Some(at) = text.find(" ([`") {
        let end = at + text[at..].find("`])").map_or(1, |end| end + 2);
        text.replace_range(at..=end, "");
    }
    text.replace("[`", "`").replace("`]", "`")
}

fn message(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("error"))?;
    strings(&attribute.to_token_stream()).first().map(|text| quoted(text))
}

/// Returns the messages of types that write them by hand: of each type, by the name of the variant.
fn displayed(file: &File) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for item in impls(file, "Display") {
        let arms = Arms::of(item, &[]);
        let first = |texts: &Vec<String>| Some(texts.first()?.replace('`', "'"));
        // A struct has one text and no variant.
        let all = arms.by_variant.into_iter().chain([(String::new(), arms.others)]);
        let texts = all.filter_map(|(name, texts)| Some((name, first(&texts)?)));
        found.insert(type_name(item), texts.collect());
    }
    found
}

fn impls<'f>(file: &'f File, of: &str) -> Vec<&'f ItemImpl> {
    let wanted = |item: &&ItemImpl| {
        item.trait_.as_ref().is_some_and(|(_, path, _)| path.segments.last().unwrap().ident == of)
    };
    let all = file.items.iter().filter_map(|item| match item {
        Item::Impl(item) => Some(item),
        _ => None,
    });
    all.filter(wanted).collect()
}

fn type_name(item: &ItemImpl) -> String {
    let Type::Path(path) = &*item.self_ty else { return String::new() };
    path.path.segments.last().unwrap().ident.to_string()
}

/// The advice on one error type.
pub(crate) struct Cures {
    /// Its path, as the file of the advice imports it.
    path: Vec<String>,
    arms: Arms,
}

impl Cures {
    /// Reads one file of the table.
    pub(crate) fn read(path: &Path) -> Vec<Self> {
        let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
        let mut imports = BTreeMap::new();
        for item in &file.items {
            if let Item::Use(item) = item {
                import(&item.tree, &mut Vec::new(), &mut imports);
            }
        }
        let functions: Vec<_> = file
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Fn(item) => Some((item.sig.ident.to_string(), strings(&item.block.to_token_stream()))),
                // A text that several errors share.
                Item::Const(item) => Some((item.ident.to_string(), strings(&item.expr.to_token_stream()))),
                _ => None,
            })
            .collect();
        let cures = impls(&file, "Advice").into_iter().map(|item| {
            let name = type_name(item);
            let path = imports.get(&name).unwrap_or_else(|| panic!("{name} is not imported")).clone();
            Self { path, arms: Arms::of(item, &functions) }
        });
        cures.collect()
    }

    /// Finds the type.
    pub(crate) fn shape<'s>(&self, shapes: &'s [Shape]) -> &'s Shape {
        let (name, module) = self.path.split_last().unwrap();
        let candidates: Vec<_> = shapes.iter().filter(|shape| shape.name == *name).collect();
        let exact = candidates.iter().find(|shape| shape.module == module);
        let inside = candidates.iter().find(|shape| shape.module.starts_with(module));
        exact.or(inside).unwrap_or_else(|| panic!("there is no {}", self.path.join("::")))
    }

    /// Returns the cures of one variant.
    pub(crate) fn of(&self, variant: &str) -> Vec<String> {
        let own = self.arms.by_variant.get(variant);
        own.unwrap_or(&self.arms.others).clone()
    }
}

fn import(tree: &UseTree, path: &mut Vec<String>, found: &mut BTreeMap<String, Vec<String>>) {
    let full = |path: &[String], name: String| {
        path.iter().filter(|part| *part != "crate").cloned().chain([name]).collect::<Vec<_>>()
    };
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            import(&inner.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| import(tree, path, found)),
        UseTree::Name(name) => {
            found.insert(name.ident.to_string(), full(path, name.ident.to_string()));
        }
        UseTree::Rename(rename) => {
            found.insert(rename.rename.to_string(), full(path, rename.ident.to_string()));
        }
        UseTree::Glob(_) => {}
    }
}

/// The texts of a `match self`, by variant.
#[derive(Default)]
struct Arms {
    by_variant: BTreeMap<String, Vec<String>>,
    /// The texts for variants that have no arm of their own.
    others: Vec<String>,
    /// The texts of local names.
    locals: BTreeMap<String, String>,
    /// The texts of functions and constants that an arm may name.
    functions: BTreeMap<String, Vec<String>>,
}

impl Arms {
    fn of(item: &ItemImpl, functions: &[(String, Vec<String>)]) -> Self {
        let mut arms = Self { functions: functions.iter().cloned().collect(), ..Self::default() };
        arms.visit_item_impl(item);
        if arms.by_variant.is_empty() && arms.others.is_empty() {
            // Texts of two words are pieces of a longer one.
            let texts = arms.texts(&item.to_token_stream()).into_iter();
            arms.others = texts.filter(|text| text.split(' ').count() > 2).collect();
        }
        arms
    }

    /// Returns the texts in a piece of code, those of the functions that it calls among them.
    fn texts(&self, code: &proc_macro2::TokenStream) -> Vec<String> {
        let mut found = strings(code);
        for word in words(code) {
            found.extend(self.functions.get(&word).into_iter().flatten().cloned());
        }
        let sentences = found.into_iter().filter(|text| text.trim().contains(' '));
        sentences.map(|text| shown(&text, &self.locals)).collect()
    }
}

impl<'ast> Visit<'ast> for Arms {
    fn visit_local(&mut self, local: &'ast Local) {
        if let (Pat::Ident(name), Some(init)) = (&local.pat, &local.init) {
            // The last text is the program's, where it differs from that of the tasks under Cargo.
            let text = self.texts(&init.expr.to_token_stream()).pop();
            let is_match_of_self = matches!(&*init.expr, Expr::Match(inner) if is_self(&inner.expr));
            if let Some(text) = text.filter(|_| !is_match_of_self) {
                self.locals.insert(name.ident.to_string(), text);
            }
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        if !is_self(&expression.expr) {
            visit::visit_expr_match(self, expression);
            return;
        }
        for arm in &expression.arms {
            if let Expr::Block(block) = &*arm.body {
                self.visit_expr_block(block);
            }
            let texts = self.texts(&arm.body.to_token_stream());
            let pattern = words(&arm.pat.to_token_stream());
            let names: Vec<_> =
                pattern.windows(2).filter(|pair| pair[0] == "Self").map(|pair| pair[1].clone()).collect();
            if names.is_empty() {
                self.others.extend(texts);
                continue;
            }
            for name in names {
                let known = self.by_variant.entry(name).or_default();
                known.extend(texts.iter().filter(|text| !known.contains(text)).cloned().collect::<Vec<_>>());
            }
        }
    }
}

fn is_self(expression: &Expr) -> bool {
    expression.to_token_stream().to_string().trim_start_matches('*').trim() == "self"
}

/// Returns the string literals of a piece of code, in macros too.
fn strings(code: &proc_macro2::TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in code.clone() {
        match token {
            proc_macro2::TokenTree::Group(group) => found.extend(strings(&group.stream())),
            proc_macro2::TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push(text.value());
                }
            }
            _ => {}
        }
    }
    found
}

/// Returns the names in a piece of code.
fn words(code: &proc_macro2::TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in code.clone() {
        match token {
            proc_macro2::TokenTree::Group(group) => found.extend(words(&group.stream())),
            proc_macro2::TokenTree::Ident(word) => found.push(word.to_string()),
            _ => {}
        }
    }
    found
}

/// Writes a format string as a reader sees it: a local text where there is one, `…` in the place of every other value.
fn shown(format: &str, locals: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at].replace("}}", "}"));
        if rest[at..].starts_with("{{") {
            text.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        let end = at + rest[at..].find('}').unwrap_or(0);
        match &rest[at + 1..end] {
            "keygen" => text.push_str("otaseal keygen"),
            // A text that is no format string may have braces of its own.
            own if own.starts_with(' ') => text.push_str(&rest[at..=end]),
            name => text.push_str(locals.get(name).map_or("…", String::as_str)),
        }
        rest = &rest[end + 1..];
    }
    text.push_str(&rest.replace("}}", "}"));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes a message so that it can stand between backticks.
fn quoted(format: &str) -> String {
    shown(format, &BTreeMap::new()).replace('`', "'")
}

/// Returns the messages and the cures that the program itself writes, without those of the library.
pub(crate) fn failures(source: &Path) -> Vec<(String, String)> {
    let mut calls = Calls::default();
    files(source).iter().for_each(|(_, file)| calls.visit_file(file));
    calls.0.sort();
    calls.0.dedup();
    calls.0
}

#[derive(Default)]
struct Calls(Vec<(String, String)>);

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let function = words(&call.func.to_token_stream());
        let makes = |name: &str| function.last().is_some_and(|last| last == name);
        let of_failure = function.len() > 1 && ["Failure", "Self"].contains(&&*function[0]);
        if of_failure && (makes("new") || makes("usage")) && call.args.len() == 2 {
            let [message, cure] = [0, 1].map(|index| strings(&call.args[index].to_token_stream()));
            let locals = BTreeMap::new();
            if let (Some(message), false) = (message.first(), cure.is_empty()) {
                let cure: Vec<_> = cure.iter().map(|text| shown(text, &locals)).collect();
                self.0.push((quoted(message), cure.join("; or ")));
            }
        }
        visit::visit_expr_call(self, call);
    }
}
