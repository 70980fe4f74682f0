package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/linalg"
)

// diagnosis is what doctor found.
type diagnosis struct {
	Schema    string    `json:"schema"`
	Version   string    `json:"version"`
	Platform  string    `json:"platform"`
	Libraries []library `json:"libraries"`
	// Algebra is the backend that a run would use.
	Algebra string `json:"algebra"`
}

// library is one shared library: where it is, or why it cannot be used and
// what mends that.
type library struct {
	Name    string   `json:"name"`
	Path    string   `json:"path,omitempty"`
	Source  string   `json:"source,omitempty"`
	Version string   `json:"version,omitempty"`
	Fault   string   `json:"fault,omitempty"`
	Mend    string   `json:"mend,omitempty"`
	Tried   []string `json:"tried,omitempty"`
}

// diagnosisSchema names the shape of a diagnosis as JSON.
const diagnosisSchema = "onnx-compress/doctor/1"

func runDoctor(_ context.Context, args []string, s streams) error {
	var out outputFlags
	var path string
	f := newFlags("doctor")
	f.StringVar(&path, "ort", "", "")
	out.add(f, "quiet", "verbose")
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("doctor takes no arguments, got %q", rest)
	}
	if err := out.check(); err != nil {
		return err
	}
	d := diagnose(path)
	if err := out.write(s.out, d, func(w io.Writer) error { return d.text(w, out.verbose) }); err != nil {
		return err
	}
	if l := d.Libraries[0]; l.Fault != "" {
		return fmt.Errorf("%s cannot be used; %s", l.Name, l.Mend)
	}
	return nil
}

// diagnose looks for each library and opens it.
func diagnose(runtimePath string) *diagnosis {
	d := &diagnosis{
		Schema: diagnosisSchema, Version: version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Algebra: linalg.Gonum().Name(),
	}
	d.Libraries = append(d.Libraries, examine(provision.ONNXRuntime, runtimePath, func(path string) error {
		lib, err := ort.Open(path)
		if err != nil {
			return err
		}
		lib.Close()
		return nil
	}))
	d.Libraries = append(d.Libraries, examine(provision.OpenBLAS, "", func(path string) error {
		backend, err := linalg.Open(path)
		if err != nil {
			return err
		}
		d.Algebra = backend.Name()
		return nil
	}))
	return d
}

// examine finds a library and tries to open it.
func examine(lib provision.Library, flag string, open func(path string) error) library {
	out := library{Name: lib.String()}
	found, tried, err := provision.Find(lib, flag)
	for _, t := range tried {
		out.Tried = append(out.Tried, t.String())
	}
	if err == nil {
		out.Path, out.Source = found.Path, string(found.Source)
		out.Version = found.Version
		err = open(found.Path)
	}
	if err != nil {
		out.Fault, out.Mend = err.Error(), provision.Mend(lib)
	}
	return out
}

// text writes the diagnosis for people.
func (d *diagnosis) text(out io.Writer, verbose bool) error {
	w := bufio.NewWriter(out) // which keeps the first error
	fmt.Fprintf(w, "onnx-compress %s on %s\n", d.Version, d.Platform)
	for _, l := range d.Libraries {
		if l.Fault == "" {
			fmt.Fprintf(w, "%-13s ok       %s\n              %s (%s)\n", l.Name, l.Version, l.Path, l.Source)
		} else {
			fmt.Fprintf(w, "%-13s MISSING  %s\n              mend it: %s\n", l.Name, l.Fault, l.Mend)
		}
		if verbose || l.Fault != "" {
			for _, t := range l.Tried {
				fmt.Fprintf(w, "              looked at %s\n", t)
			}
		}
	}
	fmt.Fprintf(w, "%-13s %s\n", "algebra", d.Algebra)
	return w.Flush()
}

func runSetup(ctx context.Context, args []string, s streams) error {
	f := newFlags("setup")
	var o provision.SetupOptions
	f.StringVar(&o.Client, "with", "", "")
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("setup takes no arguments, got %q", rest)
	}
	switch o.Client {
	case "", "pip", "npm":
	default:
		return usagef("--with %q: want pip or npm", o.Client)
	}
	return provision.Setup(ctx, s.out, o)
}
