//! Files that are none, or that are too much.

use super::CAMPAIGN;
use super::world::World;

async fn campaign(world: &World) -> String {
    world.company().await;
    world.write("campaign.toml", CAMPAIGN);
    let line = ["campaign", "create", "--config", "campaign.toml", "--json"];
    let created = world.acme(&line).await.ok().json();
    created["campaign_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_list_is_refused_and_it_is_said_what_to_do() {
    let world = World::start().await;
    let id = campaign(&world).await;
    std::fs::write(world.path("sheet.xlsx"), b"PK\x03\x04\x14\x00\x06\x00\x08\x00").unwrap();
    std::fs::write(world.path("photo.png"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
    std::fs::write(world.path("empty.csv"), b"").unwrap();
    std::fs::create_dir(world.path("folder")).unwrap();
    world.write("nameless.csv", "+12125550101,Ada\n");
    for (file, words) in [
        ("sheet.xlsx", "export the sheet as CSV UTF-8"),
        ("photo.png", "not a text"),
        ("empty.csv", "the file is empty"),
        ("nameless.csv", "NO_HEADER"),
        ("folder", "folder"),
        ("absent.csv", "absent.csv"),
    ] {
        for line in [vec!["campaign", "import", &id, file], vec!["customer", "dnc", "import", file]] {
            let ran = world.acme(&line).await.ended(2);
            assert!(ran.err.contains(words), "{line:?}: {}", ran.err);
        }
    }
    let json = world.acme(&["campaign", "import", &id, "sheet.xlsx", "--json"]).await.ended(2);
    let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(error["error"]["reason"], "INVALID_FILE", "{error}");
    assert_eq!(error["error"]["metadata"]["code"], "not_text", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_beyond_a_bound_is_imported_as_far_as_it_goes() {
    let world = World::start_with("[limits]\nimport_mb_max = 1\n").await;
    let id = campaign(&world).await;
    let mut file = String::from("phone,note\n+12125550101,a\n");
    while file.len() < 1_500_000 {
        file += &format!("+12125550101,{}\n", "x".repeat(4_000));
    }
    world.write("large.csv", &file);
    let ran = world.acme(&["campaign", "import", &id, "large.csv"]).await.ended(3);
    assert!(ran.out.contains("larger than 1 MiB") && ran.out.contains("stopped at line"), "{}", ran.out);
    world.write("long.csv", &format!("phone,note\n+12125550102,a\n+12125550103,{}\n", "x".repeat(70_000)));
    let ran = world.acme(&["campaign", "import", &id, "long.csv", "--json"]).await.ended(3).json();
    assert_eq!((&ran["stopped"]["line"], &ran["stopped"]["reason"]), (&3.into(), &"record_too_long".into()));
    assert_eq!(ran["added"], 1, "{ran}");
}
