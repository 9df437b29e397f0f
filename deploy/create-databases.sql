-- Create two databases with a role each, once, on an empty server. PostgreSQL's image runs this when it
-- initializes its data directory; by hand, run `psql -v ON_ERROR_STOP=1 -f` as a superuser. Passwords
-- come from the environment, so that no file and no process list contains them.
\getenv storemon_password STOREMON_DATABASE_PASSWORD
\getenv dagster_password DAGSTER_DATABASE_PASSWORD

CREATE ROLE storemon LOGIN PASSWORD :'storemon_password';
CREATE DATABASE storemon OWNER storemon;
REVOKE ALL ON DATABASE storemon FROM PUBLIC;

CREATE ROLE dagster LOGIN PASSWORD :'dagster_password';
CREATE DATABASE dagster OWNER dagster;
REVOKE ALL ON DATABASE dagster FROM PUBLIC;
