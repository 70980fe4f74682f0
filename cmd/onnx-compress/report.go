package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/plaintext"
	"github.com/onnx-compress/onnx-compress/internal/report/page"
)

type reportCommand struct {
	output string
	force  bool
}

func newReport() *cobra.Command {
	c := &reportCommand{}
	return declare(&cobra.Command{
		Use:   "report RESULT.json [OTHER.json] -o PAGE.html [flags]",
		Short: "make an HTML page of a result, or of two side by side",
		Long: `Makes an HTML page of a result that compress, explore or tune has written with
--json=FILE: what was saved, what it costs, on what evidence, and what to test
before roll-out; other budgets, layers, spectra, behaviour by class, what was
left alone and why, and the command that repeats it. The page is one file and
loads nothing from elsewhere. With --report FILE these commands make it at
once, and show the samples that changed most as pictures, which JSON lacks.

Of two results that compress has written the page shows side by side what each
needs and keeps, what other budgets would have given, and the layers that became
something else.`,
		Example: `
  onnx-compress model.onnx -o small.onnx --calib images/ --target macs=0.5 \
      --time --json=result.json
  onnx-compress report result.json -o result.html
  onnx-compress report svd.json all.json -o both.html`,
		Annotations:       map[string]string{notesOf: "Exit codes: 0 done, 1 failed, 2 usage."},
		ValidArgsFunction: ending("json").asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Flags(), args) },
	}, func(f *flagSet) {
		f.StringVarP(&c.output, "output", "o", "", "`FILE` where the page goes")
		f.BoolVar(&c.force, "force", false, "replace it if it exists")
	}, configFlags)
}

// run makes the page of one or two results that --json has written.
func (c *reportCommand) run(f *pflag.FlagSet, args []string) error {
	switch {
	case len(args) != 1 && len(args) != 2:
		return usagef("want a file that --json=FILE has written, or two to see side by side; got %d", len(args))
	case c.output == "":
		return usagef("where does the page go? name its file with -o, for example -o result.html")
	}
	if err := writable(f, args, "output"); err != nil {
		return err
	}
	if info, err := os.Stat(c.output); err == nil && info.Mode().IsRegular() && !c.force {
		return fmt.Errorf("%s: %w; choose another name, or allow it to be replaced", c.output, fs.ErrExist)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var files [][]byte
	for _, path := range args {
		data, err := bounded.ReadFile(path, 1<<28)
		if err != nil {
			return err
		}
		files = append(files, plaintext.Bytes(data))
	}
	return writeFile(c.output, func(w io.Writer) error {
		if len(files) == 2 {
			return c.beside(w, args, files)
		}
		if err := page.FromJSON(w, files[0]); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		return nil
	})
}

// beside writes the page of two results.
func (c *reportCommand) beside(w io.Writer, names []string, files [][]byte) error {
	var results [2]*compress.Result
	for i, data := range files {
		r, err := page.ResultFromJSON(data)
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		results[i] = r
	}
	return page.Comparison(w, results[0], results[1])
}
