//! What `common.proto` promises of the whole package, checked over its descriptors.

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto};
use std::collections::HashMap;

fn files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(tandem_proto::v1::FILE_DESCRIPTOR_SET).expect("descriptors");
    set.file.into_iter().filter(|f| f.package() == "tandem.v1").collect()
}

fn messages() -> HashMap<String, DescriptorProto> {
    let named = |m: DescriptorProto| (format!(".tandem.v1.{}", m.name()), m);
    files().into_iter().flat_map(|f| f.message_type).map(named).collect()
}

fn methods() -> Vec<MethodDescriptorProto> {
    files().into_iter().flat_map(|f| f.service).flat_map(|s| s.method).collect()
}

fn has(message: &DescriptorProto, field: &str, kind: Type) -> bool {
    message.field.iter().any(|f| f.name() == field && f.r#type() == kind && f.label() != Label::Repeated)
}

/// Calls that change nothing.
fn reads(method: &MethodDescriptorProto) -> bool {
    ["Get", "List", "Locate", "Watch", "Explain", "Preflight"]
        .iter()
        .any(|verb| method.name().starts_with(verb))
}

#[test]
fn every_mutation_takes_an_idempotency_key_and_says_whether_it_was_replayed() {
    let messages = messages();
    // What operators say of nodes sets a state: saying it twice changes nothing, and nobody is called for it.
    let of_nodes =
        |m: &MethodDescriptorProto| ["DrainNode", "ActivateNode", "ForgetNode"].contains(&m.name());
    let mutations: Vec<_> = methods().into_iter().filter(|m| !reads(m) && !of_nodes(m)).collect();
    assert!(mutations.len() > 20, "the verbs of reads cover too much");
    for method in mutations {
        let request = &messages[method.input_type()];
        let header = messages.get(&format!(".tandem.v1.{}Header", method.name()));
        let keyed = header.unwrap_or(request);
        assert!(has(keyed, "idempotency_key", Type::String), "{} takes no key", method.name());
        let response = &messages[method.output_type()];
        assert!(has(response, "replayed", Type::Bool), "{} does not say replayed", method.name());
    }
}

#[test]
fn every_list_that_can_grow_is_paged() {
    let messages = messages();
    let lists =
        ["ListCalls", "ListCampaigns", "ListContacts", "ListCompanies", "GetHistory", "GetTranscript"];
    for name in lists {
        let request = &messages[&format!(".tandem.v1.{name}Request")];
        assert!(has(request, "page_size", Type::Int32), "{name}");
        assert!(has(request, "page_token", Type::String), "{name}");
        let response = &messages[&format!(".tandem.v1.{name}Response")];
        assert!(has(response, "next_page_token", Type::String), "{name}");
    }
}

#[test]
fn every_watch_can_be_resumed() {
    let messages = messages();
    let watches: Vec<_> = methods().into_iter().filter(|m| m.name().starts_with("Watch")).collect();
    assert_eq!(watches.len(), 2);
    for method in watches {
        assert!(method.server_streaming());
        assert!(has(&messages[method.input_type()], "after_event", Type::Uint64), "{}", method.name());
        let event = messages[method.output_type()].field.iter().find(|f| f.name() == "event");
        let event = &messages[event.expect("an event").type_name()];
        assert!(has(event, "event", Type::Uint64), "{}", method.name());
    }
}

#[test]
fn requests_and_responses_are_named_after_their_method_and_belong_to_it_alone() {
    for method in methods() {
        let name = method.name().to_owned();
        assert_eq!(method.input_type(), format!(".tandem.v1.{name}Request"));
        assert_eq!(method.output_type(), format!(".tandem.v1.{name}Response"));
    }
}

#[test]
fn enums_begin_with_unspecified_and_carry_their_own_name() {
    let nested = messages().into_values().flat_map(|m| m.enum_type);
    let mut seen = 0;
    for e in files().into_iter().flat_map(|f| f.enum_type).chain(nested) {
        let mut prefix = String::new();
        for c in e.name().chars() {
            if c.is_ascii_uppercase() && !prefix.is_empty() {
                prefix.push('_');
            }
            prefix.push(c.to_ascii_uppercase());
        }
        for value in &e.value {
            assert!(value.name().starts_with(&format!("{prefix}_")), "{} in {}", value.name(), e.name());
        }
        assert_eq!(e.value[0].name(), format!("{prefix}_UNSPECIFIED"));
        assert_eq!(e.value[0].number(), 0);
        seen += 1;
    }
    assert!(seen >= 15);
}

/// Numbers of fields in `FileDescriptorProto` and below, as paths of source locations have them.
const SERVICES: i32 = 6;
const METHODS: i32 = 2;
const ENUMS: i32 = 5;

#[test]
fn services_and_enums_are_documented_and_methods_name_their_errors() {
    for file in files() {
        let info = file.source_code_info.clone().unwrap_or_default();
        let comment = |path: &[i32]| {
            let at = info.location.iter().find(|l| l.path == path);
            at.map(|l| l.leading_comments().trim().to_owned()).unwrap_or_default()
        };
        for (s, service) in (0..).zip(&file.service) {
            assert!(!comment(&[SERVICES, s]).is_empty(), "{}", service.name());
            for (m, method) in (0..).zip(&service.method) {
                let said = comment(&[SERVICES, s, METHODS, m]);
                assert!(!said.is_empty(), "{}.{}", service.name(), method.name());
            }
        }
        for (e, name) in (0..).zip(&file.enum_type) {
            assert!(!comment(&[ENUMS, e]).is_empty(), "{}", name.name());
        }
    }
}
