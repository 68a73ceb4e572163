#!/usr/bin/env bash
# debian.sh SUITE PACKAGE DIR: unpacks a Debian package and everything it needs
# into DIR. Nothing is installed on the machine and no root is needed: apt works
# on a state of its own, from the sources the machine already has.
#
# SUITE `own` takes the release the machine runs; `sid` takes Debian unstable
# from the same archive, with trixie beside it for libraries that sid dropped.

. "$(dirname "$0")/lib.sh"

suite=$1 package=$2 dir=$3
if ! have apt-get || ! have dpkg-deb; then
  die "$package has to come from Debian's packages, and this is no Debian machine (no apt-get)"
fi

work=$dir/.apt
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$dir/root"
: >"$work/state/status" # an empty machine: every dependency is fetched too

# apt reads the file given by -c last, so these lines win over /etc/apt, while
# the machine's proxy and credentials stay in force.
cat >"$work/apt.conf" <<CONF
Dir::State "$work/state";
Dir::State::lists "$work/state/lists";
Dir::State::status "$work/state/status";
Dir::Cache "$work/cache";
Dir::Cache::archives "$work/cache/archives";
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
CONF

private_apt() { apt-get -qq -c "$work/apt.conf" "$@"; }

# archives prints every archive this machine knows for Debian's main component,
# whatever the form of its sources, and before any `apt-get update` too.
archives() {
  local codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
  apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v own="$codename" '$2 == "main" && ($1 == own || $1 ~ /^(stable|oldstable|testing|unstable|sid)$/) && !seen[$3]++ { print $3 }'
}

# update_own reads the machine's own release.
update_own() {
  private_apt update 2>"$work/log" || { cat "$work/log" >&2; die "apt-get update failed: $package cannot be fetched"; }
}

# update_sid finds the archive that serves Debian unstable. Third parties use
# Debian's suite names as well, so a candidate has to prove itself by its Release
# file.
update_sid() {
  local key=/usr/share/keyrings/debian-archive-keyring.gpg signed='' uri uris
  uris=$(archives)
  [ -n "$uris" ] || die "$package has to come from Debian, and this machine's apt has no Debian source"
  if [ -r "$key" ]; then signed="[signed-by=$key] "; fi
  cat >>"$work/apt.conf" <<CONF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
CONF
  for uri in $uris; do
    printf "deb $signed%s sid main\ndeb $signed%s trixie main\n" "$uri" "$uri" >"$work/sources.list"
    if private_apt update 2>"$work/log" && grep -qs '^Origin: Debian$' "$work"/state/lists/*_sid_*Release; then
      return
    fi
  done
  cat "$work/log" >&2
  die "none of this machine's Debian sources serves the suite sid, where $package is"
}

"update_$suite"
private_apt -y --download-only install "$package" >/dev/null 2>"$work/log" || {
  cat "$work/log" >&2
  die "the package $package cannot be fetched from this machine's Debian sources"
}
for deb in "$work"/cache/archives/*.deb; do
  dpkg-deb -x "$deb" "$dir/root"
done
rm -rf "$work"
