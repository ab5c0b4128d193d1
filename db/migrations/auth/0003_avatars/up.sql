-- One picture a user; it goes with the user.
CREATE TABLE auth.avatars (
    user_id    uuid PRIMARY KEY CONSTRAINT avatars_user_id_fkey REFERENCES auth.users ON DELETE CASCADE,
    media_type text NOT NULL CONSTRAINT avatars_media_type_check CHECK (media_type IN ('image/png', 'image/jpeg')),
    bytes      bytea NOT NULL CONSTRAINT avatars_bytes_check CHECK (octet_length(bytes) BETWEEN 1 AND 1048576),
    sha256     bytea NOT NULL CONSTRAINT avatars_sha256_check CHECK (octet_length(sha256) = 32),
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- pictures are compressed already: do not try again
ALTER TABLE auth.avatars ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- who might be the last admin
CREATE INDEX users_admins ON auth.users (user_id) WHERE role = 'admin';

GRANT DELETE ON auth.users TO throughline_auth;
GRANT SELECT, INSERT, UPDATE ON auth.avatars TO throughline_auth;
