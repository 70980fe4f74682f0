//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
)

// tune measures gradient descent after compression.
func (b *bench) tune() error {
	b.printf("ResNet-20 compressed on 1,024 unlabelled images, then tuned on unlabelled images; all 10,000 test images judge. Seconds are of the command, the start's own not among them.\n\n```\n%s\n%s\n```\n\n",
		b.command(b.calibrated(resnet, "small.onnx", "TARGET")...), b.command(b.learning("small.onnx", "tuned.onnx", "N")...))
	b.printf("| target | images | top-1, original | start | **tuned** | same class, start | **tuned** | best epoch | steps | seconds | samples/s |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range []struct{ target, images string }{{"0.5", "1024"}, {"0.3", "1024"}, {"0.2", "1024"}, {"0.5", "5000"}, {"0.3", "5000"}, {"0.2", "5000"}} {
		if err := b.wonBack(c.target, c.images); err != nil {
			return err
		}
	}
	return nil
}

const resnet = "resnet20_cifar10.onnx"

// learning are the arguments that tune a compressed ResNet-20.
func (b *bench) learning(start, out, images string) []string {
	args := []string{
		"tune", b.model(resnet), filepath.Join(b.work, start), "-o", filepath.Join(b.work, out), "--data", b.sample("cifar10_train5000.bin"),
		"--samples", images, "--augment", "mirror,crop=4,mix",
	}
	return append(args, cifar...)
}

func (b *bench) wonBack(target, images string) error {
	if _, _, err := b.compress(b.calibrated(resnet, "small.onnx", target)...); err != nil {
		return err
	}
	start, err := b.judged(resnet, "small.onnx")
	if err != nil {
		return err
	}
	u, t, err := b.learn(b.learning("small.onnx", "tuned.onnx", images)...)
	if err != nil {
		return err
	}
	tuned, err := b.judged(resnet, "tuned.onnx")
	if err != nil {
		return err
	}
	b.printf("| %s | %s | %.2f %% | %.2f %% | **%.2f %%** | %.1f %% | **%.1f %%** | %d | %d | %.0f | %.0f |\n",
		target, images, 100*tuned.Accuracy.Before, 100*start.Accuracy.After, 100*tuned.Accuracy.After, 100*start.Agreement, 100*tuned.Agreement, t.Best, t.Steps, u.seconds, t.SamplesPerSecond)
	return nil
}

// learn runs tune with --json and reads its result.
func (b *bench) learn(args ...string) (usage, *compress.Tuning, error) {
	u, out, stderr, err := b.call(append(slices.Clone(args), "--force", "-q", "--json")...)
	if err != nil {
		return u, nil, err
	}
	if u.code != 0 {
		return u, nil, fmt.Errorf("%s: exit code %d: %s", b.command(args...), u.code, stderr)
	}
	r := new(compress.TuneResult)
	if err := json.Unmarshal(out, r); err != nil {
		return u, nil, err
	}
	for _, p := range r.Tuning.Curve {
		b.note("  epoch %d: loss %.5f, held-out %.5f, agreement %.4f", p.Epoch, p.Loss, p.Held, p.Agreement)
	}
	return u, r.Tuning, nil
}

// tuneStep compares one training step with PyTorch's, taking turns.
func (b *bench) tuneStep() error {
	const batch = 64
	b.printf("Forward, loss, backward and Adam on a batch of %d, and the same with SOAP, the default here: medians of the steps of a run, the least of %d runs that take turns with PyTorch's (two threads). What the original computes is at hand in both.\n\n```\n%s\npython bench/tune_step.py MODEL %d 30\n```\n\n",
		batch, b.runs, b.command(b.stepArgs("MODEL", "adam")...), batch)
	if err := b.needPython(); err != nil {
		return err
	}
	if _, _, err := b.compress(b.calibrated(resnet, "half.onnx", "0.5")...); err != nil {
		return err
	}
	b.printf("| network | here, ms | PyTorch, ms | ratio | here with SOAP, ms | ratio |\n|---|---|---|---|---|---|\n")
	for _, c := range []struct{ name, path string }{{"ResNet-20", b.model(resnet)}, {"compressed to half its MACs", filepath.Join(b.work, "half.onnx")}} {
		var own, soap, other []float64
		for range b.runs {
			for _, o := range []struct {
				optimizer string
				times     *[]float64
			}{{"adam", &own}, {"soap", &soap}} {
				_, t, err := b.learn(b.stepArgs(c.path, o.optimizer)...)
				if err != nil {
					return err
				}
				*o.times = append(*o.times, 1e3*t.StepSeconds)
			}
			ms, err := b.torchStep(c.path, batch)
			if err != nil {
				return err
			}
			other = append(other, ms)
		}
		least := slices.Min(other)
		b.printf("| %s | %.1f | %.1f | **%.2f** | %.1f | **%.2f** |\n", c.name, slices.Min(own), least, slices.Min(own)/least, slices.Min(soap), slices.Min(soap)/least)
	}
	return nil
}

// stepArgs tune a model for a few epochs; from the second on, what the original computes is known.
func (b *bench) stepArgs(path, optimizer string) []string {
	args := []string{
		"tune", b.model(resnet), path, "-o", filepath.Join(b.work, "step.onnx"), "--data", b.sample("cifar10_train5000.bin"),
		"--samples", "700", "--epochs", "4", "--threads", "2", "--optimizer", optimizer,
	}
	return append(args, cifar...)
}

func (b *bench) torchStep(path string, batch int) (float64, error) {
	text, err := b.script("tune_step.py", path, strconv.Itoa(batch), "30").Output()
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
}
