//go:build !unix

package worker

import "os/exec"

func separate(*exec.Cmd) {}
