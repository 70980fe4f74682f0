//go:build unix

package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/onnx-compress/onnx-compress/compress"
)

// timeBound is a model that is to take a share of its time at a batch.
type timeBound struct {
	trained
	share, batch string
	// others judge in place of the samples that a run keeps back.
	others []string
}

// timeBounds are those that are measured.
func (b *bench) timeBounds() []timeBound {
	tiny := append([]string{"--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024"}, cifar...)
	test := append([]string{"--data", b.sample("cifar10_test.bin")}, cifar...)
	minilm := filepath.Join(b.data, "minilm")
	sentences := []string{"--calib", filepath.Join(minilm, "sentences.npz"), "--calib-samples", "256", "--verify-samples", "256", "--keep", "Gather_*"}
	small := trained{file: b.model(resnet), samples: tiny}
	squeezenet := trained{file: b.model("squeezenet1.1_imagenet.onnx"), samples: b.photos("--normalize", "imagenet")}
	return []timeBound{
		{small, "0.5", "1", test},
		{small, "0.5", "8", test},
		{squeezenet, "0.7", "1", nil},
		{squeezenet, "0.7", "8", nil},
		{trained{file: b.model("efficientnet_lite0.onnx"), samples: b.photos("--mean", "0.498", "--std", "0.502")}, "0.7", "1", nil},
		{trained{file: filepath.Join(minilm, "model.onnx"), flags: []string{"--input-shape", "input_ids=1x64", "--input-shape", "attention_mask=1x64"}, samples: sentences}, "0.6", "1", nil},
	}
}

// bounds asks for shares of the time, and measures what comes of it once more.
func (b *bench) bounds() error {
	b.printf("A share of the original's time is asked for, on one thread. Foretold and measured are the run's own; speed is what `onnx-compress bench` finds afterwards, the original's time over the compressed model's, and what was asked for would be its inverse. What is kept is the original's class and top-1, for the sentence encoder the mean cosine.\n\n```\n%s\n%s\n```\n\n| model | batch | asked | foretold | measured | speed | kept | models timed | MACs left | seconds |\n|---|---|---|---|---|---|---|---|---|---|\n",
		b.command("time", "MODEL", "-o", "costs.json", "--batch", "BATCH"), b.command("MODEL", "-o", b.file("small.onnx"), "--target", "latency=SHARE", "--costs", "costs.json", "--for", "cpu", "--calib", "SAMPLES"))
	for _, t := range b.timeBounds() {
		if err := b.bound(t); err != nil {
			return fmt.Errorf("%s at batch %s: %w", t.file, t.batch, err)
		}
	}
	return nil
}

// bound runs one and prints its row.
func (b *bench) bound(t timeBound) error {
	table, small := b.file("costs.json"), b.file("small.onnx")
	if _, _, err := b.median(1, append([]string{"time", t.file, "-o", table, "--batch", t.batch, "--for", "cpu", "-q"}, t.flags...)...); err != nil {
		return err
	}
	u, r, refused, err := b.outcome(slices.Concat([]string{t.file, "-o", small, "--target", "latency=" + t.share, "--costs", table, "--for", "cpu"}, t.samples)...)
	if err != nil {
		return err
	}
	b.printf("| %s | %s | %s ", modelName(t.file), t.batch, t.share)
	if refused != "" {
		b.printf("| %s | | | | | | %.0f |\n", refused, u.seconds)
		return nil
	}
	kept, err := b.keptOf(t, r, small)
	if err != nil {
		return err
	}
	models, err := b.beside(t.batch, []string{t.file, small}, t.flags...)
	if err != nil {
		return err
	}
	l := r.Latency
	b.printf("| %.3f | %.3f | %.2f× | %s | %d | %.4f | %.0f |\n", l.Foretold.After/l.Foretold.Before, l.After/l.Before, models[1].Speed, kept, len(l.Attempts), share(r.Output.MACs, r.Input.MACs), u.seconds)
	return nil
}

// keptOf says what a model keeps, by the run's own verification or on other samples.
func (b *bench) keptOf(t timeBound, r *compress.Result, small string) (string, error) {
	judged := r.Verification
	if t.others != nil {
		var err error
		if judged, err = b.verify(slices.Concat([]string{t.file, small}, t.others)...); err != nil {
			return "", err
		}
	}
	if c := judged.Classes; c != nil && c.Accuracy != nil {
		return fmt.Sprintf("%.1f %% / %.2f %%", 100*c.Agreement, 100*c.Accuracy.After), nil
	}
	return fmt.Sprintf("%.4f", judged.Outputs[0].Cosine), nil
}
