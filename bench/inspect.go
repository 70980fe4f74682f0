//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// factored counts the sites that did not stay dense.
func factored(sites []compress.SiteResult) int {
	n := 0
	for _, s := range sites {
		if s.Method != compress.Dense {
			n++
		}
	}
	return n
}

// inspect times the listing of a model with 1 GiB of weights, inline.
func (b *bench) inspect() error {
	path := filepath.Join(b.work, "big.onnx")
	if err := testmodels.WriteLarge(path, 1, 1<<30, 4096, false); err != nil {
		return err
	}
	u, out, err := b.median(b.runs, "inspect", path, "-q", "--json")
	if err != nil {
		return err
	}
	var i compress.Inspection
	if err := json.Unmarshal(out, &i); err != nil {
		return err
	}
	b.printf("```\n%s\n```\n\n%d sites, %d parameters: %.3f s, peak %.0f MiB.\n", b.command("inspect", path, "--json"), len(i.Sites), i.Params, u.seconds, u.peakMiB)
	if len(i.Sites) == 0 {
		return fmt.Errorf("no sites in %s", path)
	}
	return nil
}
