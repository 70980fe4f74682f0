//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// manyParts is how many parts a calibration is cut into that is held against one part.
const manyParts = 16

// What is wanted of a calibration in parts: how much faster two of them are, side by side on two cores with a thread each, than one, and what all parts
// may take more of arithmetic, beside what each takes to start.
const (
	leastSpeedUp  = 1.8
	mostMoreWork  = 0.05
	mostMergePeak = 1024 // MiB
)

// shards measures calibrations in parts: what two win side by side, and what sixteen take more than one.
func (b *bench) shards() error {
	folder := filepath.Join(b.data, "minilm")
	models := []struct {
		name  string
		files []string
		flags []string
	}{
		{"ResNet-20, 1,024 images", nil, slices.Concat([]string{b.model("resnet20_cifar10.onnx"), "--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024"}, cifar)},
		{"SqueezeNet, 96 images", nil, []string{b.model("squeezenet1.1_imagenet.onnx"), "--calib", b.sample("imagenet"), "--calib-samples", "96", "--crop", "224", "--normalize", "imagenet"}},
		{"MiniLM, 256 sentences", []string{filepath.Join(folder, "model.onnx")}, []string{filepath.Join(folder, "model.onnx"), "--calib", filepath.Join(folder, "sentences.npz"), "--calib-samples", "256"}},
	}
	b.printf("Calibrations in parts (`shard calibrate --threads 1`). Speed-up: one part against two that run side by side on two cores, medians of %d turns; %.1f is wanted. Work: CPU seconds, user and system, of one part and of %d, with the merge. "+
		"Starting: those of %d parts that have no samples. Work beyond that is to be at most %.0f %% more, and the merge to take at most %d MiB.\n\n```\n%s\n```\n\n"+
		"| model | one part, s | two at once, s | speed-up | work of 1, CPU s | of %d | starting | beyond that | merge of %d: parts, MiB | peak, MiB |\n|---|---|---|---|---|---|---|---|---|---|\n",
		b.runs, leastSpeedUp, manyParts, manyParts-1, 100*mostMoreWork, mostMergePeak, b.command(append([]string{"shard", "calibrate"}, append(models[0].flags, "--threads", "1", "--part", "K/N", "-o", "K.ocs")...)...), manyParts, manyParts)
	var short error
	for _, m := range models {
		if need("bench/minilm.sh", m.files...) != nil {
			b.note("shards: %s is left out, bench/minilm.sh makes it", m.name)
			continue
		}
		why, err := b.shardsOf(m.name, m.flags)
		if err != nil {
			return err
		}
		if why != nil && short == nil {
			short = why
		}
	}
	return short
}

// shardsOf measures one model. short says what it falls short of.
func (b *bench) shardsOf(name string, flags []string) (short, err error) {
	folder, err := os.MkdirTemp(b.work, "shards")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	one, two, err := b.besideOne(folder, flags)
	if err != nil {
		return nil, err
	}
	single, _, err := b.inParts(folder, flags, 1)
	if err != nil {
		return nil, err
	}
	many, merge, err := b.inParts(folder, flags, manyParts)
	if err != nil {
		return nil, err
	}
	empty, err := b.part(folder, flags, 1, 1000)
	if err != nil {
		return nil, err
	}
	starting := (manyParts - 1) * empty.cpu
	more := (many - single - starting) / single
	size, err := sizeOf(filepath.Join(folder, fmt.Sprintf("%d-*.ocs", manyParts)))
	if err != nil {
		return nil, err
	}
	b.note("shards, %s: %.2f times as fast, %.1f and %.1f CPU s, %.1f of them to start", name, one/two, single, many, starting)
	b.printf("| %s | %.2f | %.2f | **%.2f** | %.2f | %.2f | %.2f | **%+.1f %%** | %.0f | %.0f |\n", name, one, two, one/two, single, many, starting, 100*more, size, merge.peakMiB)
	if one/two < leastSpeedUp || more > mostMoreWork || merge.peakMiB > mostMergePeak {
		short = unmet("%s: two parts are %.2f times as fast as one, %d take %.1f %% more work, their merge %.0f MiB", name, one/two, manyParts, 100*more, merge.peakMiB)
	}
	return short, nil
}

// part calibrates one part.
func (b *bench) part(folder string, flags []string, k, of int) (usage, error) {
	to := filepath.Join(folder, fmt.Sprintf("%d-%d.ocs", of, k))
	if err := os.RemoveAll(to); err != nil {
		return usage{}, err
	}
	u, _, err := b.median(1, append(append([]string{"shard", "calibrate"}, flags...), "--threads", "1", "-q", "--part", fmt.Sprintf("%d/%d", k, of), "-o", to)...)
	return u, err
}

// besideOne is how many seconds one part takes alone, and two side by side: medians of turns.
func (b *bench) besideOne(folder string, flags []string) (one, two float64, err error) {
	var alone, both []float64
	for range b.runs {
		u, err := b.part(folder, flags, 1, 1)
		if err != nil {
			return 0, 0, err
		}
		alone = append(alone, u.seconds)
		var g errgroup.Group
		start := time.Now()
		for k := range 2 {
			g.Go(func() error {
				_, err := b.part(folder, flags, k+1, 2)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return 0, 0, err
		}
		both = append(both, time.Since(start).Seconds())
	}
	seconds := func(s float64) float64 { return s }
	return middle(alone, seconds), middle(both, seconds), nil
}

// inParts is what a calibration in so many parts takes of CPU seconds, one after the other and with the merge, and what the merge takes.
func (b *bench) inParts(folder string, flags []string, of int) (cpu float64, merge usage, err error) {
	args := []string{"shard", "merge", "-q", "-o", filepath.Join(folder, fmt.Sprintf("stats-%d", of))}
	for k := range of {
		u, err := b.part(folder, flags, k+1, of)
		if err != nil {
			return 0, merge, err
		}
		cpu += u.cpu
		args = append(args, filepath.Join(folder, fmt.Sprintf("%d-%d.ocs", of, k+1)))
	}
	merge, _, err = b.median(1, args...)
	return cpu + merge.cpu, merge, err
}

// sizeOf is what the files that match a pattern take, in MiB.
func sizeOf(pattern string) (float64, error) {
	list, err := filepath.Glob(pattern)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, path := range list {
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		sum += float64(info.Size()) / (1 << 20)
	}
	return sum, nil
}
