//! Promise F, first half: bad input gets a problem that names the field, and never a 5xx.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::running::{Mesh, header};

struct Case {
    what: &'static str,
    request: RequestBuilder,
    status: StatusCode,
    names: &'static str,
}

async fn check(case: Case) {
    let response = case.request.send().await.unwrap();
    assert_eq!(response.status(), case.status, "{}", case.what);
    assert_eq!(header(&response, "content-type"), "application/problem+json", "{}", case.what);
    let (trace_id, request_id) = (header(&response, "x-trace-id"), header(&response, "x-request-id"));
    let text = response.text().await.unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["status"], case.status.as_u16(), "{text}");
    assert_eq!(
        (problem["trace_id"].as_str(), problem["request_id"].as_str()),
        (Some(trace_id.as_str()), Some(request_id.as_str())),
        "{text}"
    );
    assert!(text.contains(case.names), "{}: {text} does not name {}", case.what, case.names);
}

#[tokio::test]
async fn bad_input_is_a_problem_that_names_the_field() {
    let mesh = Mesh::start(&[]);
    let token = mesh.token().await;
    let product = mesh.products(1).await.remove(0);
    let order = |body: String| {
        let request = mesh.client.request(Method::POST, mesh.url("/api/v1/orders")).bearer_auth(&token);
        request.header("content-type", "application/json").body(body)
    };
    let item = |quantity: &str| format!("{{\"items\": [{{\"product_id\": \"{product}\", \"quantity\": {quantity}}}]}}");
    let get = |path: &str| mesh.client.get(mesh.url(path));
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let cases = [
        ("malformed JSON", order("{\"items\": [".into()), StatusCode::BAD_REQUEST, "line 1"),
        (
            "unknown product",
            order(item("1").replace(&product, "00000000-0000-4000-8000-000000000000")),
            unprocessable,
            "items[0].product_id",
        ),
        ("quantity 0", order(item("0")), unprocessable, "items[0].quantity"),
        ("quantity 10^12", order(item("1000000000000")), unprocessable, "items[0].quantity"),
        ("no items", order("{\"items\": []}".into()), unprocessable, "items"),
        (
            "body over the limit",
            order(format!("{{\"items\": [], \"pad\": \"{}\"}}", "x".repeat(1 << 20))),
            StatusCode::PAYLOAD_TOO_LARGE,
            "65536",
        ),
        ("wrong token", get("/api/v1/orders").bearer_auth("not.a.token"), StatusCode::UNAUTHORIZED, "token"),
        ("no token", get("/api/v1/orders"), StatusCode::UNAUTHORIZED, "Authorization"),
        ("bad id", get("/api/v1/products/nonsense"), unprocessable, "product_id"),
        ("unknown path", get("/api/v1/nothing"), StatusCode::NOT_FOUND, "/api/v1/nothing"),
        ("wrong method", mesh.client.delete(mesh.url("/api/v1/orders")), StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, POST"),
    ];
    for (what, request, status, names) in cases {
        check(Case { what, request, status, names }).await;
    }
}

#[tokio::test]
async fn an_expired_token_is_refused_as_such() {
    let mesh = Mesh::start(&[("MESH_ENV__AUTH__THROUGHLINE_JWT__ACCESS_TTL_SECONDS", "2")]);
    let token = mesh.token().await;
    crate::running::eventually(|| async {
        let response = mesh.client.get(mesh.url("/api/v1/orders")).bearer_auth(&token).send().await.unwrap();
        let (status, challenge) = (response.status(), response.headers().get("www-authenticate").cloned());
        let text = response.text().await.unwrap();
        match (status, challenge) {
            (StatusCode::OK, _) => Err("the token is still good".to_owned()),
            (StatusCode::UNAUTHORIZED, Some(challenge)) => {
                assert!(challenge.to_str().unwrap().contains("invalid_token") && text.contains("expired"), "{challenge:?} {text}");
                Ok(())
            }
            other => panic!("{other:?} {text}"),
        }
    })
    .await;
}
