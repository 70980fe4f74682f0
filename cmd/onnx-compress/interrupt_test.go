package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// interruptedRun is the program, which gets SIGINT at a point of its own progress:
// "STAGE" when the stage begins, "STAGE+" after its first step.
func interruptedRun(point string, args []string) int {
	stage, within := strings.CutSuffix(point, "+")
	sent := false
	watch := func(name string, done, total int) {
		if sent || name != stage || within != (done > 0) {
			return
		}
		sent = true
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		if err != nil {
			panic(err)
		}
		time.Sleep(50 * time.Millisecond) // for the signal to arrive
	}
	code := run(args, streams{out: os.Stdout, err: os.Stderr, watch: watch})
	if !sent {
		fmt.Fprintf(os.Stderr, "the run never came to %s\n", point)
		return 99
	}
	return code
}

// cmdInterrupt runs the program several times and sends it SIGINT from outside, each
// time somewhat later, over about as long as a run takes: interrupt TIMES ARG... -o DIR/FILE.
// Each run must end with code 1 and leave nothing in the folder, or else have been done
// already and leave the file whole.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || args[len(args)-2] != "-o" {
		ts.Fatalf("usage: interrupt TIMES ARG... -o DIR/FILE")
	}
	times, err := strconv.Atoi(args[0])
	ts.Check(err)
	args = args[1:]
	output := ts.MkAbs(args[len(args)-1])
	start := time.Now()
	_, err = startProgram(ts, args, nil)
	ts.Check(err)
	whole := time.Since(start)
	want, err := os.ReadFile(output)
	ts.Check(err)
	for i := range times {
		ts.Check(os.Remove(output))
		after := whole * time.Duration(i) / time.Duration(times)
		killed, err := startProgram(ts, args, &after)
		ts.Check(err)
		ts.Logf("SIGINT after %v of %v: ended by it: %v", after, whole, killed)
		if killed {
			entries, err := os.ReadDir(filepath.Dir(output))
			ts.Check(err)
			if len(entries) > 0 {
				ts.Fatalf("SIGINT after %v leaves %s behind", after, entries[0].Name())
			}
			ts.Check(os.WriteFile(output, want, 0o644))
		} else if got, err := os.ReadFile(output); err != nil || !bytes.Equal(got, want) {
			ts.Fatalf("SIGINT after %v: the program says it was done, but its output is not whole: %v", after, err)
		}
	}
}

// startProgram runs the program to its end, interrupted after a while unless that is
// nil, and says whether the interruption ended it.
func startProgram(ts *testscript.TestScript, args []string, after *time.Duration) (interrupted bool, err error) {
	program, err := exec.LookPath("onnx-compress")
	if err != nil {
		return false, err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"ONNX_COMPRESS_ORT", "ONNX_COMPRESS_CACHE"} {
		cmd.Env = append(cmd.Environ(), name+"="+ts.Getenv(name))
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if after != nil {
		time.Sleep(*after)
		if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return false, err
		}
	}
	select {
	case err = <-ended:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		return false, errors.New("still running after 30 s")
	}
	exit := (*exec.ExitError)(nil)
	switch {
	case !errors.As(err, &exit):
		return false, err
	case exit.ExitCode() < 0: // it had not yet asked for signals
		return true, nil
	case exit.ExitCode() == exitFailed && strings.Contains(stderr.String(), "interrupted; nothing was written"):
		return true, nil
	}
	return false, fmt.Errorf("exit code %d, stderr %q", exit.ExitCode(), stderr.String())
}
