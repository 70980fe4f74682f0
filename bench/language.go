//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// languageRuns are what the section language asks of the language model: the parameters left, of all, and whether the table and the head,
// which have the same numbers, stay as they are.
var languageRuns = []struct {
	name, target string
	kept         bool
}{
	{"linear layers at 0.9", "params=0.9348", true},
	{"linear layers at 0.8", "params=0.8696", true},
	{"linear layers at 0.7", "params=0.8044", true},
	{"all at 0.8", "params=0.8", false},
}

// language compresses a language model, and judges it by the perplexity of texts that it has not seen. The variable RUNS has parts of the
// names of the runs to make, with commas between them; without it all are.
func (b *bench) language() error {
	folder := filepath.Join(b.data, "smollm2")
	model, calib, judge := filepath.Join(folder, "model.onnx"), filepath.Join(folder, "calib128.npz"), filepath.Join(folder, "test48.npz")
	if err := need("bench/smollm2.sh", model, calib, judge); err != nil {
		return err
	}
	start := []string{model, "-o", b.file("small.onnx"), "--calib", calib, "--calib-samples", "128", "--target", "TARGET"}
	keep := []string{"--keep", "*embed_tokens*", "--keep", "*lm_head*"}
	check := []string{"verify", model, b.file("small.onnx"), "--data", judge, "--labels", "next"}
	b.printf("SmolLM2-135M (`bench/smollm2.sh DIR/smollm2`; 162.8 M parameters with the head, which has the numbers of the table, 106.2 M of them in 210 linear layers), calibrated on 128 rows of 128 tokens and refitted, without tuning; 48 rows of other documents judge.\n\n```\n%s [%s]\n%s\n```\n\n",
		b.command(start...), strings.Join(keep, " "), b.command(check...))
	b.printf("| run | target | seconds | peak MiB | MACs left | perplexity before | **after** | same token | KL, nats |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, run := range languageRuns {
		if wanted := os.Getenv("RUNS"); wanted != "" && !slices.ContainsFunc(strings.Split(wanted, ","), func(part string) bool { return strings.Contains(run.name, part) }) {
			continue
		}
		args := slices.Clone(start)
		args[len(args)-1] = run.target
		if run.kept {
			args = append(args, keep...)
		}
		u, r, err := b.compress(args...)
		if err != nil {
			return err
		}
		report, err := b.verify(check[1:]...)
		if err != nil {
			return err
		}
		l := report.Language
		if l == nil || l.Perplexity == nil {
			return fmt.Errorf("%s: its texts have no perplexity", model)
		}
		b.note("%s: %.0f s, %.0f MiB, perplexity %.1f", run.name, u.seconds, u.peakMiB, l.Perplexity.After)
		b.printf("| %s | `%s` | %.0f | %.0f | %.3f | %.1f | **%.1f** | %.1f %% | %.3f |\n", run.name, run.target, u.seconds, u.peakMiB,
			share(r.Output.MACs, r.Input.MACs), l.Perplexity.Before, l.Perplexity.After, 100*l.Agreement.Value, l.KL.Value)
	}
	return nil
}
