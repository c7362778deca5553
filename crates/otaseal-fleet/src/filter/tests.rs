use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Expr {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).root
}

fn fault(text: &str) -> (usize, Expected) {
    let error = Filter::parse(text).expect_err(text);
    (error.at, error.expected)
}

fn word(text: &str) -> Expr {
    Expr::Term(Term::Word(text.into()))
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

#[test]
fn each_term_is_read() {
    let span = |count, unit| Span { count, unit };
    for (text, term) in [
        ("kitchen", Term::Word("kitchen".into())),
        ("\"living room\"", Term::Word("living room".into())),
        ("\"a \\\"b\\\" \\\\\"", Term::Word("a \"b\" \\".into())),
        ("5C:CF:7f", Term::Word("5C:CF:7f".into())),
        ("\"or\"", Term::Word("or".into())),
        ("order", Term::Word("order".into())),
        ("version==1", Term::Word("version==1".into())),
        ("name~Küche", Term::Name("Küche".into())),
        ("site:berlin", Term::Site("berlin".into())),
        ("site:\"\"", Term::Site(String::new())),
        ("site:-x:y~z", Term::Site("-x:y~z".into())),
        ("site:=x", Term::Site("=x".into())),
        ("tag:\"a b\"", Term::Tag("a b".into())),
        ("board:d1_mini", Term::Board("d1_mini".into())),
        ("family:ESP8266", Term::Family(Family::Esp8266)),
        ("family:rp2040", Term::Family(Family::Rp2040)),
        ("standing:pending", Term::Standing(Standing::Pending)),
        ("source:homie", Term::Source(Source::Homie)),
        ("firmware:lamp", Term::Firmware("lamp".into())),
        ("version:abc", Term::Version("abc".into())),
        ("version<1.4.2", Term::Versions(Side::Below, "1.4.2".into())),
        ("version<=1.4.2", Term::Versions(Side::UpTo, "1.4.2".into())),
        ("version>1.4.2-rc.1", Term::Versions(Side::Above, "1.4.2-rc.1".into())),
        ("version>=\"v2\"", Term::Versions(Side::From, "v2".into())),
        ("release:7", Term::Release(Some(ReleaseId(7)))),
        ("release:none", Term::Release(None)),
        ("state:attention", Term::State(State::Attention)),
        ("rollout:3", Term::Rollout(RolloutId(3))),
        ("seen<7d", Term::Seen(Seen::Within, span(7, Unit::Day))),
        ("seen>90s", Term::Seen(Seen::NotSince, span(90, Unit::Second))),
        ("seen>4294967295w", Term::Seen(Seen::NotSince, span(u32::MAX, Unit::Week))),
        ("id:4294967295", Term::Id(DeviceId(u32::MAX))),
        ("mac:5c:CF:7F", Term::Mac(MacStart(vec![0x5C, 0xCF, 0x7F]))),
        ("mac:5ccf7faabb0c", Term::Mac(MacStart(vec![0x5C, 0xCF, 0x7F, 0xAA, 0xBB, 0x0C]))),
        ("mac:5C-CF", Term::Mac(MacStart(vec![0x5C, 0xCF]))),
    ] {
        assert_eq!(parse(text), Expr::Term(term), "{text}");
    }
}

#[test]
fn terms_are_joined() {
    let (a, b, c) = (word("a"), word("b"), word("c"));
    for (text, expr) in [
        ("", Expr::And(vec![])),
        (" \t ", Expr::And(vec![])),
        (" a ", a.clone()),
        ("((a))", a.clone()),
        ("a b", Expr::And(vec![a.clone(), b.clone()])),
        ("a\nb", Expr::And(vec![a.clone(), b.clone()])),
        ("a and b AND c", Expr::And(vec![a.clone(), b.clone(), c.clone()])),
        ("(a b) c", Expr::And(vec![a.clone(), b.clone(), c.clone()])),
        ("a or b", Expr::Or(vec![a.clone(), b.clone()])),
        ("a OR (b or c)", Expr::Or(vec![a.clone(), b.clone(), c.clone()])),
        ("a b or c", Expr::Or(vec![Expr::And(vec![a.clone(), b.clone()]), c.clone()])),
        ("a (b or c)", Expr::And(vec![a.clone(), Expr::Or(vec![b.clone(), c.clone()])])),
        ("a(b or c)", Expr::And(vec![a.clone(), Expr::Or(vec![b.clone(), c.clone()])])),
        ("-a", not(a.clone())),
        ("-(a)", not(a.clone())),
        ("-(-a)", not(not(a.clone()))),
        ("-(a b) c", Expr::And(vec![not(Expr::And(vec![a.clone(), b.clone()])), c.clone()])),
        ("a-b", word("a-b")),
        ("-\"-a\"", not(word("-a"))),
        ("-site:\"\"", not(Expr::Term(Term::Site(String::new())))),
    ] {
        assert_eq!(parse(text), expr, "{text}");
    }
    assert!(Filter::parse(" ").unwrap().is_all() && Filter::default().is_all());
    assert!(!Filter::parse("a").unwrap().is_all());
}

#[test]
fn faults_say_where_and_what_is_expected() {
    for (text, at, expected) in [
        ("a or", 4, Expected::Term),
        ("or a", 0, Expected::Term),
        ("a or or b", 5, Expected::Term),
        ("a and", 5, Expected::Term),
        ("a and or b", 6, Expected::Term),
        ("-", 1, Expected::Term),
        ("- a", 1, Expected::Term),
        ("--a", 1, Expected::Term),
        ("()", 1, Expected::Term),
        ("\"\"", 0, Expected::Term),
        ("a)", 1, Expected::TermOrEnd),
        ("(a", 2, Expected::Close),
        ("(a or b", 7, Expected::Close),
        ("ä \"b", 4, Expected::Quote),
        ("site:\"b", 7, Expected::Quote),
        ("ä\"b\"", 1, Expected::Space),
        ("\"b\"c", 3, Expected::Space),
        ("site:a\"b\"", 6, Expected::Space),
        ("\"a\\n\"", 2, Expected::Escaped),
        ("\"a\\", 2, Expected::Escaped),
        ("a\0b", 1, Expected::Printable),
        ("site:ä\u{1b}[31m", 6, Expected::Printable),
        ("\"a\tb\"", 2, Expected::Printable),
        ("colour:red", 0, Expected::Field),
        ("x Site:berlin", 2, Expected::Field),
        (":berlin", 0, Expected::Field),
        ("5C:CF:", 0, Expected::Field),
        ("5C:CG", 0, Expected::Field),
        ("site<5", 4, Expected::Operator(":")),
        ("site~b", 4, Expected::Operator(":")),
        ("seen:7d", 4, Expected::Operator("< >")),
        ("seen<=7d", 4, Expected::Operator("< >")),
        ("name:kitchen", 4, Expected::Operator("~")),
        ("version~1", 7, Expected::Operator(": < <= > >=")),
        ("site:", 5, Expected::Value("a value (\"\" for none)")),
        ("site: berlin", 5, Expected::Value("a value (\"\" for none)")),
        ("version:", 8, Expected::Value("a value (\"\" for none)")),
    ] {
        assert_eq!(fault(text), (at, expected), "{text}");
    }
    for text in [
        "tag:",
        "tag:\"\"",
        "name~",
        "name~\"\"",
        "family:esp",
        "standing:accept",
        "source:http",
        "version<abc",
        "version>=",
        "version<\"\"",
        "release:x",
        "release:-1",
        "release:+1",
        "release:4294967296",
        "state:done",
        "state:",
        "rollout:none",
        "seen<7",
        "seen<d",
        "seen<0d",
        "seen<-1d",
        "seen<7D",
        "seen<1.5h",
        "seen<7ä",
        "seen<4294967296s",
        "id:0x1",
        "id:",
        "mac:",
        "mac:5",
        "mac:5C:",
        "mac:5C:C",
        "mac:5C:CF-7F",
        "mac:5G",
        "mac:5C:CF:7F:AA:BB:CC:DD",
        "mac:é",
    ] {
        assert!(matches!(fault(text).1, Expected::Value(_)), "{text}: {:?}", fault(text));
    }
}

#[test]
fn filters_are_bounded() {
    assert!(Filter::parse(&"ä".repeat(500)).is_ok());
    assert_eq!(fault(&"ä".repeat(501)), (0, Expected::Shorter));
    assert!(Filter::parse(&"a ".repeat(50)).is_ok());
    assert_eq!(fault(&"a ".repeat(51)), (100, Expected::FewerTerms));
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(8)).is_ok());
    assert_eq!(fault(&nested(9)), (8, Expected::Flatter));
    assert_eq!(fault(&"-(".repeat(400)).1, Expected::Flatter);
    assert!(Filter::parse(&"(a) ".repeat(50)).is_ok(), "depth is not how many there are");
    // An address grows when it is written with its colons.
    let macs = ["mac:5ccf7faabb0c"; 50].join(" ");
    assert!(macs.len() < 1_000);
    assert_eq!(fault(&macs), (0, Expected::Shorter));
}

#[test]
fn the_start_of_a_mac_address_is_a_range() {
    let range = |text| MacStart::read(text).unwrap().range();
    assert_eq!(range("5C"), (0x5C00_0000_0000, 0x5CFF_FFFF_FFFF));
    assert_eq!(range("5C:CF:7F:AA:BB:0C"), (0x5CCF_7FAA_BB0C, 0x5CCF_7FAA_BB0C));
    assert_eq!(range("FF"), (0xFF00_0000_0000, 0xFFFF_FFFF_FFFF));
}

#[test]
fn a_fault_is_a_sentence() {
    let error = Filter::parse("x colour:red").unwrap_err().to_string();
    assert!(error.starts_with("character 3: expected one of the fields site, tag, board,"), "{error}");
    let error = Filter::parse("seen<7").unwrap_err().to_string();
    assert_eq!(error, "character 6: expected a time with its unit (s, m, h, d, w), such as 7d");
}

/// Texts that are awkward in SQL, in a filter, or in a terminal. None has control characters.
pub(crate) fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(vec!["a", "b", "ab", "A", "ä", "Ä", "a b", "-a", "c_1"]).prop_map(str::to_owned),
        2 => "[a-cA-C0-2äÄ ]{1,4}",
        1 => "[\\PC]{1,6}",
        2 => prop::sample::select(vec![
            "'", "\"", "\\", "%", "_", "a%", "_b", "';--", "' OR 1=1 --", "\u{1F980}", "or", "and", "-a", "(", "a)",
            "a:b", "=", "<1", "SELECT", "NULL", "?1", ":x", "5C:CF", "5c:cf:7f:aa:bb:0c", "ß", "İ", "ΟΔΟΣ", "\u{a0}",
        ]).prop_map(str::to_owned),
    ]
}

pub(crate) fn terms() -> impl Strategy<Value = Term> {
    let id = || 0..5_u32;
    let version = || prop::sample::select(vec!["1", "1.0", "1.2.3", "1.2.3-rc.1", "v2", "1.10"]);
    let unit = prop::sample::select(Unit::ALL.to_vec());
    let family = prop::sample::select(vec![Family::Esp8266, Family::Esp32, Family::Rp2040]);
    prop_oneof![
        awkward().prop_map(Term::Word),
        awkward().prop_map(Term::Name),
        prop_oneof![awkward(), Just(String::new())].prop_map(Term::Site),
        awkward().prop_map(Term::Tag),
        prop_oneof![awkward(), Just(String::new())].prop_map(Term::Board),
        family.prop_map(Term::Family),
        prop::sample::select(Standing::ALL.to_vec()).prop_map(Term::Standing),
        prop::sample::select(Source::ALL.to_vec()).prop_map(Term::Source),
        prop_oneof![awkward(), Just(String::new())].prop_map(Term::Firmware),
        prop_oneof![awkward(), Just(String::new()), version().prop_map(str::to_owned)]
            .prop_map(Term::Version),
        (prop::sample::select(Side::ALL.to_vec()), version())
            .prop_map(|(side, version)| Term::Versions(side, version.into())),
        prop::option::of(id().prop_map(ReleaseId)).prop_map(Term::Release),
        prop::sample::select(State::ALL.to_vec()).prop_map(Term::State),
        id().prop_map(|id| Term::Rollout(RolloutId(id))),
        (any::<bool>(), 1..9_u32, unit).prop_map(|(within, count, unit)| {
            Term::Seen(if within { Seen::Within } else { Seen::NotSince }, Span { count, unit })
        }),
        (0..70_u32).prop_map(|id| Term::Id(DeviceId(id))),
        prop::collection::vec(0x5B..0x5D_u8, 1..=6).prop_map(|bytes| Term::Mac(MacStart(bytes))),
    ]
}

/// Filters as the parser makes them.
pub(crate) fn filters() -> impl Strategy<Value = Filter> {
    let leaf = terms().prop_map(Expr::Term);
    let expr = leaf.prop_recursive(4, 12, 3, |inner| {
        let parts = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts.clone().prop_map(|parts| Expr::And(flat(parts, true))),
            parts.prop_map(|parts| Expr::Or(flat(parts, false))),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    });
    prop_oneof![20 => expr, 1 => Just(Expr::And(Vec::new()))].prop_map(|root| Filter { root })
}

fn flat(parts: Vec<Expr>, and: bool) -> Vec<Expr> {
    let unwrap = |part| match part {
        Expr::And(parts) if and => parts,
        Expr::Or(parts) if !and => parts,
        part => vec![part],
    };
    parts.into_iter().flat_map(unwrap).collect()
}

proptest! {
    #[test]
    fn a_filter_is_read_from_its_text(filter in filters()) {
        let text = filter.to_string();
        prop_assume!(text.len() <= MAX_BYTES);
        prop_assert_eq!(Filter::parse(&text), Ok(filter), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z:<>=~()\"\\\\ \\-0-9\\PC\0\n]{0,60}") {
        match Filter::parse(&text) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter)),
            Err(error) => prop_assert!(error.at <= text.chars().count()),
        }
    }
}
