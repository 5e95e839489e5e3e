#!/bin/sh
# Builds one native worker:
#
#   build.sh hnswlib|faiss OUTPUT
#
# CXX names the compiler, CPPFLAGS and LDFLAGS another place of the library; Debian's packages libhnswlib-dev and
# libfaiss-dev are found without.
# Exit code 77 means that the library is not here; the last line says what to do.
set -eu
name=$1 output=$2
cd "$(dirname "$0")"
CXX=${CXX:-g++}

lacks() {
  echo "$1"
  exit 77
}

command -v "$CXX" >/dev/null || lacks "$CXX is not here"

# has HEADER
has() { printf '#include <%s>\n' "$1" | "$CXX" -E -x c++ ${CPPFLAGS:-} - >/dev/null 2>&1; }

# version PACKAGE
version() {
  [ -z "${VERSION:-}" ] || { echo "$VERSION"; return; }
  dpkg-query -W -f '${Package} ${Version}' "$1" 2>/dev/null || echo unknown
}

flags="-std=c++17 -O3 -march=native -DNDEBUG -pthread ${CPPFLAGS:-}"
case $name in
  hnswlib)
    has hnswlib/hnswlib.h || lacks "hnswlib's headers are not here: apt-get install libhnswlib-dev"
    "$CXX" $flags -DVERSION="\"$(version libhnswlib-dev)\"" hnswlib.cc -o "$output" ${LDFLAGS:-}
    ;;
  faiss)
    has faiss/Index.h || lacks "faiss is not here: apt-get install libfaiss-dev"
    "$CXX" $flags -fopenmp -DVERSION="\"$(version libfaiss-dev)\"" faiss.cc -o "$output" ${LDFLAGS:-} -lfaiss -lblas -llapack
    ;;
  *)
    echo "no worker $name"
    exit 2
    ;;
esac
