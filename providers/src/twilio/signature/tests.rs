use super::*;

const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";

fn key() -> Key {
    Key::new(&Secret::from("12345"))
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
}

fn form() -> Vec<(String, String)> {
    pairs(&[
        ("To", "+18005551212"),
        ("Caller", "+14158675309"),
        ("CallSid", "CA1234567890ABCDE"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
    ])
}

#[test]
fn form_vectors() {
    for (url, form, signature) in [
        (URL, form(), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https://mycompany.com:443/myapp.php?foo=1&bar=2", form(), "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com:80/myapp.php?foo=1&bar=2", form(), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        (
            URL,
            pairs(&[
                ("MessagingBinding.Address", "+1325xxxxxxx"),
                ("MessagingBinding.Address", "+1415xxxxxxx"),
            ]),
            "83O6e2vORAoJHUNzJjDWN1jz+BA=",
        ),
        (
            URL,
            pairs(&[
                ("MessagingBinding.Address", "+1415xxxxxxx"),
                ("MessagingBinding.Address", "+1325xxxxxxx"),
            ]),
            "83O6e2vORAoJHUNzJjDWN1jz+BA=",
        ),
        (
            URL,
            pairs(&[
                ("Sid", "CA123"),
                ("SidAccount", "AC123"),
                ("Digits", "5678"),
                ("Digits", "1234"),
                ("Digits", "1234"),
            ]),
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
        ("wss://voice.example.com/media", vec![], "jFDHVhI8XO69C49uXR3xmdZPylY="),
    ] {
        assert_eq!(key().sign(url, &form), signature, "{url}");
        assert_eq!(key().verify(url, &form, signature), Ok(()), "{url}");
    }
}

#[test]
fn body_vectors() {
    let body = br#"{"property": "value", "boolean": true}"#;
    let hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    for (base, url, body, signature) in [
        (URL, format!("{URL}&bodySHA256={hash}"), &body[..], "a9nBmqA0ju/hNViExpshrM61xv4="),
        (
            "https://mycompany.com/myapp.php",
            format!("https://mycompany.com/myapp.php?bodySHA256={hash}"),
            &body[..],
            "y77kIzt2vzLz71DgmJGsen2scGs=",
        ),
        (
            "https://mycompany.com:443/myapp.php?foo=1&bar=2",
            "https://mycompany.com:443/myapp.php?foo=1&bar=2&bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
                .to_owned(),
            b"{}",
            "Ldidvp12m26NI7eqEvxnEpkd9Hc=",
        ),
    ] {
        assert_eq!(key().sign_body(base, body), (url.clone(), signature.to_owned()));
        assert_eq!(key().verify_body(&url, body, signature), Ok(()));
        assert_eq!(key().verify_body(&url.replace(":443", ""), body, signature), Ok(()));
        assert_eq!(key().verify_body(&url, b"{\"other\":1}", signature), Err(SignatureError::Body));
    }
    let signature = key().sign(URL, &[]);
    assert_eq!(key().verify_body(URL, b"", &signature), Err(SignatureError::NoBodyHash));
}

#[test]
fn a_default_port_may_be_there_or_not() {
    let with_port = "https://mycompany.com:443/myapp.php?foo=1&bar=2";
    assert_eq!(key().verify(URL, &form(), "kvajT1Ptam85bY51eRf/AJRuM3w="), Ok(()));
    assert_eq!(key().verify(with_port, &form(), "RSOYDt4T1cUTdK1PDd93/VVr8B8="), Ok(()));
    let other = "https://mycompany.com:8443/myapp.php";
    assert_eq!(key().verify(other, &[], &key().sign(other, &[])), Ok(()));
    assert_eq!(
        key().verify(other, &[], &key().sign("https://mycompany.com:443/myapp.php", &[])),
        Err(SignatureError::Mismatch)
    );
}

#[test]
fn a_query_may_be_written_the_old_way() {
    let sent = "https://mycompany.com/a?name=J%C3%B6rg+S&x&a=1&name=b";
    let signed = "https://mycompany.com/a?name=J%C3%B6rg%20S&name=b&x=&a=1";
    assert_eq!(key().verify(sent, &[], &key().sign(signed, &[])), Ok(()));
}

#[test]
fn overrides_in_the_fragment_are_not_signed() {
    let signature = key().sign(URL, &form());
    assert_eq!(key().verify(&format!("{URL}#rc=3&rp=all"), &form(), &signature), Ok(()));
}

#[test]
fn upgrades_forgive_a_slash() {
    let signature = "jFDHVhI8XO69C49uXR3xmdZPylY=";
    for url in ["wss://voice.example.com/media", "wss://voice.example.com/media/"] {
        assert_eq!(key().verify_upgrade(url, signature), Ok(()), "{url}");
    }
    assert_eq!(
        key().verify_upgrade("wss://voice.example.com/other", signature),
        Err(SignatureError::Mismatch)
    );
    assert_eq!(
        key().verify_upgrade("ws://voice.example.com/media", signature),
        Err(SignatureError::Mismatch)
    );
}

#[test]
fn forgeries_are_refused() {
    let good = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    let mut changed = form();
    changed[0].1 = "+18005551213".into();
    let mut extra = form();
    extra.push(("AnsweredBy".into(), "human".into()));
    for (url, form, given) in [
        (URL, changed, good),
        (URL, extra, good),
        ("https://mycompany.com/myapp.php?foo=1&bar=3", form(), good),
        ("http://mycompany.com/myapp.php?foo=1&bar=2", form(), good),
        (URL, form(), ""),
        (URL, form(), "garbage!"),
        (URL, form(), "RSOYDt4T1cUTdK1PDd93/VVr8B8"),
    ] {
        assert_eq!(key().verify(url, &form, given), Err(SignatureError::Mismatch), "{url} {given}");
    }
    assert_eq!(Key::new(&Secret::from("other")).verify(URL, &form(), good), Err(SignatureError::Mismatch));
    for url in ["", "mycompany.com/x", "https:///x"] {
        assert_eq!(key().verify(url, &form(), good), Err(SignatureError::Url), "{url}");
    }
}

#[test]
fn the_token_is_not_shown() {
    assert_eq!(format!("{:?}", key()), "Key(..)");
}
