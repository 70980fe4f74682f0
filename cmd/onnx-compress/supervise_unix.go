//go:build !windows

package main

import (
	"io"
	"os"
	"os/exec"
	"syscall"
)

// captureErrors has a worker say its errors to descriptor 3, which is our standard error. What comes to its standard error then
// is by the Go runtime or by C code, about the death of the process for the most part, and is kept.
func captureErrors(worker *exec.Cmd) *head {
	said := &head{}
	worker.Stderr = said
	worker.ExtraFiles = []*os.File{os.Stderr}
	return said
}

// workerErrors is where a worker has its errors to say.
func workerErrors() io.Writer {
	syscall.CloseOnExec(3)
	return os.NewFile(3, "stderr")
}

// killedBy returns the signal that ended a process, 0 for none.
func killedBy(state *os.ProcessState) syscall.Signal {
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return s.Signal()
	}
	return 0
}

// signalName is a signal's name in a shell.
func signalName(s syscall.Signal) string {
	for name, known := range map[string]syscall.Signal{
		"SIGABRT": syscall.SIGABRT, "SIGBUS": syscall.SIGBUS, "SIGFPE": syscall.SIGFPE, "SIGILL": syscall.SIGILL,
		"SIGKILL": syscall.SIGKILL, "SIGSEGV": syscall.SIGSEGV, "SIGTRAP": syscall.SIGTRAP, "SIGXCPU": syscall.SIGXCPU,
		"SIGXFSZ": syscall.SIGXFSZ, "SIGSYS": syscall.SIGSYS,
	} {
		if known == s {
			return name
		}
	}
	return s.String()
}
