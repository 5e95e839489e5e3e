package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// enableControlCodes asks the console to obey control codes. Consoles older
// than Windows 10 can't.
func enableControlCodes(f *os.File) bool {
	var mode uint32
	console := windows.Handle(f.Fd())
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
