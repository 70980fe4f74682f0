package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/internal/plaintext"
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
	if p.from == "" {
		if f.Changed("from-plan") {
			return usagef("--from-plan: want a file")
		}
		return nil
	}
	for _, name := range []string{"methods", "only", "keep", "rank-multiple"} {
		if f.Changed(name) {
			return usagef("--from-plan brings the nodes, their methods and ranks; leave --%s out", name)
		}
	}
	return nil
}

// read reads the plan to follow, nil where there is none.
func (p *planFlags) read() (*compress.Plan, error) {
	if p.from == "" {
		return nil, nil
	}
	f, _, err := bounded.Open(p.from)
	if err != nil {
		return nil, fmt.Errorf("--from-plan: %w", err)
	}
	defer f.Close()
	plan, err := compress.ReadPlan(plaintext.Reader(bounded.Reader(f, p.from, 1<<28)))
	if err != nil {
		return nil, fmt.Errorf("--from-plan %s: %w", p.from, err)
	}
	return plan, nil
}
