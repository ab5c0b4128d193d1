//! The API's own description.

use crate::world::World;

#[tokio::test]
async fn the_document_and_its_page_are_served_from_here_alone() {
    let world = World::start().await;
    let document = world.get("/api/v1/openapi.json").await;
    assert_eq!((document.status.as_u16(), document.json["openapi"].as_str()), (200, Some("3.1.0")));
    let operation = &document.json["paths"]["/api/v1/orders"]["post"];
    assert_eq!(operation["security"][0]["bearer"].as_array().map(Vec::len), Some(0), "{operation}");
    assert!(operation["responses"]["default"]["content"]["application/problem+json"].is_object(), "{operation}");
    let page = world.request("GET", "/docs/").send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'self'"), "{policy}");
    let html = page.text().await.unwrap();
    let is_file = |part: &&str| [".js", ".css"].iter().any(|end| part.ends_with(end));
    for part in html.split(['"', '\'']).filter(is_file) {
        assert!(!part.contains("//"), "{part} would be fetched from elsewhere");
        let path = format!("/docs/{}", part.trim_start_matches("./"));
        assert_eq!(world.request("GET", &path).send().await.unwrap().status().as_u16(), 200, "{path}");
    }
    let start = world.request("GET", "/docs/swagger-initializer.js").send().await.unwrap().text().await.unwrap();
    assert!(start.contains("/api/v1/openapi.json"), "{start}");
    assert_eq!(world.get("/docs/none.js").await.problem(), (404, "not-found"));
}
