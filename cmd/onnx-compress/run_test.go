package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
)

// TestWithDefault: what a command line asks for, with the word compress left out or not.
func TestWithDefault(t *testing.T) {
	root := newRoot(streams{})
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "[help]"},
		{[]string{"-h"}, "[help]"},
		{[]string{"--help", "verify"}, "[help verify]"},
		{[]string{"--version"}, "[version]"},
		{[]string{"inspect", "m.onnx"}, "[inspect m.onnx]"},
		{[]string{"compress", "m.onnx"}, "[compress m.onnx]"},
		{[]string{"m.onnx", "inspect"}, "[compress m.onnx inspect]"},
		{[]string{"-q", "m.onnx"}, "[compress -q m.onnx]"},
		{[]string{"./inspect"}, "[compress ./inspect]"},
		{[]string{""}, "[compress ]"},
		{[]string{"__complete", "ins"}, "[__complete ins]"},
		{[]string{"__complete", "m.onnx", ""}, "[__complete compress m.onnx ]"},
		{[]string{"__completeNoDesc", "--ta"}, "[__completeNoDesc compress --ta]"},
		{[]string{"__complete", "inspect", "m"}, "[__complete inspect m]"},
	} {
		if got := fmt.Sprint(withDefault(root, c.args)); got != c.want {
			t.Errorf("%q asks for %s; want %s", c.args, got, c.want)
		}
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		name string
		code int
		says string
	}{
		{nil, "compress", 0, ""},
		{errDone, "compress", 0, ""},
		{errors.New("disk full"), "compress", 1, "onnx-compress: disk full\n"},
		{errors.New("give more, or lower Options.CalibSamples"), "compress", 1, "onnx-compress: give more, or lower --calib-samples\n"},
		{usagef("no such %s", "thing"), "verify", 2, "onnx-compress: no such thing\nsee `onnx-compress help verify`\n"},
		{fmt.Errorf("model: %w", &compress.UsageError{Err: errors.New("odd")}), "inspect", 2, "onnx-compress: model: odd\nsee `onnx-compress help inspect`\n"},
		{fmt.Errorf("running: %w", context.Canceled), "compress", 8, "onnx-compress: interrupted; nothing was written\n"},
		{fmt.Errorf("running: %w", context.Canceled), "verify", 8, "onnx-compress: interrupted\n"},
		{errors.Join(context.Canceled, usagef("odd")), "compress", 8, "onnx-compress: interrupted; nothing was written\n"},
	} {
		var errs bytes.Buffer
		if code := exitCode(c.err, c.name, streams{err: &errs}); code != c.code || errs.String() != c.says {
			t.Errorf("%v: code %d, %q; want %d, %q", c.err, code, &errs, c.code, c.says)
		}
	}
	var errs bytes.Buffer
	unmet := fmt.Errorf("m.onnx: %w", &compress.UnmetError{Target: compress.Target{Resource: compress.MACs, Value: 0.1, Fraction: true}, Original: 10})
	if code := exitCode(unmet, "compress", streams{err: &errs}); code != 3 || !strings.HasSuffix(errs.String(), "nothing was written\n") {
		t.Errorf("code %d, %q", code, &errs)
	}
}

// TestErrorsAsJSON: for an engine the words are a line of JSON, with the code and whether to try again.
func TestErrorsAsJSON(t *testing.T) {
	format := logJSON
	for _, c := range []struct {
		err  error
		code int
		want map[string]any
	}{
		{usagef("no such \x1bthing"), 2, map[string]any{"level": "ERROR", "msg": "no such \x1bthing", "code": 2.0, "again": false}},
		{errors.New("disk full"), 1, map[string]any{"level": "ERROR", "msg": "disk full", "code": 1.0, "again": true}},
		{context.Canceled, 8, map[string]any{"level": "ERROR", "msg": "interrupted; nothing was written", "code": 8.0, "again": true}},
	} {
		var errs bytes.Buffer
		code := exitCode(c.err, "compress", streams{err: &errs, log: &format})
		var got map[string]any
		if err := json.Unmarshal(errs.Bytes(), &got); err != nil {
			t.Fatalf("%v in %q", err, &errs)
		}
		delete(got, "time")
		if code != c.code || !maps.Equal(got, c.want) || bytes.Count(errs.Bytes(), []byte("\n")) != 1 {
			t.Errorf("code %d, %v; want %d, %v", code, got, c.code, c.want)
		}
	}
	var errs bytes.Buffer
	if code := crashed(streams{err: &errs, log: &format}, "gone"); code != exitCrashed || !strings.Contains(errs.String(), `"msg":"gone","code":7,"again":true`) {
		t.Errorf("code %d, %q", code, &errs)
	}
	for _, c := range []struct {
		line string
		want logFormat
	}{
		{"compress m.onnx --log json", logJSON},
		{"m.onnx --log=json --target", logJSON},
		{"shard merge 1.ocs --log text", logText},
		{"compress m.onnx --log xml", ""},
		{"inspect m.onnx --log json", ""},
		{"compress m.onnx", ""},
	} {
		if models, got := runsModels(strings.Fields(c.line)); !models || *got != c.want {
			t.Errorf("%s: runs models: %v, logs as %q, want %q", c.line, models, *got, c.want)
		}
	}
}

func TestMeant(t *testing.T) {
	root := newRoot(streams{})
	for word, want := range map[string]string{
		"inspct": `did you mean "inspect"`, "Doctor": `did you mean "doctor"`, "model": "", "inspct.onnx": "", "./docto": "", "": "",
	} {
		if got := meant(root, word); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("meant(%q) = %q, want %q", word, got, want)
		}
	}
}

// TestRun goes through the commands that need no model, and through mistakes.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		out  string // in standard output, or
		err  string // in standard error; the other must be empty
	}{
		{"", 0, "Commands:", ""},
		{"help", 0, "Commands:", ""},
		{"help verify", 0, "ORIGINAL COMPRESSED", ""},
		{"help help", 0, "Commands:", ""},
		{"help --help", 0, "Commands:", ""},
		{"-h inspect", 0, "onnx-compress inspect MODEL", ""},
		{"version", 0, "onnx-compress ", ""},
		{"--version", 0, "\nONNX Runtime", ""},
		{"version --help", 0, "Prints the version", ""},
		{"methods", 0, "svd", ""},
		{"methods svd --json", 0, `"schema": "onnx-compress/methods/1"`, ""},
		{"methods --json=-", 0, `"name": "svd"`, ""},
		{"inspect --help", 0, "break-even", ""},
		{"help nothing", 2, "", `no help on "nothing"`},
		{"help ../help", 2, "", "no help on"},
		{"help compress verify", 2, "", "2 commands were named"},
		{"help a b", 2, "", `no help on "a"`},
		{"version now", 2, "", "takes no arguments"},
		{"doctor now", 2, "", "takes no arguments"},
		{"setup now", 2, "", "takes no arguments"},
		{"setup --with conda", 2, "", "want pip or npm"},
		{"methods svd svd", 2, "", "2 methods were named"},
		{"methods nothing", 2, "", `unknown method "nothing"; known: svd`},
		{"inspect", 2, "", "which model?"},
		{"inspect --only", 2, "", "--only"},
		{"inspect m.onnx --json=none/x.json", 2, "", "there is no folder none"},
		{"inspect m.onnx --json=testdata", 2, "", "is a folder"},
		{"inspect m.onnx --json=", 2, "", "want a file, or --json alone"},
		{"inspect m.onnx x.json --json", 2, "", "--json=x.json"},
		{"inspect none.onnx", 1, "", "none.onnx"},
		{"verify a.onnx", 2, "", "want two models"},
		{"verify a.onnx b.onnx --labels l.txt", 2, "", "name them with --data"},
		{"verify a.onnx b.onnx --samples 0", 2, "", "--samples 0"},
		{"verify none.onnx none.onnx", 1, "", "none.onnx"},
		{"inspct", 2, "", `neither a file nor a command (did you mean "inspect"?)`},
		{"a.onnx b.onnx --target macs=0.5", 2, "", "2 models were named"},
		{"a.onnx --target macs=0.5 --threads 0", 2, "", "--threads 0"},
		{"a.onnx --target macs=0.5 --threads x", 2, "", "threads"},
		{"a.onnx --target macs=0.5 --seed -1", 2, "", "seed"},
		{"a.onnx --target macs=0.5 --memory 0", 2, "", "512MiB"},
		{"a.onnx --target macs=0.5 --crop 4", 2, "", "--crop says how samples are prepared"},
		{"a.onnx --target macs=0.5 --json=a.onnx", 2, "", "would overwrite a.onnx"},
		{"a.onnx --target macs=0.5 -o b.onnx --json=./b.onnx", 2, "", "would overwrite b.onnx"},
		{"--quite", 2, "", "did you mean --quiet?"},
		{"-x", 2, "", "unknown shorthand flag"},
		{"help completion", 0, "powershell", ""},
		{"completion", 2, "", "want one of bash, fish, powershell, zsh"},
		{"completion csh", 2, "", "completion csh: want one of"},
		{"completion bash zsh", 2, "", "takes no arguments"},
		{"completion bash", 0, "__start_onnx-compress", ""},
		{"completion zsh", 0, "#compdef onnx-compress", ""},
		{"completion fish", 0, "complete -c onnx-compress", ""},
		{"completion powershell", 0, "Register-ArgumentCompleter", ""},
		{"man", 2, "", "where do the pages go?"},
		{"man a b", 2, "", "where do the pages go?"},
	} {
		var out, errs bytes.Buffer
		code := run(strings.Fields(c.args), streams{out: &out, err: &errs})
		if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.err) {
			t.Errorf("%q: code %d, out %q, err %q; want %d, %q, %q", c.args, code, &out, &errs, c.code, c.out, c.err)
		}
		if c.out == "" && out.Len() > 0 || c.err == "" && errs.Len() > 0 {
			t.Errorf("%q: out %q, err %q; one of them is too much", c.args, &out, &errs)
		}
	}
}

// shut is a writer that takes nothing.
type shut struct{}

func (shut) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestClosedOutput: output that nobody takes is a failure, not a success in silence.
func TestClosedOutput(t *testing.T) {
	for _, args := range []string{"help", "version", "methods", "methods svd", "methods --json", "inspect --help", "completion bash"} {
		var errs bytes.Buffer
		if code := run(strings.Fields(args), streams{out: shut{}, err: &errs}); code != exitFailed || !strings.Contains(errs.String(), "closed pipe") {
			t.Errorf("%s: code %d, %q", args, code, &errs)
		}
	}
}
