//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// mirror measures what --augment mirror holds a model to.
func (b *bench) mirror() error {
	if err := b.needPython(); err != nil {
		return err
	}
	b.printf("Top-1 on all 10,000 test images of CIFAR-10: of the scores for the images, for their mirror images, and of the means of both, which `--augment mirror` holds a model to.\n\n```\npython bench/mirror.py DIR/data/cifar10_test.bin %s %s DIR/models/MODEL...\n```\n\n", cifarMean, cifarStd)
	rows, err := b.script("mirror.py", b.sample("cifar10_test.bin"), cifarMean, cifarStd, b.model(resnet), b.model("resnet56_cifar10_bn.onnx")).Output()
	if err != nil {
		return fmt.Errorf("bench/mirror.py: %w", err)
	}
	b.printf("| model | images | mirror images | means |\n|---|---|---|---|\n%s", rows)
	return nil
}

// tuneLabels tunes on all labelled training images.
func (b *bench) tuneLabels() error {
	train := filepath.Join(b.data, "cifar", "cifar10_train50000.bin")
	if err := need("bench/cifar.sh", train); err != nil {
		return err
	}
	start := append([]string{
		b.model(resnet), "-o", b.file("small.onnx"), "--target", "macs=0.296", "--target", "params=0.277",
		"--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024",
	}, cifar...)
	args := append([]string{
		"tune", b.model(resnet), b.file("small.onnx"), "-o", b.file("tuned.onnx"), "--data", train, "--supervised",
		"--lambda", "30", "--features", "1", "--augment", "mirror,crop=4", "--lr", "2e-3", "--epochs", "30", "--seed", "0",
	}, cifar...)
	b.printf("ResNet-20 with 29.6 %% of its MACs and 27.7 %% of its parameters, compressed on 1,024 unlabelled images, then tuned on the 50,000 labelled training images (`bench/cifar.sh DIR/cifar` makes the file); all 10,000 test images judge. At least 91.0 %% is wanted.\n\n```\n%s\n%s\n```\n\n", b.command(start...), b.command(args...))
	_, r, err := b.compress(start...)
	if err != nil {
		return err
	}
	before, err := b.top1(resnet, "small.onnx")
	if err != nil {
		return err
	}
	b.note("labelled: start at %.2f %%", 100*before.After)
	u, t, err := b.learn(args...)
	if err != nil {
		return err
	}
	after, err := b.top1(resnet, "tuned.onnx")
	if err != nil {
		return err
	}
	b.note("labelled: tuned to %.2f %%", 100*after.After)
	b.printf("| MACs left | parameters left | top-1, original | start | **tuned** | best epoch | hours | samples/s |\n|---|---|---|---|---|---|---|---|\n| %.4f | %.4f | %.2f %% | %.2f %% | **%.2f %%** | %d | %.2f | %.0f |\n",
		share(r.Output.MACs, r.Input.MACs), share(r.Output.Params, r.Input.Params), 100*after.Before, 100*before.After, 100*after.After, t.Best, u.seconds/3600, t.SamplesPerSecond)
	if after.After < 0.91 {
		return unmet("%.2f %%, want at least 91.0 %%", 100*after.After)
	}
	return nil
}

// tuneMinilm tunes the sentence encoder.
func (b *bench) tuneMinilm() error {
	folder := filepath.Join(b.data, "minilm")
	model, calib := filepath.Join(folder, "model.onnx"), filepath.Join(folder, "sentences.npz")
	learn, unseen := filepath.Join(folder, "tune.npz"), filepath.Join(folder, "unseen.npz")
	if err := need("bench/minilm.sh", model, calib, learn, unseen); err != nil {
		return err
	}
	target := strconv.FormatInt(int64(minilmParams-0.5*minilmLinear), 10)
	start := []string{model, "-o", b.file("small.onnx"), "--target", "params=" + target, "--calib", calib, "--calib-samples", "1024", "--verify-samples", "256", "--keep", "Gather_*"}
	args := []string{"tune", model, b.file("small.onnx"), "-o", b.file("tuned.onnx"), "--data", learn, "--samples", "1024", "--augment", "mix", "--epochs", "40"}
	b.printf("The sentence encoder at half the parameters of its linear layers, tuned on 1,024 sentences from Debian's `fortunes`; mean cosine between its embeddings and the original's on 512 sentences that neither saw.\n\n```\n%s\n%s\n```\n\n", b.command(start...), b.command(args...))
	if _, _, err := b.compress(start...); err != nil {
		return err
	}
	cosine := func(file string) (float64, error) {
		r, err := b.verify(model, b.file(file), "--data", unseen)
		if err != nil {
			return 0, err
		}
		return r.Outputs[0].Cosine, nil
	}
	before, err := cosine("small.onnx")
	if err != nil {
		return err
	}
	b.note("encoder: start at %.4f", before)
	u, t, err := b.learn(args...)
	if err != nil {
		return err
	}
	after, err := cosine("tuned.onnx")
	if err != nil {
		return err
	}
	b.note("encoder: tuned to %.4f", after)
	b.printf("| start | **tuned** | best epoch | seconds | samples/s |\n|---|---|---|---|---|\n| %.4f | **%.4f** | %d | %.0f | %.1f |\n", before, after, t.Best, u.seconds, t.SamplesPerSecond)
	if after < before {
		return unmet("tuning took the cosine from %.4f to %.4f", before, after)
	}
	return nil
}

// tunePhotos tunes networks of 1,000 classes on the images that compressed them.
func (b *bench) tunePhotos() error {
	data := filepath.Join(b.data, "data", "imagenet")
	images := []string{"--labels", filepath.Join(data, "labels.tsv"), "--crop", "224"}
	learn, judge := b.file("learn"), b.file("judge")
	if err := parted(data, learn, judge); err != nil {
		return err
	}
	start := func(model, target string) []string {
		return append([]string{model, "-o", b.file("small.onnx"), "--target", "macs=" + target, "--calib", learn, "--calib-samples", "512"}, images...)
	}
	args := func(model string) []string {
		return append([]string{"tune", model, b.file("small.onnx"), "-o", b.file("tuned.onnx"), "--data", learn, "--augment", "flip,crop=16"}, images...)
	}
	b.printf("Compressed and tuned on the 512 images of `learn`; the other 488, in `judge`, are seen by neither. Seconds are of the tuning.\n\n```\n%s\n%s\n```\n\n| network | target | | same class | top-1 | steps | best epoch | seconds |\n|---|---|---|---|---|---|---|---|\n",
		b.command(append(start("MODEL", "TARGET"), "NORMALIZE")...), b.command(append(args("MODEL"), "NORMALIZE")...))
	for _, m := range []struct {
		file, target string
		normalize    []string
	}{
		{"squeezenet1.1_imagenet.onnx", "0.5", []string{"--normalize", "imagenet"}},
		{"efficientnet_lite0.onnx", "0.7", []string{"--mean", "0.498", "--std", "0.502"}},
	} {
		model := b.model(m.file)
		if _, _, err := b.compress(slices.Concat(start(model, m.target), m.normalize)...); err != nil {
			return err
		}
		row := func(what, file string) (string, error) {
			r, err := b.verify(slices.Concat([]string{model, b.file(file), "--data", judge}, images, m.normalize)...)
			if err != nil {
				return "", err
			}
			row := fmt.Sprintf("| %s | %s | %s | %.2f %% | %.2f %% |", modelName(m.file), m.target, what, 100*r.Classes.Agreement, 100*r.Classes.Accuracy.After)
			b.note("%s", row)
			return row, nil
		}
		before, err := row("start", "small.onnx")
		if err != nil {
			return err
		}
		b.printf("%s | | |\n", before)
		u, t, err := b.learn(slices.Concat(args(model), m.normalize)...)
		if err != nil {
			return err
		}
		after, err := row("**tuned**", "tuned.onnx")
		if err != nil {
			return err
		}
		b.printf("%s %d | %d | %.0f |\n", after, t.Steps, t.Best, u.seconds)
	}
	return nil
}

// parted links 512 of every 1,000 images of a folder into one folder, and the others into another, by turns.
func parted(from, learn, judge string) error {
	images, err := filepath.Glob(filepath.Join(from, "*.jpg"))
	if err != nil {
		return err
	}
	if len(images) < 10 {
		return fmt.Errorf("%s: %d images, want at least 10", from, len(images))
	}
	for i, path := range images { // in the order of their names
		folder := learn
		if (i+1)*512/1000 == i*512/1000 {
			folder = judge
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if path, err = filepath.Abs(path); err != nil {
			return err
		}
		if err := os.Symlink(path, filepath.Join(folder, filepath.Base(path))); err != nil {
			return err
		}
	}
	return nil
}
