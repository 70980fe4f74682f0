package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/report/page"
)

// pageFlags say where a page about the result goes.
type pageFlags struct{ path string }

func (p *pageFlags) add(f *pflag.FlagSet) {
	f.StringVar(&p.path, "report", "", "")
}

// check refuses a page that cannot be written, or that would overwrite one of the files the
// work is about.
func (p *pageFlags) check(f *pflag.FlagSet, files ...string) error {
	if f.Changed("report") && p.path == "" {
		return usagef("--report: want a file, for example --report result.html")
	}
	if p.path == "" {
		return nil
	}
	return canWrite("--report "+p.path, p.path, files...)
}

// write writes the page where one was asked for.
func (p *pageFlags) write(render func(io.Writer) error) error {
	if p.path == "" {
		return nil
	}
	if err := writeFile(p.path, inFlags(render)); err != nil {
		return fmt.Errorf("--report %s: %w", p.path, err)
	}
	return nil
}

// runReport makes the page of a result that --json has written.
func runReport(_ context.Context, args []string, s streams) error {
	var output string
	var force bool
	f := newFlags("report")
	f.StringVarP(&output, "output", "o", "", "")
	f.BoolVar(&force, "force", false, "")
	rest, err := parse(f, args, s)
	if err != nil {
		return err
	}
	switch {
	case len(rest) != 1:
		return usagef("want one file that --json=FILE has written; got %d", len(rest))
	case output == "":
		return usagef("where does the page go? name its file with -o, for example -o result.html")
	}
	if err := canWrite("--output "+output, output, rest[0]); err != nil {
		return err
	}
	if info, err := os.Stat(output); err == nil && info.Mode().IsRegular() && !force {
		return fmt.Errorf("%s: %w; choose another name, or allow it to be replaced (--force)", output, fs.ErrExist)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := os.ReadFile(rest[0])
	if err != nil {
		return err
	}
	err = writeFile(output, func(w io.Writer) error {
		if err := page.FromJSON(w, data); err != nil {
			return fmt.Errorf("%s: %w", rest[0], err)
		}
		return nil
	})
	return err
}

// plain is a word that means itself to a shell.
var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quoted writes a word for a POSIX shell.
func quoted(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// commandLine is the command that asks for the same again, whatever a configuration says:
// the arguments, and every flag that has a value, in the order of their declaration.
func commandLine(f *pflag.FlagSet, args []string) string {
	words := []string{"onnx-compress", f.Name()}
	for _, arg := range args {
		words = append(words, quoted(arg))
	}
	f.VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed || slices.Contains(configNames(), flag.Name) {
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
			if flag.Value.Type() == "stringSlice" {
				values = []string{strings.Join(values, ",")}
			}
		}
		for _, v := range values {
			word := "--" + flag.Name
			if flag.NoOptDefVal == "" || flag.NoOptDefVal != v {
				word += "=" + quoted(v)
			}
			words = append(words, word)
		}
	})
	if configured(f) {
		words = append(words, "--no-config")
	}
	return strings.Join(words, " ")
}

// configured tells whether a configuration may have a say.
func configured(f *pflag.FlagSet) bool {
	if f.Changed("config") || f.Changed("no-config") {
		return true
	}
	_, err := os.Stat(configName)
	return err == nil
}
