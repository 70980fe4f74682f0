//go:build unix

package main

import (
	"fmt"
	"path/filepath"
)

// transformers takes tiny transformers through the program, as exporters write them, which bench/transformers.sh makes in DIR/transformers.
func (b *bench) transformers() error {
	if err := b.needPython(); err != nil {
		return err
	}
	models := filepath.Join(b.data, "transformers")
	if err := need("bench/transformers.sh", filepath.Join(models, "bert")); err != nil {
		return err
	}
	out, err := b.script("exported.py", b.tool, models).Output()
	if err != nil {
		return fmt.Errorf("bench/exported.py: %w", err)
	}
	b.printf("Tiny transformers with seeded weights of a decaying spectrum (2 layers of 64 channels, 500 words) as exporters write them: torch's TorchScript exporter at opset 17 (ts17) and the one of torch.export (dynamo18, dynamo23), Optimum with caches and merged decoders, ONNX Runtime GenAI's builder, and ONNX Runtime's optimiser over ts17 at three levels (fused). Each is compressed to params=0.7 on 32 texts of random words, of which the program is given the ids alone where the rest follows from them, verified, and tuned for one epoch. Wanted is that every product of a constant matrix is a site or has its reason, that all runs end, and at most 2 GiB of memory.\n\n```\nbench/transformers.sh DIR/transformers\n```\n\n%s\n", out)
	return nil
}
