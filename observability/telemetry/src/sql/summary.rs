//! What a statement does, in a few words: `db.query.summary`.
//! <https://opentelemetry.io/docs/specs/semconv/database/database-spans/#generating-a-summary-of-the-query>

/// Operations and their targets, in the order in which they stand in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// `INSERT orders.orders INSERT orders.outbox`; at most 255 characters.
    pub(super) text: String,
    /// The operation where it is one; that of the last target, which is the statement's own, where there are several.
    pub(super) operation: String,
    /// The target where it is one.
    pub(super) collection: Option<String>,
}

const MAX: usize = 255;

impl Summary {
    pub(super) fn of(sql: &str) -> Self {
        let tokens = tokens(sql);
        let mut parts: Vec<(String, String)> = Vec::new();
        let derived = derived_tables(&tokens);
        for (index, token) in tokens.iter().enumerate() {
            let word = token.to_ascii_uppercase();
            let next = |offset: usize| tokens.get(index + offset).map(String::as_str).unwrap_or_default();
            let target = match (word.as_str(), next(1).to_ascii_uppercase().as_str()) {
                ("INSERT", "INTO") => Some(("INSERT", next(2))),
                ("DELETE", "FROM") => Some(("DELETE", next(2))),
                // `ON CONFLICT ... DO UPDATE SET` and `FOR UPDATE` have no target
                ("UPDATE", following) if following != "SET" && !preceded_by_for(&tokens, index) => Some(("UPDATE", next(1))),
                ("FROM" | "JOIN", _) if !preceded_by_delete(&tokens, index) => Some(("SELECT", next(1))),
                _ => None,
            };
            if let Some((operation, name)) = target
                && is_table(name)
                && !derived.iter().any(|derived| derived == name)
            {
                parts.push((operation.to_owned(), name.to_owned()));
            }
        }
        parts.dedup();
        Self::from_parts(&parts, tokens.first())
    }

    fn from_parts(parts: &[(String, String)], first: Option<&String>) -> Self {
        let Some((operation, name)) = parts.last() else {
            let operation = first.map_or_else(|| "UNKNOWN".into(), |word| word.to_ascii_uppercase());
            return Self { text: operation.clone(), operation, collection: None };
        };
        let mut text = String::new();
        for (operation, name) in parts {
            let part = format!("{}{operation} {name}", if text.is_empty() { "" } else { " " });
            if text.len() + part.len() > MAX {
                break;
            }
            text.push_str(&part);
        }
        Self { text, operation: operation.clone(), collection: (parts.len() == 1).then(|| name.clone()) }
    }
}

fn preceded_by_for(tokens: &[String], index: usize) -> bool {
    index > 0 && matches!(tokens[index - 1].to_ascii_uppercase().as_str(), "FOR" | "KEY" | "DO")
}

fn preceded_by_delete(tokens: &[String], index: usize) -> bool {
    index > 0 && tokens[index - 1].eq_ignore_ascii_case("DELETE")
}

/// Names that `WITH name AS (` and `, name AS (` give to parts of the statement itself.
fn derived_tables(tokens: &[String]) -> Vec<String> {
    tokens.windows(3).filter(|window| window[1].eq_ignore_ascii_case("AS") && window[2] == "(").map(|window| window[0].clone()).collect()
}

fn is_table(name: &str) -> bool {
    name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && !matches!(name.to_ascii_uppercase().as_str(), "UNNEST" | "SELECT" | "ONLY" | "LATERAL" | "GENERATE_SERIES")
}

/// Words (with dots, quotes taken off) and parentheses; literals, numbers and other signs are left out.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut literal = false;
    for sign in sql.chars() {
        if sign == '\'' {
            literal = !literal;
        }
        if !literal && (sign.is_alphanumeric() || matches!(sign, '_' | '.' | '$')) {
            word.push(sign);
            continue;
        }
        if !literal && sign == '"' {
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !literal && matches!(sign, '(' | ')') {
            tokens.push(sign.to_string());
        }
    }
    tokens.extend((!word.is_empty()).then_some(word));
    tokens
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn names_the_one_table_of_a_plain_statement() {
        let summary = Summary::of(r#"SELECT "auth"."users"."email" FROM "auth"."users" WHERE "auth"."users"."email" = $1"#);
        assert_eq!(summary.text, "SELECT auth.users");
        assert_eq!(summary.operation, "SELECT");
        assert_eq!(summary.collection.as_deref(), Some("auth.users"));
    }

    #[test]
    fn names_every_table_that_a_compound_statement_writes() {
        let sql = "WITH taken AS (UPDATE orders.stock SET available = 1 FROM input WHERE true RETURNING 1), input AS (SELECT 1),
             placed AS (INSERT INTO orders.orders VALUES ($1)) INSERT INTO orders.outbox SELECT 'DELETE FROM x' FROM placed";
        let summary = Summary::of(sql);
        assert_eq!(summary.text, "UPDATE orders.stock INSERT orders.orders INSERT orders.outbox");
        assert_eq!(summary.operation, "INSERT");
        assert_eq!(summary.collection, None);
    }

    #[test]
    fn an_upsert_and_a_lock_have_no_further_target() {
        assert_eq!(Summary::of("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1").text, "INSERT t");
        assert_eq!(Summary::of("SELECT 1 FROM t FOR UPDATE SKIP LOCKED").text, "SELECT t");
        assert_eq!(Summary::of("DELETE FROM t WHERE id = ANY($1)").text, "DELETE t");
        assert_eq!(Summary::of("COMMIT").text, "COMMIT");
    }
}
