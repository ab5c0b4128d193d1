CREATE TABLE catalog.posts (
    -- UUIDv7: newer ones are greater
    post_id         uuid PRIMARY KEY,
    -- a user of schema auth, and the name that the user had at the time
    author_id       uuid NOT NULL,
    author_username text NOT NULL,
    title           text NOT NULL CONSTRAINT posts_title_check CHECK (title <> ''),
    body            text NOT NULL CONSTRAINT posts_body_check CHECK (body <> ''),
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX posts_by_author ON catalog.posts (author_id, post_id);

CREATE TABLE catalog.comments (
    comment_id      uuid PRIMARY KEY,
    post_id         uuid NOT NULL CONSTRAINT comments_post_id_fkey REFERENCES catalog.posts ON DELETE CASCADE,
    author_id       uuid NOT NULL,
    author_username text NOT NULL,
    body            text NOT NULL CONSTRAINT comments_body_check CHECK (body <> ''),
    created_at      timestamptz NOT NULL DEFAULT now()
);
-- the comments of a post, oldest first
CREATE INDEX comments_by_post ON catalog.comments (post_id, comment_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON catalog.posts TO throughline_catalog;
GRANT SELECT, INSERT ON catalog.comments TO throughline_catalog;
