package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

// planFlags say where a plan goes, and where one comes from.
type planFlags struct{ to, from string }

func (p *planFlags) declare(f *flagSet) {
	f.StringVar(&p.to, "plan", "", "`FILE` save the chosen methods and ranks as JSON")
	f.StringVar(&p.from, "from-plan", "", "`FILE` use those of a saved plan of the same model instead of searching; targets are optional then, and must hold")
	f.completeWith("from-plan", ending("json"))
}

// alone refuses flags whose choice a given plan has made.
func (p *planFlags) alone(f *pflag.FlagSet) error {
	for _, name := range []string{"plan", "from-plan"} {
		if flag := f.Lookup(name); flag.Changed && flag.Value.String() == "" {
			return usagef("--%s: want a file", name)
		}
	}
	if p.from == "" {
		return nil
	}
	for _, name := range []string{"methods", "only", "keep", "rank-multiple"} {
		if f.Changed(name) {
			return usagef("--from-plan brings the nodes, their methods and ranks; leave --%s out", name)
		}
	}
	return nil
}

// check refuses a plan that would overwrite one of the files the work is about.
func (p *planFlags) check(files ...string) error {
	if p.to == "" {
		return nil
	}
	return canWrite("--plan "+p.to, p.to, append(files, p.from)...)
}

// read reads the plan to follow, nil where there is none.
func (p *planFlags) read() (*compress.Plan, error) {
	if p.from == "" {
		return nil, nil
	}
	f, err := os.Open(p.from)
	if err != nil {
		return nil, fmt.Errorf("--from-plan: %w", err)
	}
	defer f.Close()
	plan, err := compress.ReadPlan(f)
	if err != nil {
		return nil, fmt.Errorf("--from-plan %s: %w", p.from, err)
	}
	return plan, nil
}

// write saves the plan that a run followed.
func (p *planFlags) write(r *compress.Result) error {
	if p.to == "" {
		return nil
	}
	err := writeFile(p.to, func(w io.Writer) error { return report.JSON(w, compress.PlanOf(r)) })
	if err != nil {
		return fmt.Errorf("--plan %s: %w", p.to, err)
	}
	return nil
}
