//! What an edit leaves as it was: kept files of whole specs.

use std::path::Path;

use super::{Edit, EditError, Setting, edit};
use crate::expect::same_as_kept;

const COMMENTED: &str = include_str!("tests/commented.toml");

fn changed(text: &str, change: &Edit) -> Result<String, EditError> {
    edit(Path::new("/etc/cluster.toml"), text, change).map(|loaded| loaded.text)
}

fn text(value: &str) -> Setting {
    Setting::Text(value.to_owned())
}

fn remove(name: &str) -> Edit {
    Edit::Remove { name: name.to_owned() }
}

fn add(name: &str) -> Edit {
    let keys = vec![
        ("host", text("10.0.0.9")),
        ("client-port", Setting::Number(4379)),
        ("zone", text("rack 9")),
    ];
    Edit::Add { name: name.to_owned(), keys }
}

#[test]
fn a_new_node_stands_after_the_others_and_all_comments_stay() {
    let after = changed(COMMENTED, &add("n4")).unwrap();
    same_as_kept("spec/edit/tests/added.toml", &after);
    for line in COMMENTED.lines() {
        assert!(after.contains(line), "{line}");
    }
}

#[test]
fn a_node_goes_with_its_own_comment_and_no_other() {
    for name in ["n1", "n2", "n3"] {
        let after = changed(COMMENTED, &remove(name)).unwrap();
        same_as_kept(&format!("spec/edit/tests/removed_{name}.toml"), &after);
        assert!(after.starts_with("# The cluster of the lab."), "{after}");
        assert!(after.trim_end().ends_with("# The end."), "{after}");
    }
}

#[test]
fn a_changed_value_keeps_the_comment_behind_it() {
    let keys = vec![
        ("peer-port", Setting::Number(9380)),
        ("incarnation", Setting::Number(2)),
        ("advertise-peer-urls", Setting::List(vec!["http://10.0.0.2:9380".to_owned()])),
    ];
    let after = changed(COMMENTED, &Edit::Set { name: "n2".to_owned(), keys }).unwrap();
    same_as_kept("spec/edit/tests/set.toml", &after);
    assert!(after.contains("peer-port = 9380     # beside the old one"), "{after}");
}

#[test]
fn what_is_added_and_removed_again_leaves_the_text_as_it_was() {
    for file in ["local", "three-hosts"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../config/{file}.toml"));
        let text = std::fs::read_to_string(path).unwrap();
        let grown = changed(&text, &add("n9")).unwrap();
        assert!(grown.starts_with(text.trim_end()), "{grown}");
        assert_eq!(changed(&grown, &remove("n9")).unwrap(), text);
    }
}

#[test]
fn nodes_written_as_an_inline_array_stay_one() {
    let text = "cluster = { name = \"c\" }\nnode = [\n    # the first\n    { name = \"a\", host = \"10.0.0.1\" },\n    { name = \"b\", host = \"10.0.0.2\" }, # the second\n]\n";
    let grown = changed(text, &add("c")).unwrap();
    same_as_kept("spec/edit/tests/inline_added.toml", &grown);
    let keys = vec![("host", Setting::Text("10.0.0.7".to_owned()))];
    let moved = changed(text, &Edit::Set { name: "a".to_owned(), keys }).unwrap();
    assert!(moved.contains("# the first") && moved.contains("10.0.0.7"), "{moved}");
    assert!(!changed(text, &remove("b")).unwrap().contains("10.0.0.2"));
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_stay() {
    let text = format!("\u{feff}{}", COMMENTED.replace('\n', "\r\n"));
    let after = changed(&text, &add("n4")).unwrap();
    assert!(after.starts_with('\u{feff}'));
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
    assert!(after.contains("name = \"n4\"\r\n"), "{after:?}");
}

#[test]
fn a_result_that_is_no_spec_is_refused_with_the_loaders_words() {
    let keys = vec![("host", text("10.0.0.2"))];
    let clash = changed(COMMENTED, &Edit::Add { name: "n4".to_owned(), keys });
    let Err(EditError::Spec(errors)) = clash else { panic!("{clash:?}") };
    assert!(errors.to_string().contains("E-SPEC-10"), "{errors}");
    let keys = vec![("host", text("no/host"))];
    let bad = changed(COMMENTED, &Edit::Add { name: "n4".to_owned(), keys });
    assert!(matches!(bad, Err(EditError::Spec(_))), "{bad:?}");
    let broken = changed("[cluster\n", &add("n4"));
    assert!(matches!(broken, Err(EditError::Spec(_))), "{broken:?}");
}

#[test]
fn a_name_that_is_there_or_is_not_is_told() {
    assert!(matches!(changed(COMMENTED, &add("n1")), Err(EditError::Name(_))));
    let Err(EditError::Name(said)) = changed(COMMENTED, &remove("n7")) else { panic!("refused") };
    assert_eq!(said, "there is no node \"n7\"; there are n1, n2, n3");
}
