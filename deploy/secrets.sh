#!/usr/bin/env bash
# Makes every password and key of a deployment, at random, in a folder (`secrets`): what compose.yaml mounts,
# and what `kubectl create secret` reads (docs/kubernetes.md). What is there already stays.
#
#   deploy/secrets.sh [FOLDER]
set -euo pipefail

folder=${1:-secrets}
users=(sys admin transcribe paint gateway intake bucket reconcile erase tenant-a tenant-b watch route)
roles=(admin transcribe paint gateway intake reconcile erase tenant-a)

# nats-server reads a password as a value of its language: it begins with a letter.
random() { printf 'p%s' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; }

# write NAME: standard input becomes that file, unless there is one.
write() {
    if [ -e "$folder/$1" ]; then
        cat >/dev/null
        return
    fi
    # Containers read these as another user; the folder keeps everybody else out.
    cat >"$folder/.new" && chmod 644 "$folder/.new" && mv "$folder/.new" "$folder/$1"
}

# value NAME: of a variable in one of the .env files.
value() { sed -n "s/^$1=//p" "$folder"/*.env; }

variable() { printf 'SHANSHUI_%s_PASSWORD' "$(printf %s "$1" | tr 'a-z-' 'A-Z_')"; }

mkdir -p "$folder"
chmod 700 "$folder"

for user in "${users[@]}"; do printf '%s=%s\n' "$(variable "$user")" "$(random)"; done | write nats.env
printf 'SHANSHUI_S3_ACCESS_KEY=%s\nSHANSHUI_S3_SECRET_KEY=%s\n' "$(random)" "$(random)" | write s3.env

access=$(value SHANSHUI_S3_ACCESS_KEY) secret=$(value SHANSHUI_S3_SECRET_KEY)
# SeaweedFS's own list of who may do what.
write s3.json <<JSON
{"identities": [{"name": "shanshui", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                 "credentials": [{"accessKey": "$access", "secretKey": "$secret"}]}]}
JSON

# What all gateways sign with.
printf 'SHANSHUI_GATEWAY_SECRET=%s\n' "$(random)" | write gateway.env

# One settings file for each part (--config).
for role in "${roles[@]}"; do
    write "$role.toml" <<TOML
nats-user = "$role"
nats-password = "$(value "$(variable "$role")")"
nats-inbox = "_INBOX_$role"
s3-access-key = "$access"
s3-secret-key = "$secret"
$([ "$role" != gateway ] || printf 'gateway-secret = "%s"' "$(value SHANSHUI_GATEWAY_SECRET)")
TOML
done

# The key of one caller of the gateway, and what the gateway knows of it.
printf '%s\n' "$(random)" | write api-key
printf 'first:%s\n' "$(tr -d '\n' <"$folder/api-key" | sha256sum | cut -d' ' -f1)" | write keys
printf '%s' "$(random)" | write grafana-password
