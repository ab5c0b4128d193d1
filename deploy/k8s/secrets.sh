#!/bin/sh
# Prints Secrets with random values, everything that the manifests refer to: secrets.sh NAMESPACE | kubectl create -f -
# `create` and not `apply`: what is there stays. Nothing is written to disk. Where a vault has the values, see
# components/external-secrets instead.
set -eu

[ $# -eq 1 ] || {
    echo "secrets.sh: say which namespace: secrets.sh throughline-dev | kubectl create -f -" >&2
    exit 2
}
namespace="$1"

# 256 bits that need no quoting in a URL
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

secret() {
    name="$1"
    shift
    printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: Opaque\nstringData:\n' "$name" "$namespace"
    for key; do printf '  %s: "%s"\n' "$key" "$(random)"; done
    echo ---
}

# the administrator of Postgres, and a role for each service
secret postgres admin auth catalog orders notification analytics
secret redis password
# the key of access tokens, and the first admin of the shop
secret auth jwt admin-password
secret canary password
secret grafana admin-password
