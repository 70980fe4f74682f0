// Package quantizer makes int8 models by ONNX Runtime's own quantizer, which is a Python package.
package quantizer

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

//go:embed quantize.py
var script string

// Job is a model to quantize: the file that is read, and the one that is written.
type Job struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Made says how models were quantized.
type Made struct {
	// Version is that of the quantizer, ONNX Runtime's.
	Version string `json:"version"`
	// How is static where the ranges of activations are those of samples, which convolutions want, and dynamic where each run finds them;
	// one for each job.
	How []string `json:"how"`
}

// MissingError says that there is no Python with what the quantizer needs.
type MissingError struct {
	Python string
	Err    error
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("int8 models are made by ONNX Runtime's quantizer, and %s does not have it: %v; install it there (pip install onnxruntime onnx), or name a Python that has it", e.Python, e.Err)
}

func (e *MissingError) Unwrap() error { return e.Err }

// RefusedError says that the quantizer fails at a model.
type RefusedError struct {
	Python string
	Err    error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("ONNX Runtime's quantizer, in %s: %v", e.Python, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// Store writes the inputs of one run, by name, to a folder of runs, where Run reads them.
func Store(folder string, run int, inputs map[string]tensor.Dense) error {
	path := filepath.Join(folder, fmt.Sprintf("%06d", run))
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	i := 0
	for name, d := range inputs {
		data, err := onnxio.DenseTensor(name, d).Marshal()
		if err != nil {
			return fmt.Errorf("input %q: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(path, fmt.Sprintf("%03d.pb", i)), data, 0o600); err != nil {
			return err
		}
		i++
	}
	return nil
}

// Run quantizes models: weights to int8 by output channels, activations to uint8, with ranges of those that the runs in the folder samples
// show. python is the interpreter, by name or path; empty means python3, or python. Errors are *MissingError where it has no quantizer,
// and *RefusedError where that fails.
func Run(ctx context.Context, python, samples string, jobs []Job) (*Made, error) {
	found, err := interpreter(python)
	if err != nil {
		return nil, err
	}
	asked, err := json.Marshal(map[string]any{"jobs": jobs, "samples": samples, "reduce_range": saturates()})
	if err != nil {
		return nil, err
	}
	out, err := call(ctx, found, script, asked)
	if err != nil {
		why := check(ctx, found)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case why != nil:
			return nil, &MissingError{found, why}
		}
		return nil, &RefusedError{found, err}
	}
	made := &Made{}
	if err := json.Unmarshal(out, made); err != nil || len(made.How) != len(jobs) {
		return nil, fmt.Errorf("ONNX Runtime's quantizer, in %s, answered %.100q, which says nothing of %d models", found, out, len(jobs))
	}
	return made, nil
}

// Levels is how many steps there are from zero to the largest weight of an output channel, as Run quantizes on this machine.
func Levels() int {
	if saturates() {
		return 63
	}
	return 127
}

// saturates tells whether products of uint8 and int8 are summed in 16 bits here, where they overflow: then weights have 7 bits.
func saturates() bool {
	return runtime.GOARCH == "amd64" && !cpu.X86.HasAVX512VNNI && !cpu.X86.HasAVXVNNI
}

func interpreter(python string) (string, error) {
	names := []string{"python3", "python"}
	if python != "" {
		names = []string{python}
	}
	var errs []error
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", &MissingError{strings.Join(names, ", "), errors.Join(errs...)}
}

// check tells what an interpreter lacks.
func check(ctx context.Context, python string) error {
	_, err := call(ctx, python, "import onnx, onnxruntime.quantization", nil)
	return err
}

// call runs a program in the interpreter and returns what it prints; an error has the last line of what it complains of.
func call(ctx context.Context, python, program string, input []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, python, "-c", program)
	cmd.Stdin = bytes.NewReader(input)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if text := strings.TrimSpace(complaint.String()); text != "" {
		return nil, fmt.Errorf("%s (%w)", text[strings.LastIndexByte(text, '\n')+1:], err)
	}
	return nil, err
}
