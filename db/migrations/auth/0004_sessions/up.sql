-- What is known of sessions afterwards, for who asks what happened to an account. Whether one is alive is said by Redis alone.
--
-- No reference to auth.users: rows outlast the account, or else who has taken one over could wipe out the traces by deleting
-- it. What stays then is no personal data: the account's id means nothing any more, and the address is taken out.
-- Either way a row goes `session.audit_retention_days` after its session has ended.
CREATE TABLE auth.sessions (
    -- UUIDv7: the primary key is in the order of time, by which old rows are found
    session_id        uuid PRIMARY KEY,
    user_id           uuid NOT NULL,
    -- of who logged in, where that is known
    client_address    text CONSTRAINT sessions_client_address_check CHECK (length(client_address) BETWEEN 2 AND 45),
    opened_at         timestamptz NOT NULL,
    last_refreshed_at timestamptz,
    -- as it was known at the login or the last refresh: a use in between may have moved it
    expires_at        timestamptz NOT NULL,
    -- none: it is alive, or has expired
    ended_at          timestamptz,
    end_reason        text CONSTRAINT sessions_end_reason_check
        CHECK (end_reason IN ('logout', 'revoked', 'refresh_reused', 'password_changed', 'role_changed', 'user_deleted')),
    CONSTRAINT sessions_end_check CHECK ((ended_at IS NULL) = (end_reason IS NULL))
-- a refresh changes no column of an index, and finds room for the row's next version beside it
) WITH (fillfactor = 80);

-- a user's sessions, newest first, and all of them where they end together
CREATE INDEX sessions_user ON auth.sessions (user_id, opened_at DESC);

-- who, when and for whom it was opened is never changed
GRANT SELECT, INSERT, DELETE, UPDATE (client_address, last_refreshed_at, expires_at, ended_at, end_reason) ON auth.sessions TO throughline_auth;
