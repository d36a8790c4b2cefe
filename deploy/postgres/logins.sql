-- Roles and logins of Castellan on an empty PostgreSQL server (15 to 18), run once by a superuser with psql:
--   psql -v ON_ERROR_STOP=1 -d castellan -f deploy/postgres/logins.sql
-- The passwords come from the files named here, never from the command line.
\if :{?secrets}
\else
  \set secrets /run/secrets
\endif
\set file :secrets '/owner-password'
\set owner_password `cat :'file'`
\set file :secrets '/app-password'
\set app_password `cat :'file'`
\set file :secrets '/system-password'
\set system_password `cat :'file'`

-- What `castellan migrate` would create itself, had its login the right to create roles.
CREATE ROLE castellan_owner NOLOGIN;
CREATE ROLE castellan_app NOLOGIN;
CREATE ROLE castellan_system NOLOGIN;
CREATE ROLE castellan_verifier NOLOGIN;
CREATE ROLE castellan_maintenance NOLOGIN;

-- For `migrate` alone: it owns the database, and so may create its extensions.
CREATE ROLE castellan_owner_login LOGIN NOINHERIT PASSWORD :'owner_password';
GRANT castellan_owner TO castellan_owner_login;
ALTER DATABASE :"DBNAME" OWNER TO castellan_owner_login;
-- PostgreSQL 15 would not let a NOINHERIT owner of the database do this itself, and only warns.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO castellan_owner;

-- For `serve`: each may become its own role and no other, and inherits nothing.
CREATE ROLE castellan_app_login LOGIN NOINHERIT PASSWORD :'app_password';
GRANT castellan_app TO castellan_app_login;
CREATE ROLE castellan_system_login LOGIN NOINHERIT PASSWORD :'system_password';
GRANT castellan_system TO castellan_system_login;
