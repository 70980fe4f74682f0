//go:build unix

package main

import (
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// tuneParts measures what each part of a tuning is worth: without it, or with what is no default.
func (b *bench) tuneParts() error {
	b.printf("ResNet-20 compressed to 0.3 of its MACs on 1,024 unlabelled images, then tuned on these numbers of images with mirror images, crops and blends (`--augment mirror,crop=4,mix`), each line with one change; all 10,000 test images judge. Seconds are of the tuning.\n\n| images | change | same class | top-1 | steps | seconds |\n|---|---|---|---|---|---|\n")
	if _, _, err := b.compress(b.calibrated(resnet, "small.onnx", "0.3")...); err != nil {
		return err
	}
	for _, c := range []struct {
		title  string
		images int
		change func(*compress.Descent)
	}{
		{"none", 1024, func(*compress.Descent) {}},
		{"the layers inside are not held to the original's (`--features 0`)", 1024, func(d *compress.Descent) { d.Features = -1 }},
		{"`--features 1`", 1024, func(d *compress.Descent) { d.Features = 1 }},
		{"blocks learn alone for 30 epochs first", 1024, func(d *compress.Descent) { d.Blocks = 30 }},
		{"other images in every epoch", 1024, func(d *compress.Descent) { d.Variants = -1 }},
		{"no moving average", 1024, func(d *compress.Descent) { d.Average = -1 }},
		{"40 epochs", 1024, func(d *compress.Descent) { d.Epochs = 40 }},
		{"none", 256, func(*compress.Descent) {}},
		{"none", 5000, func(*compress.Descent) {}},
	} {
		t, err := b.tuned("small.onnx", c.images, c.change)
		if err != nil {
			return err
		}
		now, err := b.judged(resnet, "tuned.onnx")
		if err != nil {
			return err
		}
		b.printf("| %d | %s | %.2f %% | %.2f %% | %d | %.0f |\n", c.images, c.title, 100*now.Agreement, 100*now.Accuracy.After, t.Steps, t.Seconds)
	}
	return nil
}

// tuned tunes a compressed ResNet-20 in this process, by what no flag says too, to tuned.onnx.
func (b *bench) tuned(start string, images int, change func(*compress.Descent)) (*compress.Tuning, error) {
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		return nil, err
	}
	defer env.Close()
	original, err := onnxio.Read(b.model(resnet))
	if err != nil {
		return nil, err
	}
	defer original.Close()
	small, err := onnxio.Read(filepath.Join(b.work, start))
	if err != nil {
		return nil, err
	}
	defer small.Close()
	specs, err := samples.Inputs(original)
	if err != nil {
		return nil, err
	}
	prepare := samples.SourceOptions{Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}}
	source, err := samples.Open(b.sample("cifar10_train5000.bin"), prepare, specs)
	if err != nil {
		return nil, err
	}
	o := compress.TuneOptions{Data: b.sample("cifar10_train5000.bin"), Output: filepath.Join(b.work, "tuned.onnx"), Overwrite: true, Source: source, Samples: images}
	if o.Descent.Augment, err = samples.NewAugmenter(samples.Augment{Mirror: true, Crop: 4, Mix: true}, prepare, specs, 0); err != nil {
		return nil, err
	}
	change(&o.Descent)
	r, err := compress.Tune(b.ctx, env, original, small, o)
	if err != nil {
		return nil, err
	}
	return r.Tuning, nil
}
