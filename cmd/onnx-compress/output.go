package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

// outputFlags say who is told the outcome, and how.
type outputFlags struct {
	json           jsonTarget
	quiet, verbose bool
}

// jsonTarget is where --json points: nowhere, standard output, or a file.
type jsonTarget string

// toStdout is the value of a bare --json.
const toStdout = "-"

func (j *jsonTarget) String() string { return string(*j) }
func (j *jsonTarget) Type() string   { return "file" }

// Set reads the flag's value.
func (j *jsonTarget) Set(s string) error {
	if s == "" {
		return errors.New("want a file, or --json alone for standard output")
	}
	*j = jsonTarget(s)
	return nil
}

// declare says what the JSON is, and what --quiet and --verbose change; a command without one of
// the two leaves its text empty.
func (o *outputFlags) declare(f *flagSet, json, quiet, verbose string) {
	f.Var(&o.json, "json", "`[=FILE]` "+json+", to standard output or a file")
	f.Lookup("json").NoOptDefVal = toStdout
	if quiet != "" {
		f.BoolVarP(&o.quiet, "quiet", "q", false, quiet)
	}
	if verbose != "" {
		f.BoolVarP(&o.verbose, "verbose", "v", false, verbose)
	}
}

// writable refuses the files that flags name where they cannot be written, before the work
// begins, or where they are one of the files that the work is about.
func writable(f *pflag.FlagSet, files []string, flags ...string) error {
	for _, name := range flags {
		flag := f.Lookup(name)
		path, sign := flag.Value.String(), " "
		if flag.NoOptDefVal != "" {
			sign = "="
		}
		switch {
		case path == "" && flag.Changed:
			return usagef("--%s: want a file", name)
		case path == "", path == toStdout && sign == "=":
			continue
		}
		if err := canWrite("--"+name+sign+path, path, files...); err != nil {
			return err
		}
		files = append(files, path)
	}
	return nil
}

// canWrite refuses a path that a flag, as it was written, wants a file at.
func canWrite(flag, path string, files ...string) error {
	for _, f := range files {
		if f != "" && sameFile(path, f) {
			return usagef("%s would overwrite %s; choose another file", flag, f)
		}
	}
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return usagef("%s: there is no folder %s", flag, folder)
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return usagef("%s is a folder; name a file in it", flag)
	case err == nil && !info.Mode().IsRegular():
		return nil // such as a pipe, which is only written to
	}
	probe, err := atomicfile.Create(path)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	probe.Discard()
	return nil
}

// sameFile tells whether two paths lead to one file, which need not exist.
func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(x, y)
	}
	fullA, errA := filepath.Abs(a)
	fullB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && fullA == fullB
}

// write gives v as JSON to where --json says, and as text to people unless
// they want quiet, or standard output holds the JSON.
func (o *outputFlags) write(stdout io.Writer, v any, text func(io.Writer) error) error {
	asJSON := inFlags(func(w io.Writer) error { return report.JSON(w, v) })
	switch o.json {
	case "":
	case toStdout:
		return asJSON(stdout)
	default:
		if err := writeAnew(string(o.json), asJSON); err != nil {
			return fmt.Errorf("--json=%s: %w", o.json, err)
		}
	}
	if o.quiet {
		return nil
	}
	return inFlags(text)(stdout)
}

// writeNamed writes the file that a flag names, where it names one.
func writeNamed(flag, path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	if err := writeAnew(path, write); err != nil {
		return fmt.Errorf("--%s %s: %w", flag, path, err)
	}
	return nil
}

// butNot says what could not be told of an output that is written.
func butNot(output, what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s is written, but not %s: %w", output, what, err)
	}
	return nil
}

// displaced is the error of a model that is not where the command line says, since something else has come there meanwhile. Where it names no place
// there is none, for that the model is in another is said.
func displaced(f *pflag.FlagSet, output compress.File) error {
	if output.Wanted == "" || !f.Changed("output") {
		return nil
	}
	return &verdict{exitFailed, fmt.Sprintf("another file is at %s, and stays; the model is in %s", output.Wanted, output.Path)}
}

// writeAnew writes a file about work that is done. Where that fails, a file of an earlier run goes, for it would be taken for
// this one's.
func writeAnew(path string, write func(io.Writer) error) error {
	err := writeFile(path, write)
	if info, gone := os.Lstat(path); err != nil && gone == nil && info.Mode().IsRegular() {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// writeFile writes a file that people asked for by name: whole, or not at all. What
// is there already and is no ordinary file, such as a pipe, is written to.
func writeFile(path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		return atomicfile.Write(path, write)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
