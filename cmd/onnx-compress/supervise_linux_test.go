package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

// longRun starts a tuning that does not end by itself, in a folder with its start "small.onnx", and waits until its worker is
// at work.
func longRun(t *testing.T) (program *exec.Cmd, worker int, stderr *bytes.Buffer) {
	t.Helper()
	library := provisiontest.Need(t, provision.ONNXRuntime)
	folder := t.TempDir()
	data, err := filepath.Abs("../../testmodels/data")
	if err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(data, "fashion_resnet.onnx")
	checkpoint := filepath.Join(folder, "state")
	program = exec.Command(os.Args[0], "tune", model, model, "-o", filepath.Join(folder, "out.onnx"), "--data", filepath.Join(data, "fashion.bin"),
		"--samples", "64", "--batch", "16", "--epochs", "100000", "--checkpoint", checkpoint, "--checkpoint-every", "1", "-q", "--threads", "1")
	program.Args[0] = "onnx-compress"
	program.Dir = folder
	program.Env = append(os.Environ(), provision.ONNXRuntime.Env()+"="+library)
	stderr = &bytes.Buffer{}
	program.Stderr = stderr
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Process.Kill() })
	wait(t, "the first steps", func() bool { _, err := os.Stat(checkpoint); return err == nil })
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", program.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	if fields := strings.Fields(string(children)); len(fields) == 1 {
		worker, err = strconv.Atoi(fields[0])
	} else {
		// The thread that started it may be another.
		worker, err = childOf(program.Process.Pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	return program, worker, stderr
}

// childOf finds the one child of a process.
func childOf(parent int) (int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			return strconv.Atoi(fields[0])
		}
	}
	return 0, fmt.Errorf("process %d has no children", parent)
}

// wait waits until something is so.
func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still waiting for ", what)
		}
	}
}

// code waits for the end of a program.
func code(t *testing.T, program *exec.Cmd) int {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("still running")
	}
	return program.ProcessState.ExitCode()
}

// TestWorkerDies: whatever the worker dies of, the program has words and a code for it.
func TestWorkerDies(t *testing.T) {
	for sig, want := range map[syscall.Signal]string{
		syscall.SIGFPE: "a library crashed (SIGFPE)", syscall.SIGSEGV: "a library crashed (SIGSEGV)", syscall.SIGABRT: "a library crashed (SIGABRT)",
		syscall.SIGILL: "a library crashed (SIGILL)", syscall.SIGBUS: "became shorter", syscall.SIGKILL: "memory ran out",
	} {
		t.Run(signalName(sig), func(t *testing.T) {
			program, worker, stderr := longRun(t)
			if err := syscall.Kill(worker, sig); err != nil {
				t.Fatal(err)
			}
			if got := code(t, program); got != exitCrashed {
				t.Errorf("code %d", got)
			}
			if said := stderr.String(); !strings.Contains(said, want) || strings.Contains(said, "goroutine") || strings.Count(said, "\n") != 2 {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// TestBreaksOff: each signal that asks for it, also where it reaches both processes as from a terminal.
func TestBreaksOff(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		for _, both := range []bool{false, true} {
			t.Run(fmt.Sprint(sig, both), func(t *testing.T) {
				if signal.Ignored(sig) {
					t.Skipf("%v is ignored here, as under nohup, and so by the programs that are begun here", sig)
				}
				program, worker, stderr := longRun(t)
				if both {
					_ = syscall.Kill(worker, sig)
				}
				if err := program.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				if got := code(t, program); got != exitInterrupted || !strings.Contains(stderr.String(), "onnx-compress: interrupted; ") {
					t.Errorf("code %d, %q", got, stderr)
				}
				if left, err := filepath.Glob(filepath.Join(program.Dir, ".*")); err != nil || len(left) > 0 {
					t.Errorf("left behind: %q, %v", left, err)
				}
			})
		}
	}
}

// TestWorkerAlone: a worker ends soon after the process that it works for.
func TestWorkerAlone(t *testing.T) {
	program, worker, _ := longRun(t)
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = code(t, program)
	wait(t, "the end of the worker", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", worker))
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
