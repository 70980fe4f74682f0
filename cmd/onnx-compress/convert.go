package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
)

// convertFlags are the words of `onnx-compress convert`.
type convertFlags struct {
	want        wantFlags
	pattern     string
	force       bool
	failOnWrite bool
	quiet       bool
}

func runConvert(ctx context.Context, args []string, s streams) error {
	var c convertFlags
	f := newFlags("convert")
	f.StringVarP(&c.pattern, "output", "o", string(defaultPattern), "")
	f.BoolVar(&c.force, "force", false, "")
	f.BoolVar(&c.failOnWrite, "fail-on-write", false, "")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "")
	c.want.words = addOptions(f, &c.want.compress)
	files, err := parse(f, args, s)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("which models? for example: onnx-compress convert models/*.onnx --target macs=0.5")
	}
	pattern := namePattern(c.pattern)
	if err := pattern.check("--output", files); err != nil {
		return err
	}
	want, err := c.want.options(provenance.Want{Data: c.want.compress.calib})
	if err != nil {
		return err
	}
	var written []string
	for _, source := range files {
		wrote, err := c.convert(ctx, source, pattern.of(source), want, s)
		if err != nil {
			return err
		}
		if wrote {
			written = append(written, pattern.of(source))
		}
	}
	if c.failOnWrite && len(written) > 0 {
		return &staleError{"written anew: " + strings.Join(written, ", ") + "; add what is new to the commit"}
	}
	return nil
}

// convert compresses a source unless its compressed model is there and fresh.
func (c *convertFlags) convert(ctx context.Context, source, output string, want provenance.Want, s streams) (bool, error) {
	if done, err := compressed(source); done || err != nil {
		return false, err // a result is not compressed again
	}
	there, err := exists(output)
	if err != nil {
		return false, err
	}
	if there {
		want.Source = source
		found, err := provenance.Check(ctx, []string{output}, func(string) provenance.Want { return want })
		if err != nil {
			return false, err
		}
		none := (*provenance.NoRecordError)(nil)
		switch {
		case found[0].State == provenance.Fresh && !c.force:
			return false, nil
		case errors.As(found[0].Err, &none) && !c.force:
			return false, fmt.Errorf("%s is there already, and onnx-compress did not write it; move it away, or replace it with --force", output)
		}
	}
	args := append(c.words(), "--no-config", "--force", "--output="+output, "--", source)
	if err := runCompress(ctx, args, s); err != nil {
		return false, fmt.Errorf("%s: %w", source, err)
	}
	return true, nil
}

// words writes the flags that were given as compress takes them.
func (c *convertFlags) words() []string {
	var out []string
	c.want.words.VisitAll(func(flag *pflag.Flag) {
		if !flag.Changed {
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			out = append(out, "--"+flag.Name+"="+v)
		}
	})
	if c.quiet {
		out = append(out, "--quiet")
	}
	return out
}
