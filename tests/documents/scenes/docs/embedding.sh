#: end
test -e /tmp/copy/CURRENT
