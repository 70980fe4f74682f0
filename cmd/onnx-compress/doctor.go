package main

import (
	"bufio"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

type doctorCommand struct {
	streams
	ort string
	out outputFlags
}

func newDoctor(s streams) *cobra.Command {
	c := &doctorCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "doctor [flags]",
		Short: "say which libraries are found, where, and what is missing",
		Long: `Says which shared libraries are found, where, in which version, and which
command mends what is missing. Looked at, in this order: the flag --ort, the
variables ONNX_COMPRESS_ORT and ONNX_COMPRESS_OPENBLAS, the folder that setup
fills, installed Python packages, the system.`,
		Annotations: map[string]string{notesOf: `
Exit codes: 0 ONNX Runtime can be used, 1 it cannot. OpenBLAS is optional: Go
code takes its place, more slowly.`},
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Flags()) },
	}, func(f *flagSet) {
		runtimeFlag(f, &c.ort)
		c.out.declare(f, "as JSON", "no text", "every place that was looked at")
	}, configFlags)
}

func (c *doctorCommand) run(f *pflag.FlagSet) error {
	if err := writable(f, nil, "json"); err != nil {
		return err
	}
	d := diagnose(c.ort)
	if err := c.out.write(c.streams.out, d, func(w io.Writer) error { return d.text(w, c.out.verbose) }); err != nil {
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
