package main

import (
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/report"
)

type methodsCommand struct {
	streams
	out outputFlags
}

func newMethods(s streams) *cobra.Command {
	c := &methodsCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "methods [NAME] [flags]",
		Short: "explain the decompositions",
		Long: `Lists the decompositions, or explains one: what it computes, which nodes it
becomes, what they cost, and where it is described.`,
		ValidArgsFunction: words(methodWords()...).asked,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd.Flags(), args) },
	}, func(f *flagSet) { c.out.declare(f, "as JSON", "", "") }, configFlags)
}

func (c *methodsCommand) run(f *pflag.FlagSet, args []string) error {
	if err := writable(f, nil, "json"); err != nil {
		return err
	}
	methods := compress.MethodTexts()
	text := func(w io.Writer) error { return report.Methods(w, methods.Methods) }
	switch len(args) {
	case 0:
	case 1:
		m, err := compress.MethodTextNamed(args[0])
		if err != nil {
			return err
		}
		methods.Methods = []compress.MethodText{m}
		text = func(w io.Writer) error { return report.Method(w, &m) }
	default:
		return usagef("%d methods were named; want one, or none for the list", len(args))
	}
	return c.out.write(c.streams.out, methods, text)
}
