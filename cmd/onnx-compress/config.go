package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/plaintext"
)

// configName is the file that is read from the current folder where it is there.
const configName = "onnx-compress.yaml"

// configFlags declares which configuration holds; every command that can be configured has them.
func configFlags(f *flagSet) {
	f.group("Configuration (see `onnx-compress help config`)")
	f.row("where other flags take their values from", choiceOfConfig)
}

func choiceOfConfig(f *flagSet) {
	f.String("config", "", "`FILE` read this file instead")
	f.Bool("no-config", false, "read none")
	f.Bool("print-config", false, "print the flags that hold, from the command line and the configuration, as a configuration; do nothing else")
	f.completeWith("config", ending("yaml", "yml"))
}

// settable lists the flags that a configuration can set.
func settable(f *pflag.FlagSet) []*pflag.Flag {
	return slices.DeleteFunc(flagsOf(f), func(flag *pflag.Flag) bool {
		return slices.Contains([]string{"config", "no-config", "print-config", "help"}, flag.Name)
	})
}

// useConfig gives the flags that the command line leaves out the values of the configuration,
// and prints what holds where that was asked for.
func useConfig(cmd *cobra.Command, _ []string) error {
	f := cmd.Flags()
	if f.Lookup("no-config") == nil {
		return nil // the command is about the program itself
	}
	none, path := f.Lookup("no-config").Value.String() == "true", f.Lookup("config").Value.String()
	if none && path != "" {
		return usagef("--config and --no-config exclude each other")
	}
	if !none {
		path, doc, err := readConfig(path)
		if err != nil {
			return err
		}
		if err := doc.apply(f, path); err != nil {
			return err
		}
	}
	if f.Lookup("print-config").Value.String() != "true" {
		return nil
	}
	if err := printConfig(cmd.OutOrStdout(), f); err != nil {
		return err
	}
	return errDone
}

// readConfig reads the configuration in a file, or in that of the current folder if there is one.
func readConfig(named string) (path string, doc *configDoc, err error) {
	path = named
	if path == "" {
		path = configName
	}
	data, err := bounded.ReadFile(path, maxConfig)
	if errors.Is(err, fs.ErrNotExist) && named == "" {
		return path, &configDoc{}, nil
	}
	if err != nil {
		return path, nil, usagef("configuration: %w", err)
	}
	if doc, err = parseConfig(plaintext.Bytes(data)); err != nil {
		return path, nil, usagef("%s: %w", path, err)
	}
	return path, doc, nil
}

// printConfig writes the flags that have a value as a configuration of the command.
func printConfig(w io.Writer, f *pflag.FlagSet) error {
	values := yaml.MapSlice{}
	for _, flag := range settable(f) {
		if !flag.Changed {
			continue
		}
		var v any = flag.Value.String()
		switch list, ok := flag.Value.(pflag.SliceValue); {
		case ok:
			v = list.GetSlice()
		case flag.Value.Type() == "bool":
			v = flag.Value.String() == "true"
		case slices.Contains([]string{"int", "uint64", "float64"}, flag.Value.Type()):
			v = number(flag.Value.String())
		}
		values = append(values, yaml.MapItem{Key: flag.Name, Value: v})
	}
	data, err := yaml.Marshal(yaml.MapSlice{{Key: f.Name(), Value: values}})
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// number is a number's text, which YAML has without quotes.
type number string

// MarshalYAML writes the text as it is.
func (n number) MarshalYAML() ([]byte, error) { return []byte(n), nil }

type configCommand struct {
	streams
	path   string
	schema bool
}

func newConfig(s streams) *cobra.Command {
	c := &configCommand{streams: s}
	var others strings.Builder
	writeFlags(&others, declare(&cobra.Command{}, func(f *flagSet) {
		f.group("Flags of all commands that do work")
		choiceOfConfig(f)
	}).Flags())
	return declare(&cobra.Command{
		Use:   "config [flags]",
		Short: "check onnx-compress.yaml, or print its schema",
		Long: `Checks the configuration and says what it has. A file onnx-compress.yaml in the
current folder is read by every command that does work. Its keys are commands,
and below each its flags, without dashes; a flag that may be repeated takes a
list. What stands on the command line wins. The commands explore, status, check
and convert also take from compress: whatever says how a model is compressed.
Paths are relative to the current folder, as on the command line.`,
		Example: `
  # an onnx-compress.yaml
  compress:
    target: [macs=0.5, params=60%]
    calib: images/
    crop: 224
    normalize: imagenet
  verify:
    data: val/
    require: [agree=99%, class-drop=2%]`,
		Annotations: map[string]string{notesOf: others.String() + "\nExit codes: 0 all is well, 2 something in it makes no sense."},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("config takes no arguments, got %q; a file is named with --config", args)
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error { return c.run() },
	}, func(f *flagSet) {
		f.group("Flags of this command")
		f.StringVar(&c.path, "config", "", "`FILE` read this file instead")
		f.BoolVar(&c.schema, "schema", false, "print the JSON Schema of configurations")
		f.completeWith("config", ending("yaml", "yml"))
	})
}

func (c *configCommand) run() error {
	if c.schema {
		data, err := configSchema()
		if err == nil {
			_, err = c.out.Write(data)
		}
		return err
	}
	path, doc, err := readConfig(c.path)
	if err != nil {
		return err
	}
	count := 0
	for _, section := range doc.sections {
		count += len(section.values)
	}
	if len(doc.sections) == 0 {
		_, err = fmt.Fprintf(c.out, "%s: nothing is configured\n", path)
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: ok, %d values for %d commands\n", path, count, len(doc.sections))
	return err
}
