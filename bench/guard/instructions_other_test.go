//go:build !race && !linux

package guard

import "testing"

func instructions(t *testing.T, name string, _ func()) {
	t.Logf("%s: not counted: only under Linux", name)
}
