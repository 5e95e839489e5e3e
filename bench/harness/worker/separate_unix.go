//go:build unix

package worker

import (
	"os/exec"
	"syscall"
)

// separate puts the worker in a process group of its own, so that an interrupt from the terminal does not reach it.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
