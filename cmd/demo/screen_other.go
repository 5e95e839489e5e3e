//go:build !windows

package main

import "os"

// enableControlCodes has nothing to do: terminals obey them.
func enableControlCodes(*os.File) bool { return true }
