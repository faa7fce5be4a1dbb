#!/usr/bin/env bash
# Make a base image from this machine's Debian package sources, where no image can be pulled; it trusts whom this machine
# trusts. As root, with mmdebstrap:
#   deployments/debian_base.sh triptych-base
#   docker build --build-arg BASE=triptych-base --tag triptych-hands deployments/hands
set -euo pipefail
image=${1:?the name of the image}
sources=/etc/apt/sources.list
[ -s "$sources" ] || sources=/etc/apt/sources.list.d/debian.sources
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,python3,python3-pip,python3-pytest,python3-venv,ripgrep,socat \
  --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/' "$suite" - "$sources" \
  | docker import --change 'CMD ["python3"]' - "$image"
