CREATE TABLE auth.users (
    user_id       uuid PRIMARY KEY,
    username      text NOT NULL CONSTRAINT users_username_check CHECK (username ~ '^[A-Za-z0-9_.-]{3,32}$'),
    -- kept in lower case, so that one address is one account
    email         text NOT NULL CONSTRAINT users_email_key UNIQUE CONSTRAINT users_email_check CHECK (email = lower(email)),
    password_hash text NOT NULL,
    role          text NOT NULL DEFAULT 'user' CONSTRAINT users_role_check CHECK (role IN ('user', 'admin')),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_username_key ON auth.users (lower(username));

GRANT USAGE ON SCHEMA auth TO throughline_auth;
GRANT SELECT, INSERT, UPDATE ON auth.users TO throughline_auth;
