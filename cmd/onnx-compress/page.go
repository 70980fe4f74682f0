package main

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"
)

// pageFlags say where a page about the result goes.
type pageFlags struct{ path string }

func (p *pageFlags) declare(f *flagSet, text string) {
	f.StringVar(&p.path, "report", "", "`FILE` "+text)
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
