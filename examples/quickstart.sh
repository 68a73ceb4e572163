#!/usr/bin/env bash
# A user, an address, its balance and its transactions, with curl.
#
#   examples/quickstart.sh             # against `make run`
#   examples/quickstart.sh URL KEY     # against any tallyd
set -euo pipefail

dev=${TALLYD_DEV:-.tallyd/dev.json}
wallet=${WALLET:-bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh}

# member NAME prints a member of the JSON object on standard input.
member() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

if [ $# -eq 2 ]; then
	url=${1%/} key=$2
elif [ $# -eq 0 ] && [ -r "$dev" ]; then
	url=$(tr -d '\n' <"$dev" | member url) key=$(tr -d '\n' <"$dev" | member api_key)
else
	echo "usage: $0 URL KEY, or start 'make run' first: $dev is not there" >&2
	exit 2
fi

# request METHOD PATH HEADER [BODY] prints the answer, and ends the script on a problem.
request() {
	local answer status
	answer=$(curl -sS -X "$1" "$url$2" -H "$3" ${4:+-H 'Content-Type: application/json' -d "$4"} -w '\n%{http_code}')
	status=${answer##*$'\n'}
	answer=${answer%$'\n'*}
	if [ "$status" -ge 400 ]; then
		echo "$1 $2: $status $answer" >&2
		exit 1
	fi
	printf '%s\n' "$answer"
}

user=$(request POST /v1/users "X-API-Key: $key" '{"name":"quickstart"}' | member uuid)
echo "user    $user"
token=$(request GET "/v1/users/$user/auth" "X-API-Key: $key" | member token)
account=$(request POST /v1/onchain/btc/connect "Authorization: Bearer $token" \
	"{\"wallet\":\"$wallet\",\"description\":\"connected by quickstart.sh\"}" | member id)
echo "account $account"

# Each call itself waits up to two seconds for the first balance.
for _ in $(seq 40); do
	balance=$(request GET "/v1/onchain/btc/account/$account/balance" "Authorization: Bearer $token")
	case $balance in *'"last_sync":null'*) sleep 1 ;; *) break ;; esac
done
echo "balance $balance"
echo "transactions"
request GET "/v1/onchain/btc/account/$account/transactions?limit=10" "Authorization: Bearer $token"
