package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// interrupted starts the program, sends SIGINT after ms milliseconds, and wants
// it to end soon: with code 1 and the words for it, or with code 0 when it was
// done already.
func interrupted(ts *testscript.TestScript, ms int, args []string) error {
	program, err := exec.LookPath("onnx-compress")
	if err != nil {
		return err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = append(os.Environ(), "ONNX_COMPRESS_ORT="+ts.Getenv("ONNX_COMPRESS_ORT"), "ONNX_COMPRESS_CACHE="+ts.Getenv("ONNX_COMPRESS_CACHE"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	time.Sleep(time.Duration(ms) * time.Millisecond)
	if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err = <-ended:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		return fmt.Errorf("still running 20 s after SIGINT")
	}
	ts.Logf("interrupted after %d ms: %v: %s", ms, err, strings.TrimSpace(stderr.String()))
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if exit.ExitCode() != exitFailed || !strings.Contains(stderr.String(), "interrupted; nothing was written") {
			return fmt.Errorf("exit code %d, stderr %q", exit.ExitCode(), stderr.String())
		}
		return nil
	}
	return err
}
