# Sourced: what fetches from a mirror is tried again once, because mirrors hiccup.
twice() {
  "$@" && return
  echo "again in 10 s: $*" >&2
  sleep 10
  "$@"
}
