REVOKE DELETE ON auth.users FROM throughline_auth;
DROP INDEX auth.users_admins;
DROP TABLE auth.avatars;
