#!/bin/sh
# Makes what docker-compose.yml mounts from deploy/compose/secrets: passwords, database logins, signing keys; and .env.
# What is there stays: signatures depend on the keys, and the database on its first passwords.
# Usage: deploy/compose/setup.sh [<directory of docker-compose.yml>]
set -eu
umask 077

root=${1:-$(dirname "$0")/../..}
secrets=$root/deploy/compose/secrets
mkdir -p "$secrets" "$root/certs"

# The containers of the service run as the owner of these files: a signing key must be readable by nobody else.
run_as=$(id -u):$(id -g)
if [ "$(id -u)" = 0 ]; then run_as=10001:10001; fi
grep -qs '^RUN_AS=' "$root/.env" || echo "RUN_AS=$run_as" >> "$root/.env"

make() { # make <file> <mode> <command…>
  file=$secrets/$1 mode=$2
  shift 2
  if [ -s "$file" ]; then return; fi
  "$@" > "$file.new"
  chmod "$mode" "$file.new"
  mv "$file.new" "$file"
}
url() {
  printf 'postgres://%s:%s@postgres:5432/castellan\n' "$1" "$(cat "$secrets/$2")"
}

# Read inside the PostgreSQL container by another user than the owner; on this machine the directory is closed.
for name in postgres owner app system; do make "$name-password" 444 openssl rand -hex 24; done
make owner-url 400 url castellan_owner_login owner-password
make app-url 400 url castellan_app_login app-password
make system-url 400 url castellan_system_login system-password
for name in audit proof; do make "$name-key.pem" 400 openssl genpkey -algorithm ed25519; done

if [ "$(id -u)" = 0 ]; then
  chown "$run_as" "$secrets"/*-url "$secrets"/*.pem "$root/certs"
fi
echo "Secrets are in $secrets. Next: docker compose up --build --detach"
