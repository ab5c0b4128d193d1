//! `CreateUsers` and `ListUsers`

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use proto::auth::{
    CreateUsersFailure, CreateUsersRequest, CreateUsersResult, ListUsersRequest, ListUsersResponse, create_users_result::Result as Made,
};
use tonic::{Code, Status};

use crate::world::{self, PASSWORD, Person, World, hurried, wrong_fields};

async fn create(world: &World, person: &Person, wishes: Vec<CreateUsersRequest>) -> Result<Vec<CreateUsersResult>, Status> {
    Ok(world.users().create_users(person.says(stream::iter(wishes))).await?.into_inner().results)
}

fn wish(name: &str, role: &str) -> CreateUsersRequest {
    CreateUsersRequest { username: name.into(), email: format!("{name}@example.org"), password: PASSWORD.into(), role: role.into() }
}

fn failure(result: &CreateUsersResult) -> &CreateUsersFailure {
    let Some(Made::Failure(failure)) = &result.result else { panic!("{result:?}") };
    failure
}

async fn list(world: &World, person: &Person, limit: u32, page_token: &str) -> Result<Vec<ListUsersResponse>, Status> {
    let request = person.says(ListUsersRequest { limit, page_token: page_token.into() });
    let responses = world.users().list_users(request).await?.into_inner().collect::<Vec<_>>().await;
    responses.into_iter().collect()
}

fn names(responses: &[ListUsersResponse]) -> Vec<String> {
    responses.iter().map(|response| response.user.as_ref().unwrap().username.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_account_of_many_is_made_or_refused_on_its_own() {
    let world = World::start().await;
    let admin = world.admin("root").await;
    let before = world.outbox().await.len();
    let broken = CreateUsersRequest { username: "a b".into(), email: "x".into(), password: "short".into(), role: "king".into() };
    let taken = CreateUsersRequest { email: "free@example.org".into(), ..wish("ROOT", "user") };
    let wishes = vec![wish("ada", ""), broken, taken, wish("bob", "admin"), wish("ada", ""), wish("eve", "user")];
    let results = create(&world, &admin, wishes).await.unwrap();
    assert_eq!(results.len(), 6);
    for (index, name, role) in [(0, "ada", "user"), (3, "bob", "admin"), (5, "eve", "user")] {
        let Some(Made::User(user)) = &results[index].result else { panic!("{:?}", results[index]) };
        assert_eq!((user.username.as_str(), user.role.as_str(), user.version), (name, role, 1));
        world.again(name).await;
    }
    let fields = |index: usize| failure(&results[index]).field_violations.iter().map(|it| it.field.as_str()).collect::<Vec<_>>();
    assert_eq!((failure(&results[1]).code, fields(1)), (Code::InvalidArgument.into(), vec!["username", "email", "password", "role"]));
    assert_eq!((failure(&results[2]).code, fields(2)), (Code::AlreadyExists.into(), vec!["username"]));
    assert_eq!(failure(&results[4]).code, i32::from(Code::AlreadyExists));
    let told = &world.told().await[before..];
    assert_eq!(told.iter().filter(|told| *told == "UserCreated").count(), 3, "{told:?}");
    assert_eq!(create(&world, &admin, Vec::new()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_a_thousand_accounts_nothing_is_read_and_what_was_made_is_told() {
    let world = World::start_with(|config| config.password.m_cost_kib = 8).await;
    let admin = world.admin("root").await;
    let results = create(&world, &admin, (0..1_005).map(|number| wish(&format!("user{number}"), "")).collect()).await.unwrap();
    assert_eq!(results.len(), 1_001);
    assert!(results[..1_000].iter().all(|result| matches!(result.result, Some(Made::User(_)))));
    assert_eq!(failure(&results[1_000]).code, i32::from(Code::ResourceExhausted));
    assert_eq!(world.count("auth.users").await, 1_001);

    // and they are listed page by page, each once
    let all = names(&list(&world, &admin, 0, "").await.unwrap());
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (1_001, 1_001));
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&world, &admin, 300, &token).await.unwrap();
        let Some(last) = page.last() else { break };
        token.clone_from(&last.page_token);
        pages.push(names(&page));
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [300, 300, 300, 101]);
    assert_eq!(pages.concat(), all);
    assert_eq!(list(&world, &admin, 501, "").await.unwrap().len(), 501);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_something_is_away_no_more_is_read_and_the_last_says_why() {
    let world = World::start_with(hurried).await;
    let admin = world.admin("root").await;
    // the stream has no end of its own
    world.postgres.cut();
    let endless = admin.says(stream::iter(0..).map(|number: u64| wish(&format!("user{number}"), "")));
    let results = world.users().create_users(endless).await.unwrap().into_inner().results;
    assert!(results.len() <= 8, "{} were tried", results.len());
    assert!(results.iter().all(|result| failure(result).code == i32::from(Code::Unavailable)));
    world.postgres.heal();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_stays_good_while_accounts_come_and_go() {
    let world = World::start().await;
    let admin = world.admin("root").await;
    for name in ["ada", "bob", "eve"] {
        world.register(name, &format!("{name}@example.org"), PASSWORD).await.unwrap();
    }
    let first = list(&world, &admin, 2, "").await.unwrap();
    assert_eq!(names(&first), ["root", "ada"]);
    world.execute("DELETE FROM auth.users WHERE username = 'ada'").await;
    world.register("zoe", "zoe@example.org", PASSWORD).await.unwrap();
    assert_eq!(names(&list(&world, &admin, 0, &first[1].page_token).await.unwrap()), ["bob", "eve", "zoe"]);
    for wrong in ["x", "\0", "AAAA", &admin.id()] {
        assert_eq!(wrong_fields(&list(&world, &admin, 0, wrong).await.unwrap_err()), ["page_token"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_make_and_list_accounts() {
    let world = World::start().await;
    let ada = world.person("ada").await;
    assert_eq!(world::reason(list(&world, &ada, 0, "").await, Code::PermissionDenied), "ADMIN_REQUIRED");
    assert_eq!(world::reason(create(&world, &ada, vec![wish("eve", "admin")]).await, Code::PermissionDenied), "ADMIN_REQUIRED");
    assert_eq!(world.count("auth.users").await, 1);
}
