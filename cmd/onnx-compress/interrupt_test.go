package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// interruptedRun is the program, which gets SIGINT at a point of its own progress:
// "STAGE" when the stage begins, "STAGE+" after its first step. At the point "none" it
// only names the points that it passes.
func interruptedRun(point string, args []string) int {
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, os.Interrupt)
	passed := map[string]bool{}
	watch := func(stage string, done, _ int) {
		stage, _, _ = strings.Cut(stage, ":") // from the remark behind it
		if done > 0 {
			stage += "+"
		}
		if passed[stage] {
			return
		}
		passed[stage] = true
		if point == "none" {
			fmt.Fprintln(os.Stderr, "at", stage)
		}
		if point != stage {
			return
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		if err != nil {
			panic(err)
		}
		<-arrived
		time.Sleep(50 * time.Millisecond) // for the program to hear of it, too
	}
	return run(args, streams{out: os.Stdout, err: os.Stderr, watch: watch})
}

// cmdStages interrupts the program at every point that a whole run passes: stages ARG...
// -o DIR/FILE. Each time it must end with code 8, say so, and leave the folder empty.
func cmdStages(ts *testscript.TestScript, neg bool, args []string) {
	output := outputOf(ts, neg, args)
	code, stderr, err := start(ts, "onnx-compress-interrupted", append([]string{"none"}, args...), nil)
	ts.Check(err)
	var points []string
	for _, line := range strings.Split(stderr, "\n") {
		if point, ok := strings.CutPrefix(line, "at "); ok {
			points = append(points, point)
		}
	}
	if code != exitDone || len(points) < 7 {
		ts.Fatalf("code %d, only the points %q", code, points)
	}
	ts.Check(os.Remove(output))
	for _, point := range points {
		code, stderr, err := start(ts, "onnx-compress-interrupted", append([]string{point}, args...), nil)
		ts.Check(err)
		if code != exitInterrupted || stderr != "onnx-compress: interrupted; nothing was written\n" {
			ts.Fatalf("SIGINT at %s: code %d, %q", point, code, stderr)
		}
		onlyIn(ts, filepath.Dir(output), "SIGINT at "+point)
	}
	ts.Logf("interrupted at %s", strings.Join(points, ", "))
}

// cmdInterrupt runs the program several times and sends it SIGINT from outside, each
// time somewhat later, over about as long as a run takes: interrupt TIMES ARG... -o DIR/FILE.
// Each run must end by it and leave the folder empty, or else have been done already
// and leave the file whole.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	output := outputOf(ts, neg, args)
	times, err := strconv.Atoi(args[0])
	ts.Check(err)
	begin := time.Now()
	code, stderr, err := start(ts, "onnx-compress", args[1:], nil)
	ts.Check(err)
	if code != exitDone {
		ts.Fatalf("code %d, %q", code, stderr)
	}
	whole := time.Since(begin)
	want, err := os.ReadFile(output)
	ts.Check(err)
	for i := range times {
		ts.Check(os.RemoveAll(output))
		after := whole * time.Duration(i) / time.Duration(times)
		code, stderr, err := start(ts, "onnx-compress", args[1:], &after)
		ts.Check(err)
		ts.Logf("SIGINT after %v of %v: code %d", after, whole, code)
		switch {
		case code == exitDone:
			if got, err := os.ReadFile(output); err != nil || !bytes.Equal(got, want) {
				ts.Fatalf("SIGINT after %v: the run was done, but its output is not whole: %v", after, err)
			}
		case code < 0: // it had not asked for signals yet
			onlyIn(ts, filepath.Dir(output), "SIGINT at the start")
		case code == exitInterrupted && strings.Contains(stderr, "interrupted; nothing was written"):
			onlyIn(ts, filepath.Dir(output), fmt.Sprintf("SIGINT after %v", after))
		default:
			ts.Fatalf("SIGINT after %v: code %d, %q", after, code, stderr)
		}
	}
}

// outputOf returns the last argument, which -o stands before, as a path.
func outputOf(ts *testscript.TestScript, neg bool, args []string) string {
	if neg || len(args) < 4 || args[len(args)-2] != "-o" {
		ts.Fatalf("usage: ... -o DIR/FILE")
	}
	return ts.MkAbs(args[len(args)-1])
}

// onlyIn wants a folder to hold nothing but the named files.
func onlyIn(ts *testscript.TestScript, folder, when string, names ...string) {
	entries, err := os.ReadDir(folder)
	ts.Check(err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		ts.Fatalf("%s: %s holds %q, want %q", when, folder, got, names)
	}
}

// start runs a program to its end, interrupted after a while unless that is nil. The code
// is below zero where a signal killed it.
func start(ts *testscript.TestScript, name string, args []string, after *time.Duration) (code int, stderr string, err error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return 0, "", err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"ONNX_COMPRESS_ORT", "ONNX_COMPRESS_CACHE"} {
		cmd.Env = append(cmd.Environ(), name+"="+ts.Getenv(name))
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if after != nil {
		time.Sleep(*after)
		if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return 0, "", err
		}
	}
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		return 0, "", errors.New("still running after a minute")
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, "", err
	}
	return cmd.ProcessState.ExitCode(), said.String(), nil
}
