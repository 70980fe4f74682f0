package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
)

type convertCommand struct {
	streams
	want                      wantFlags
	pattern                   string
	force, failOnWrite, quiet bool
}

func newConvert(s streams) *cobra.Command {
	c := &convertCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "convert FILE... --target KIND=VALUE [flags]",
		Short: "compress models whose compressed ones are missing or stale",
		Long: `Compresses each model whose compressed one is missing or stale: whose source,
calibration data or options are not what it was made from. One that is fresh is
left as it is, and so are files that are compressed models themselves. A file of
weights (.data) stands for the model beside it, and onnx-compress.yaml for all
models in its folder and below.`,
		Example: `
  onnx-compress convert models/*.onnx --target macs=0.5 --calib images/
  onnx-compress convert net.onnx -o build/net.onnx --target params=60%`,
		Annotations: map[string]string{notesOf: `
Exit codes: 0 done, 1 failed, 2 usage, 3 a target cannot be met, 4 a model was
written and --fail-on-write is set.`},
		ValidArgsFunction: ending("onnx").asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}, c.declare, configFlags)
}

func (c *convertCommand) declare(f *flagSet) {
	f.StringVarP(&c.pattern, "output", "o", string(defaultPattern), "`PATTERN` where the compressed model goes: % stands for the name of the source without .onnx, relative to its folder "+
		"(%.small.onnx); without % it is the path of one file")
	f.BoolVar(&c.force, "force", false, "compress whether fresh or not, and replace files that onnx-compress did not write")
	f.BoolVar(&c.failOnWrite, "fail-on-write", false, "exit with 4 when a model was written, so that a hook stops the commit that it belongs to")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "no text, no progress")
	c.want.options(f, "but -o, --plan, --json and --verbose")
}

func (c *convertCommand) run(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return usagef("which models? for example: onnx-compress convert models/*.onnx --target macs=0.5")
	}
	files, err := standing(files, c.err)
	if err != nil {
		return err
	}
	pattern := namePattern(c.pattern)
	if err := pattern.check("--output", files); err != nil {
		return err
	}
	want, err := c.want.wanted(ctx, provenance.Want{Data: c.want.compress.calib})
	if err != nil {
		return err
	}
	var written []string
	for _, source := range files {
		wrote, err := c.convert(ctx, source, pattern.of(source), want)
		if err != nil {
			return err
		}
		if wrote {
			written = append(written, pattern.of(source))
		}
	}
	if c.failOnWrite && len(written) > 0 {
		return &verdict{exitStale, "written anew: " + strings.Join(written, ", ") + "; add what is new to the commit"}
	}
	return nil
}

// convert compresses a source unless its compressed model is there and fresh.
func (c *convertCommand) convert(ctx context.Context, source, output string, want provenance.Want) (bool, error) {
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
	args := append(given(c.want.words, func(word string) string { return word }), "--no-config", "--force", "--output="+output)
	if c.quiet {
		args = append(args, "--quiet")
	}
	compress := newCompress(c.streams)
	compress.SetContext(ctx)
	err = compress.ParseFlags(args)
	if err == nil {
		err = compress.RunE(compress, []string{source})
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", source, err)
	}
	return true, nil
}
