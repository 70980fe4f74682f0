package main

import (
	"io"
	"os"
	"os/exec"
	"syscall"
)

// captureErrors leaves a worker our standard error: Windows has no second descriptor that Go hands on.
func captureErrors(worker *exec.Cmd) *head {
	worker.Stderr = os.Stderr
	return &head{}
}

// workerErrors is where a worker has its errors to say.
func workerErrors() io.Writer { return os.Stderr }

// killedBy is for systems with signals.
func killedBy(*os.ProcessState) syscall.Signal { return 0 }

func signalName(s syscall.Signal) string { return s.String() }
