package rig

import (
	"os/exec"
	"syscall"
)

// dieWithUs makes the kernel kill a child when the test process dies, so that a
// test that ran out of time leaves nothing behind.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
