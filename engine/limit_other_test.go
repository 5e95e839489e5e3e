//go:build !linux

package engine_test

import (
	"fmt"
	"os"
)

func runLimited() {
	fmt.Fprintln(os.Stderr, "the limit of writable memory is Linux's")
	os.Exit(childFailed)
}
