package main

import (
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/report"
)

// outputFlags say who is told the outcome, and how.
type outputFlags struct {
	json           string
	quiet, verbose bool
}

// toStdout is the value of a bare --json.
const toStdout = "-"

func (o *outputFlags) add(f *pflag.FlagSet) {
	f.StringVar(&o.json, "json", "", "")
	f.Lookup("json").NoOptDefVal = toStdout
	f.BoolVarP(&o.quiet, "quiet", "q", false, "")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "")
}

// write gives v as JSON to where --json says, and as text to people unless
// they want quiet, or standard output holds the JSON.
func (o *outputFlags) write(stdout io.Writer, v any, text func(io.Writer) error) error {
	switch o.json {
	case "":
	case toStdout:
		return report.JSON(stdout, v)
	default:
		if err := writeFile(o.json, func(w io.Writer) error { return report.JSON(w, v) }); err != nil {
			return err
		}
	}
	if o.quiet {
		return nil
	}
	return text(stdout)
}

// writeFile writes a file that people asked for by name.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
