package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/onnx-compress/onnx-compress/internal/provision"
)

type setupCommand struct {
	streams
	options provision.SetupOptions
}

func newSetup(s streams) *cobra.Command {
	c := &setupCommand{streams: s}
	return declare(&cobra.Command{
		Use:   "setup [flags]",
		Short: "fetch ONNX Runtime and OpenBLAS",
		Long: `Fetches ONNX Runtime and OpenBLAS, pinned and checked by hash, into the cache
folder of onnx-compress, with pip or npm, whichever is there. What is fetched
already stays. The variable ONNX_COMPRESS_CACHE moves the folder.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}, func(f *flagSet) {
		f.StringVar(&c.options.Client, "with", "", "`NAME` pip or npm (whichever is there)")
		f.completeWith("with", words("pip", "npm"))
	}, configFlags)
}

func (c *setupCommand) run(ctx context.Context) error {
	switch c.options.Client {
	case "", "pip", "npm":
		return provision.Setup(ctx, c.streams.out, c.options)
	}
	return usagef("--with %q: want pip or npm", c.options.Client)
}
