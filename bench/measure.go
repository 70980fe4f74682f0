//go:build unix

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/verify"
)

// usage is what a process took.
type usage struct {
	seconds float64
	cpu     float64 // seconds, user and system, of the process and those that it started
	peakMiB float64
	code    int
}

// call runs the tool once and returns its standard output. An exit code other
// than 0 is not an error of the bench.
func (b *bench) call(args ...string) (usage, []byte, string, error) {
	cmd := exec.CommandContext(b.ctx, b.tool, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	u := usage{seconds: time.Since(start).Seconds()}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		u.code, err = exit.ExitCode(), nil
	}
	if err != nil {
		return u, nil, "", err
	}
	u.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.peakMiB = float64(r.Maxrss) / 1024
	}
	return u, stdout.Bytes(), stderr.String(), nil
}

// median runs the tool several times and returns the median time, the largest
// peak, and the last output. Any failure is an error.
func (b *bench) median(runs int, args ...string) (usage, []byte, error) {
	var all []usage
	var out []byte
	for range runs {
		u, stdout, stderr, err := b.call(args...)
		if err != nil {
			return u, nil, err
		}
		if u.code != 0 {
			return u, nil, fmt.Errorf("%s: exit code %d: %s", b.command(args...), u.code, stderr)
		}
		all, out = append(all, u), stdout
	}
	u := middle(all, func(u usage) float64 { return u.seconds })
	for _, v := range all {
		u.peakMiB = max(u.peakMiB, v.peakMiB)
	}
	return u, out, nil
}

// middle is the median of several measurements by a number, of an even count the larger of the two in the middle.
func middle[T any](all []T, by func(T) float64) T {
	sorted := slices.SortedFunc(slices.Values(all), func(x, y T) int { return cmp.Compare(by(x), by(y)) })
	return sorted[len(sorted)/2]
}

// compress runs the tool once with --json and reads the result.
func (b *bench) compress(args ...string) (usage, *compress.Result, error) {
	return b.timed(1, args...)
}

// timed is compress for a command that is timed over several runs.
func (b *bench) timed(runs int, args ...string) (usage, *compress.Result, error) {
	u, out, err := b.median(runs, append(slices.Clone(args), "--force", "-q", "--json")...)
	if err != nil {
		return u, nil, err
	}
	r := new(compress.Result)
	return u, r, json.Unmarshal(out, r)
}

// verify compares two files with --json and reads the report.
func (b *bench) verify(args ...string) (*verify.Report, error) {
	u, out, stderr, err := b.call(append(append([]string{"verify"}, args...), "-q", "--json")...)
	if err != nil {
		return nil, err
	}
	if u.code != 0 {
		return nil, fmt.Errorf("%s: exit code %d: %s", b.command(args...), u.code, stderr)
	}
	r := new(verify.Report)
	return r, json.Unmarshal(out, r)
}

// needPython is an error where there is no interpreter for a section's script.
func (b *bench) needPython() error {
	if b.python == "" {
		return fmt.Errorf("%w: no -python was given", errLeftOut)
	}
	return nil
}

// need is an error where a section's files are not there, which a script makes.
func need(script string, files ...string) error {
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%w: %w; %s makes what is needed", errLeftOut, err, script)
		}
	}
	return nil
}

// script is the command of a Python script in this folder; what it says on its standard error is passed on.
func (b *bench) script(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, b.python, append([]string{"bench/" + name}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}
